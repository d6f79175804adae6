"""``pyimgano robust-benchmark``: what drift does to a run at its calibrated threshold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.workbench.commands.completions import drift_list, models, presets
from pyimgano.workbench.commands.execution_options import EXECUTOR, SCHEDULER

if TYPE_CHECKING:
    from pyimgano.workbench.robust import Condition, RobustFolder, Subject
    from pyimgano.workbench.robust.comparing import RobustComparison
    from pyimgano.workbench.robust.results import Robustness
    from pyimgano.workbench.runs import RunDirectory

__all__ = ["robust_benchmark"]


def robust_benchmark(
    from_run: Optional[Path] = typer.Option(None, "--from-run", metavar="RUN", help="A finished run."),
    dataset: Optional[Path] = typer.Option(
        None,
        "--dataset",
        help="With --from-run: where the run's dataset lies now, or another one. Else: the dataset to train on.",
    ),
    config: Optional[Path] = typer.Option(None, "--config", "-c", help="Run config: train that run first."),
    model: Optional[str] = typer.Option(None, "--model", help="Model of that run.", autocompletion=models),
    preset: Optional[str] = typer.Option(None, "--preset", help="Preset of that run's recipe.", autocompletion=presets),
    settings: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--set", metavar="KEY=VALUE", help="Override a key of that run's config; repeatable."
    ),
    drifts: Optional[str] = typer.Option(
        None,
        "--drifts",
        metavar="NAME,...",
        help="E.g. glare,defocus. Default: all (pyimgano augment list).",
        autocompletion=drift_list,
    ),
    severities: str = typer.Option("1,2,3,4,5", "--severities", metavar="N,...", help="Of 1 to 5, e.g. 1,3,5."),
    seed: int = typer.Option(0, "--seed", metavar="N", min=0, help="Of the drifts, of --limit and of the intervals."),
    limit: Optional[int] = typer.Option(
        None, "--limit", min=1, metavar="N", help="Test images of each category, at most; labels keep their shares."
    ),
    jobs: int = typer.Option(1, "--jobs", metavar="N", min=1, help="Processes; each loads the models."),
    executor: str = EXECUTOR,
    scheduler: Optional[str] = SCHEDULER,
    compare: Optional[Path] = typer.Option(
        None, "--compare", metavar="OTHER", help="A run, or the folder of its benchmark, to compare with."
    ),
    max_errors: int = typer.Option(
        0,
        "--max-errors",
        metavar="N",
        min=0,
        help="Images that may lack a score in a condition; with more the exit code is 4.",
    ),
    output: Path = typer.Option(
        Path("robustness"), "--output", "-o", metavar="DIR", help="Folder for the results; the same one resumes."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print robustness.json."),
) -> None:
    """Drift a run's test images, and see what its threshold makes of them.

    Every drift in every severity. The calibrated threshold stays as it is, as on a line: overkill gained and recall
    lost against the same images without drift, AUROC, all with intervals. An image that cannot be scored is counted,
    never decided. The same command again goes on where it was interrupted.

    Example: pyimgano robust-benchmark --from-run runs/new --drifts exposure,defocus --compare runs/old
    """
    from pyimgano.workbench.commands.console import ConsoleProgress, say
    from pyimgano.workbench.commands.printing import print_json, stdout_reserved
    from pyimgano.workbench.processes import choose_execution
    from pyimgano.workbench.robust import (
        CLEAN,
        RobustFolder,
        compare_measured,
        evaluate_measured,
        load_subject,
        measure_missing,
        plan_conditions,
    )

    training = {"file": config, "model": model, "preset": preset, "settings": settings or ()}
    _require_one_subject(from_run, dataset, training)
    execution = choose_execution(executor, scheduler, jobs)
    progress = ConsoleProgress()
    with stdout_reserved():
        conditions = plan_conditions(_names(drifts), _numbers(severities))
        folder = RobustFolder(output)
        with folder.locked():
            if from_run is not None:
                from pyimgano.workbench.runs import open_run

                run = open_run(from_run)
            else:
                run = _trained(dataset, output, training, progress)
            subject = load_subject(run, dataset=dataset if from_run is not None else None, limit=limit, seed=seed)
            folder.begin(subject.plan())
            other = None if compare is None else _other(folder, subject, compare, conditions)
            for note in subject.notes:
                say(note)
            found = measure_missing(folder, subject, [CLEAN, *conditions], progress, execution=execution)
            if found:
                say(f"{found} of {len(conditions) + 1} conditions are measured already in {output}")
            if other is not None and other[1] is not None:
                measure_missing(other[0], other[1], [CLEAN, *conditions], progress, execution=execution)
            with progress.stage("Evaluate"):
                comparison = None if other is None else compare_measured(other[0], folder, conditions)
                result = evaluate_measured(folder, conditions, notes=subject.notes)
            _write(folder, subject, result, comparison)
    if as_json:
        print_json(_document(result, comparison))
    else:
        _print(result, comparison)
    _tell(result, output)
    wrong = {(error["category"], error["image"]) for error in result.errors}
    if wrong:
        verdict = "tolerated by" if len(wrong) <= max_errors else "more than"
        say(f"{len(wrong)} images lack a score in a condition, {verdict} --max-errors {max_errors}: see 'errors'")
    if len(wrong) > max_errors:
        raise typer.Exit(4)


def _require_one_subject(from_run: Optional[Path], dataset: Optional[Path], training: dict[str, Any]) -> None:
    from pyimgano.core.errors import ConfigError

    given = [option for option, value in zip(("--config", "--model", "--preset", "--set"), training.values()) if value]
    if from_run is not None and given:
        raise ConfigError(
            f"a finished run is tested as it is, so {', '.join(given)} has no meaning",
            where="--from-run",
            allowed="--from-run RUN, with --dataset where it moved; or a config without --from-run",
        )
    if from_run is None and dataset is None and not given:
        raise ConfigError(
            "nothing to test",
            allowed="--from-run RUN, or --config FILE or --dataset PATH to train a run first",
            hint="pyimgano robust-benchmark --help",
        )


def _names(text: Optional[str]) -> Optional[list[str]]:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[int]:
    from pyimgano.core.errors import ConfigError

    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ConfigError(repr(text), where="--severities", allowed="numbers of 1 to 5, e.g. 1,3,5") from None


def _trained(dataset: Optional[Path], output: Path, training: dict[str, Any], progress: Any) -> RunDirectory:
    """Return the run of a config, made below the output folder or found there."""
    from pyimgano.core.errors import ConfigError, RunError
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.robust.folder import RUNS
    from pyimgano.workbench.runs import open_run
    from pyimgano.workbench.training import resume_run, run_recipe

    flags = {
        "dataset.root": dataset,
        "model.name": training["model"],
        "preset": training["preset"],
        "output.dir": output / RUNS,
        "output.name": "run",
    }
    config = load_run_config(training["file"], settings=training["settings"], flags=flags)
    path = output / RUNS / "run"
    try:
        found = open_run(path, complete=False)
    except RunError:  # none yet
        return run_recipe(config, entrypoint="robust-benchmark", progress=progress)
    if found.config().to_json() != config.to_json():
        raise ConfigError(
            "holds a run of another config", where=str(path), hint="choose another --output, or --from-run that run"
        )
    return found if found.complete else resume_run(found.path, progress=progress)


def _other(
    folder: RobustFolder, subject: Subject, compare: Path, conditions: Sequence[Condition]
) -> tuple[RobustFolder, Optional[Subject]]:
    """Return the folder to compare with, and what has to be measured for it first; refuse it before anything is."""
    from pyimgano.workbench.robust import RobustFolder, common_conditions
    from pyimgano.workbench.robust.folder import COMPARED, PLAN_JSON
    from pyimgano.workbench.runs import open_run
    from pyimgano.workbench.runs.naming import safe_name

    if (compare / PLAN_JSON).is_file():
        found = RobustFolder(compare)
        common_conditions(found, folder, conditions)
        return found, None
    run = open_run(compare)
    theirs = subject.with_models(run)
    found = RobustFolder(folder.path / COMPARED / safe_name(run.name))
    found.begin(theirs.plan())
    return found, theirs


def _document(result: Robustness, comparison: Optional[RobustComparison]) -> dict[str, Any]:
    return {**result.to_json(), "comparison": None if comparison is None else comparison.to_json()}


def _write(folder: RobustFolder, subject: Subject, result: Robustness, comparison: Optional[RobustComparison]) -> None:
    from pyimgano.core.files import dump_json
    from pyimgano.core.images import write_png
    from pyimgano.workbench.report import write_robustness_report
    from pyimgano.workbench.robust.folder import ROBUSTNESS_CSV, ROBUSTNESS_JSON, WORST_PNG
    from pyimgano.workbench.robust.scores import load_scores
    from pyimgano.workbench.robust.tables import write_robustness_csv
    from pyimgano.workbench.robust.worst import worst_sheet

    document = _document(result, comparison)
    dump_json(document, folder.path / ROBUSTNESS_JSON)
    write_robustness_csv(result, folder.path / ROBUSTNESS_CSV)
    sheet = worst_sheet(subject, result, load_scores(folder, result.conditions))
    picture = folder.path / WORST_PNG
    if sheet is not None:
        write_png(sheet, picture)
    else:
        picture.unlink(missing_ok=True)
    write_robustness_report(folder.path, document, picture=picture if sheet is not None else None)


def _print(result: Robustness, comparison: Optional[RobustComparison]) -> None:
    from pyimgano.workbench.commands.printing import print_table, print_text
    from pyimgano.workbench.robust.tables import DRIFT_COLUMNS, drift_rows, headline_lines

    for line in headline_lines(result):
        print_text(line)
    print_text()
    print_table(DRIFT_COLUMNS, drift_rows(result), titles=True)
    if comparison is not None:
        print_text()
        print_text(f"A: {comparison.a['name']}, B: {comparison.b['name']}")
        for line in comparison.answer:
            print_text(line)
        for note in comparison.notes:
            print_text(note)


def _tell(result: Robustness, output: Path) -> None:
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.robust.folder import ROBUSTNESS_CSV, ROBUSTNESS_JSON

    severities = sorted({condition.severity for condition in result.conditions})
    say(f"a number for each severity: {', '.join(map(str, severities))}; mean over the categories")
    for note in result.notes:
        say(f"note: {note}")
    places = {"results": ROBUSTNESS_JSON, "table": ROBUSTNESS_CSV, "page": "report.html"}
    say("   ".join(f"{what}: {output / name}" for what, name in places.items()))
