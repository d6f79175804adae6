"""``pyimgano bundle``: what ``pyimgano export`` made, looked at and put to work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

from pyimgano.workbench.commands.bundle_serve import serve
from pyimgano.workbench.commands.bundle_watch import watch
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
    from pyimgano.workbench.bundle.contents import BundleContents
    from pyimgano.workbench.bundle.validation import Validation
    from pyimgano.workbench.inference.stream import Writer

__all__ = ["app", "info", "run", "validate"]


def validate(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A folder or a zip; it need not be trusted."),
    as_json: bool = typer.Option(False, "--json", help="Give the findings as JSON."),
) -> None:
    """Check a bundle: names, sizes and checksums of all files, what they hold, and what it says of its samples.

    Exit code 0: as it was made; 1: a sample gets another score or decision here; 3: something is not installed;
    5: it is damaged, or holds what it must not.

    Example: pyimgano bundle validate parts.zip
    """
    from pyimgano.core.errors import PyimganoError
    from pyimgano.workbench.bundle.validation import validate_bundle
    from pyimgano.workbench.commands.printing import print_json, stdout_reserved

    try:
        with stdout_reserved():
            found = validate_bundle(bundle)
    except PyimganoError as error:
        if as_json:
            print_json({"bundle": bundle.name, "valid": False, "error": error.to_json()})
        raise
    if as_json:
        print_json(found.to_json())
    else:
        _print_validation(bundle, found)
    if not found.valid:
        raise typer.Exit(1)


def info(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A folder or a zip; it need not be trusted."),
    as_json: bool = typer.Option(False, "--json", help="Give everything as JSON."),
) -> None:
    """Show what a bundle is, what it needs to run and whether that is installed, and its thresholds.

    Example: pyimgano bundle info parts.zip --json
    """
    from pyimgano.workbench.bundle.contents import open_contents
    from pyimgano.workbench.commands.printing import print_json, print_table, print_text

    contents = open_contents(bundle)
    try:
        facts = _facts(contents)
    finally:
        contents.close()
    if as_json:
        print_json(facts)
        return
    print_text(f"{bundle}: {facts['model']}, {facts['kind']}, {facts['precision']}, {facts['size'] / 1e6:.1f} MB")
    print_text(f"made of the run {facts['source'].get('run', '-')} ({facts['source'].get('fingerprint', '-')[:16]})")
    rows = [
        (one["name"], *(_number(one[key]) for key in ("threshold", "review_threshold", "pixel_threshold")))
        for one in facts["categories"]
    ]
    print_table(("category", "threshold", "review from", "pixel threshold"), rows, titles=True)
    for need in facts["requires"]:
        state = "installed" if need["installed"] else f"missing: {need['install']}"
        print_text(f"needs {need['module']}: {state}")


def run(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A folder or a zip; it need not be trusted."),
    inputs: List[str] = INPUTS,  # noqa: UP006
    category: Optional[str] = typer.Option(
        None, "--category", help="Category of all images, where the bundle has several and no manifest says it."
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
    resume: bool = typer.Option(
        False, "--resume", help="Go on where an interrupted process stopped; begins where there is nothing yet."
    ),
    force: bool = typer.Option(False, "--force", help="Replace earlier predictions, also unfinished ones."),
    as_json: bool = AS_JSON,
) -> None:
    """Score images with a bundle: the records and pictures that `infer` makes with the run.

    Until the output is complete, it lies in a folder OUT.partial beside it, one record after the other; --resume goes
    on there. An image that cannot be read becomes a record with `error`. Exit codes as those of `infer`.

    Example: pyimgano bundle run parts.zip images/ --output found --overlays
    """
    import contextlib
    import time

    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.bundle.bundle import load_bundle
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.commands.predicting import tell
    from pyimgano.workbench.commands.sharding import wants_shards, write_shards
    from pyimgano.workbench.inference.resumable import ResumableOutput
    from pyimgano.workbench.inference.sinks import parse_destination
    from pyimgano.workbench.inference.sources import InputList
    from pyimgano.workbench.inference.stream import Summary
    from pyimgano.workbench.inference.wanted import WantedOutput, score_inputs
    from pyimgano.workbench.processes import choose_execution

    wanted = WantedOutput(maps, masks, overlays, regions)
    destination = parse_destination(output, form, replace=force)
    wanted.check_destination(destination, as_json=as_json)
    if resume and force:
        raise ConfigError("--resume and --force exclude each other", where="--resume")
    if resume and destination.kind == "stdout":
        raise ConfigError("--resume needs --output", where="--resume", hint="--output FILE")
    execution = choose_execution(executor, scheduler, jobs)
    if wants_shards(execution, shard_size, destination):
        with load_bundle(bundle, category=category) as opened:
            wanted.check_models(opened.models)
            write_shards(
                opened.models,
                inputs,
                source={"kind": "bundle", "path": str(bundle), "fingerprint": opened.fingerprint},
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
    with load_bundle(bundle, category=category) as opened, contextlib.ExitStack() as stack:
        wanted.check_models(opened.models)
        upcoming, before = iter(sources), Summary()
        writer: Writer
        if destination.kind == "stdout":
            writer, folder = stack.enter_context(destination.open())
        else:
            asked = {
                "bundle": opened.fingerprint,
                "inputs": list(inputs),
                "category": category,
                "format": destination.form,
                "maps": maps,
                "masks": masks,
                "overlays": overlays,
                "regions": regions,
            }
            journal = stack.enter_context(ResumableOutput(destination, asked, resume=resume, replace=force))
            for record in journal.skip(upcoming):
                before.count(record)
            writer, folder = journal, journal.folder
        earlier, started = before.images, time.perf_counter()
        advance = stack.enter_context(ConsoleProgress().stage("Score images"))
        summary = score_inputs(
            opened.models, upcoming, writer, folder, wanted, batch_size=batch_size, each=advance, after=before
        )
    seconds, place = time.perf_counter() - started, str(destination.records or "standard output")
    tell(summary, seconds, place, sources.omissions.notes(), max_errors, as_json=as_json, earlier=earlier)


def _print_validation(bundle: Path, found: Validation) -> None:
    from pyimgano.workbench.commands.printing import print_table, print_text

    print_text(f"{bundle}: {found.n_files} files are what the manifest states")
    rows = [
        (
            sample.category,
            f"{sample.score:.9g}",
            f"{sample.expected:.9g}",
            f"{sample.difference:.1e}",
            sample.decision,
            "ok" if sample.problem is None else sample.problem,
        )
        for sample in found.samples
    ]
    print_table(("category", "score", "expected", "difference", "decision", ""), rows, titles=True)


def _facts(contents: BundleContents) -> dict[str, Any]:
    from pyimgano.core.plugins import installed
    from pyimgano.workbench.bundle.manifest import install_hint
    from pyimgano.workbench.bundle.models import check_bundle_json

    manifest = contents.manifest
    config = check_bundle_json(contents)
    return {
        **{key: part for key, part in manifest.to_json().items() if key not in ("files", "requires")},
        "size": sum(facts.size for facts in manifest.files.values()),
        "n_files": len(manifest.files),
        "requires": [
            {"module": need.module, "installed": installed(need.module), "install": install_hint(need)}
            for need in manifest.requires
        ],
        "categories": config["categories"],
    }


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, (int, float)) else "-"


app = typer.Typer(
    help="Portable bundles: check them, and put them to work.\n\nExample: pyimgano bundle info parts.zip",
    no_args_is_help=True,
)
app.command("validate")(validate)
app.command("info")(info)
app.command("run")(run)
app.command("watch")(watch)
app.command("serve")(serve)
