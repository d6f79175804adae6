"""Scoring a run's test images under conditions: one after the other here, or several at a time in processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional

from pyimgano.core.errors import PyimganoError
from pyimgano.workbench.inference import Source
from pyimgano.workbench.processes import Execution, run_requests
from pyimgano.workbench.progress import Progress
from pyimgano.workbench.records import PredictionRecord
from pyimgano.workbench.robust.conditions import Condition, change_of
from pyimgano.workbench.robust.folder import RobustFolder
from pyimgano.workbench.robust.subject import Subject

__all__ = ["measure_condition", "measure_missing"]


def measure_condition(
    subject: Subject, condition: Condition, *, advance: Optional[Callable[[int], Any]] = None
) -> dict[str, Any]:
    """Score all test images under one condition.

    Parameters
    ----------
    subject : Subject
        Models and images.
    condition : Condition
        What happens to the images before the models see them.
    advance : callable, optional
        Told ``1`` for every image.

    Returns
    -------
    dict
        Category → ``{"scores": [float or None, …], "rejected": [bool or None, …], "errors": [{"image", "error"}, …]}``
        in the order of the category's images. An image without a score has an error and no decision, and the other way
        round.

    Raises
    ------
    CheckpointError
        When a detector cannot be loaded.
    """
    change = change_of(condition, subject.seed)
    found: dict[str, Any] = {}
    for test in subject.tests:
        first = test.samples[0]
        fitted = subject.models.fitted(Source(first.id, first.source, test.category))
        scores: list[Optional[float]] = []
        rejected: list[Optional[bool]] = []
        errors: list[dict[str, Optional[str]]] = []
        for scored in fitted.stream(test.samples, maps=False, change=change):
            scores.append(scored.score)
            rejected.append(None if scored.score is None else fitted.judge(scored).decision == "defective")
            if scored.error is not None:
                errors.append({"image": scored.source.id, "error": PredictionRecord.failed("", scored.error).error})
            if advance is not None:
                advance(1)
        found[test.category] = {"scores": scores, "rejected": rejected, "errors": errors}
    return found


def measure_missing(
    folder: RobustFolder,
    subject: Subject,
    conditions: Sequence[Condition],
    progress: Progress,
    *,
    execution: Optional[Execution] = None,
) -> int:
    """Measure the conditions that a folder lacks; each is kept when it is measured.

    Parameters
    ----------
    folder : RobustFolder
        Takes the results.
    subject : Subject
        What is tested.
    conditions : sequence of Condition
        What is asked for.
    progress : Progress
        Told of every image, or with several processes of every condition.
    execution : Execution, optional
        Who does the work; default, and with one job: this process.

    Returns
    -------
    int
        Conditions that were there already.

    Raises
    ------
    PyimganoError
        When a condition fails as a whole; it names it. What was measured by then is kept.
    """
    missing = [condition for condition in conditions if not folder.has(condition)]
    if not missing:
        return len(conditions)
    with progress.stage(f"{subject.run.name}: {len(missing)} conditions", len(missing) * subject.n_images) as advance:
        chosen = execution or Execution()
        if chosen.local and (chosen.jobs == 1 or len(missing) == 1):
            for condition in missing:
                folder.add(condition, measure_condition(subject, condition, advance=advance))
        else:
            _measure_elsewhere(folder, subject, missing, advance, chosen, progress)
    return len(conditions) - len(missing)


def _measure_elsewhere(
    folder: RobustFolder,
    subject: Subject,
    missing: Sequence[Condition],
    advance: Callable[[int], Any],
    execution: Execution,
    progress: Progress,
) -> None:
    hint = "the same command goes on behind what is measured"
    if execution.local:
        hint += "; a smaller --jobs takes less memory"

    def done(index: int, answer: dict[str, Any]) -> None:
        if "error" in answer:
            raise PyimganoError(str(answer["error"]), where=missing[index].name, hint=hint)
        folder.add(missing[index], answer["found"])
        advance(subject.n_images)

    what = subject.to_request()
    run_requests(
        [{"subject": what, "condition": condition.to_json()} for condition in missing],
        done,
        module="pyimgano.workbench.robust.worker",
        execution=execution,
        shared=folder.path,
        note=progress.note,
    )
