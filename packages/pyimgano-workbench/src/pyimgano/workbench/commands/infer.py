"""``pyimgano infer``: score images with a run's detector, or with one that is fitted on the spot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.workbench.commands.completions import models, run_categories
from pyimgano.workbench.commands.execution_options import EXECUTOR, SCHEDULER
from pyimgano.workbench.commands.prediction_options import (
    AS_JSON,
    BATCH_SIZE,
    FORM,
    INPUTS,
    JOBS,
    MAPS,
    MASKS,
    MAX_ERRORS,
    OUTPUT,
    OVERLAYS,
    REGIONS,
    SHARD_SIZE,
)

if TYPE_CHECKING:
    from pyimgano.workbench.inference import RunModels
    from pyimgano.workbench.progress import Progress
    from pyimgano.workbench.runs import RunDirectory

__all__ = ["infer"]


def infer(
    inputs: List[str] = INPUTS,  # noqa: UP006
    from_run: Optional[Path] = typer.Option(
        None, "--from-run", metavar="RUN", help="A complete run: its detector and threshold."
    ),
    category: Optional[str] = typer.Option(
        None,
        "--category",
        help="Of all images, where no manifest says it.",
        autocompletion=run_categories,
    ),
    model: Optional[str] = typer.Option(
        None,
        "--model",
        help="Instead of a run: fit this model on the good images of --train-dir.",
        autocompletion=models,
    ),
    train_dir: Optional[Path] = typer.Option(
        None, "--train-dir", help="Good images, or any dataset; a part is held out to calibrate the threshold."
    ),
    settings: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--set", metavar="PARAM=VALUE", help="A parameter of --model; repeatable."
    ),
    seed: int = typer.Option(0, "--seed", metavar="N", help="Of the split and fit with --model."),
    save_run: Optional[Path] = typer.Option(
        None, "--save-run", metavar="DIR", help="Keep the run of --model in this folder."
    ),
    output: Optional[Path] = OUTPUT,
    form: Optional[str] = FORM,
    maps: bool = MAPS,
    masks: bool = MASKS,
    overlays: bool = OVERLAYS,
    regions: bool = REGIONS,
    max_errors: int = MAX_ERRORS,
    batch_size: Optional[int] = BATCH_SIZE,
    jobs: int = JOBS,
    shard_size: Optional[int] = SHARD_SIZE,
    executor: str = EXECUTOR,
    scheduler: Optional[str] = SCHEDULER,
    force: bool = typer.Option(False, "--force", help="Replace an --output folder of predictions."),
    as_json: bool = AS_JSON,
) -> None:
    """Score images: one record each, with score, threshold, decision and p-value.

    An image that cannot be read becomes a record with `error` and never gets a score. Exit code 0 means that every
    image was scored, or that no more failed than --max-errors allows; 4 that more failed. The output is complete either
    way. Millions of images go to several processes, or to a cluster: --jobs, --executor, --shard-size.

    Example: pyimgano infer --from-run runs/new images/ --output found --overlays
    """
    import time

    from pyimgano.workbench.bundle.fingerprint import run_fingerprint
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.commands.predicting import tell
    from pyimgano.workbench.commands.sharding import wants_shards, write_shards
    from pyimgano.workbench.inference import InputList, RunModels, parse_destination
    from pyimgano.workbench.inference.wanted import WantedOutput, score_inputs
    from pyimgano.workbench.processes import choose_execution

    wanted = WantedOutput(maps, masks, overlays, regions)
    destination = parse_destination(output, form, replace=force)
    wanted.check_destination(destination, as_json=as_json)
    _check_choice(from_run, model, train_dir, settings, save_run)
    execution = choose_execution(executor, scheduler, jobs)
    if wants_shards(execution, shard_size, destination):
        run = _finished(from_run)
        models = RunModels(run, category=category)
        wanted.check_models(models)
        write_shards(
            models,
            inputs,
            source={"kind": "run", "path": str(run.path), "fingerprint": run_fingerprint(run)},
            category=category,
            destination=destination,
            wanted=wanted,
            execution=execution,
            shard_size=shard_size,
            batch_size=batch_size,
            max_errors=max_errors,
            as_json=as_json,
        )
        return
    sources = InputList(inputs)
    progress = ConsoleProgress()
    with _models(from_run, category, model, train_dir, settings or (), seed, save_run, progress) as fitted:
        wanted.check_models(fitted)
        started = time.perf_counter()
        with destination.open() as (writer, folder), progress.stage("Score images") as advance:
            summary = score_inputs(fitted, sources, writer, folder, wanted, batch_size=batch_size, each=advance)
        seconds = time.perf_counter() - started
    place = str(destination.records or "standard output")
    tell(summary, seconds, place, sources.omissions.notes(), max_errors, as_json=as_json)


def _finished(from_run: Optional[Path]) -> RunDirectory:
    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.runs import open_run

    if from_run is None:
        raise ConfigError(
            "several processes score with a run that is there",
            allowed="--from-run RUN",
            hint="pyimgano train makes one",
        )
    return open_run(from_run)


def _check_choice(
    from_run: Optional[Path],
    model: Optional[str],
    train_dir: Optional[Path],
    settings: Optional[List[str]],  # noqa: UP006
    save_run: Optional[Path],
) -> None:
    from pyimgano.core.errors import ConfigError

    allowed = "--from-run RUN, or --model NAME --train-dir DIR"
    if from_run is not None:
        extra = {"--model": model, "--train-dir": train_dir, "--set": settings, "--save-run": save_run}
        given = [name for name, value in extra.items() if value]
        if given:
            raise ConfigError(f"--from-run excludes {', '.join(given)}: the run has its own detector", allowed=allowed)
    elif model is None or train_dir is None:
        missing = "--train-dir" if model else "--model" if train_dir else "--from-run"
        raise ConfigError(f"which detector? {missing} is missing", allowed=allowed)


@contextlib.contextmanager
def _models(
    from_run: Optional[Path],
    category: Optional[str],
    model: Optional[str],
    train_dir: Optional[Path],
    settings: Sequence[str],
    seed: int,
    save_run: Optional[Path],
    progress: Progress,
) -> Iterator[RunModels]:
    """Yield the detectors of the run that is there, or of one that is made now and kept only if asked for."""
    import tempfile

    from pyimgano.workbench.inference import RunModels
    from pyimgano.workbench.inference.adhoc import fit_run
    from pyimgano.workbench.runs import open_run

    if from_run is not None:
        yield RunModels(open_run(from_run), category=category)
        return
    assert model is not None
    assert train_dir is not None
    with contextlib.ExitStack() as stack:
        folder = save_run or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pyimgano-infer-")))
        run = fit_run(model, train_dir, folder, settings=settings, seed=seed, progress=progress)
        if save_run is not None:
            progress.note(f"the run: {run.path}")
        yield RunModels(run, category=category)
