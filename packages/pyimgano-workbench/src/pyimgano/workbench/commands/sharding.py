"""``infer`` and ``bundle run`` over more images than one process scores: by several, or by a cluster."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from pyimgano.workbench.inference.models import FittedModels
    from pyimgano.workbench.inference.sinks import Destination
    from pyimgano.workbench.inference.wanted import WantedOutput
    from pyimgano.workbench.processes import Execution

__all__ = ["SHARD_IMAGES", "wants_shards", "write_shards"]

SHARD_IMAGES = 1000
"""Images of a shard where nothing else is asked for."""


def wants_shards(execution: Execution, shard_size: Optional[int], destination: Destination) -> bool:
    """Tell whether the options ask for shards, or refuse those that contradict each other.

    Raises
    ------
    ConfigError
        When shards have no folder to go to.
    """
    from pyimgano.core.errors import ConfigError

    if shard_size is None and execution.local and execution.jobs == 1:
        return False
    if destination.kind != "folder" or destination.form != "jsonl":
        raise ConfigError(
            "several processes write shards: files of JSON lines in a folder", where="--output", hint="--output DIR"
        )
    return True


def write_shards(
    models: FittedModels,
    inputs: Sequence[str],
    *,
    source: Mapping[str, str],
    category: Optional[str],
    destination: Destination,
    wanted: WantedOutput,
    execution: Execution,
    shard_size: Optional[int],
    batch_size: Optional[int],
    max_errors: int,
    as_json: bool,
) -> None:
    """Score images in shards, go on with those that an earlier process left, and tell what became of them.

    Parameters
    ----------
    source : mapping
        ``kind`` (run or bundle), ``path`` and ``fingerprint`` of what scores.

    Raises
    ------
    PyimganoError
        When shards failed; the others are kept, and the same command goes on.
    """
    import time

    from pyimgano.core.errors import PyimganoError
    from pyimgano.workbench.commands.console import ConsoleProgress
    from pyimgano.workbench.commands.predicting import tell
    from pyimgano.workbench.inference.shards import ShardedOutput
    from pyimgano.workbench.inference.sources import InputList
    from pyimgano.workbench.inference.stream import Summary
    from pyimgano.workbench.processes import run_requests

    assert destination.path is not None
    sources = InputList(inputs)
    progress = ConsoleProgress()
    asked = {
        "models": {"kind": source["kind"], "fingerprint": source["fingerprint"], "category": category},
        "inputs": list(inputs),
        "wanted": dataclasses.asdict(wanted),
    }
    output = ShardedOutput(
        destination.path,
        asked,
        sources,
        size=shard_size or SHARD_IMAGES,
        replace=destination.replace,
        check=models.choose,
        notes=sources.omissions.notes,
    )
    common: dict[str, Any] = {
        "models": {**asked["models"], "path": os.path.abspath(source["path"])},  # type: ignore[dict-item]
        "wanted": asked["wanted"],
        "batch_size": batch_size,
        "folder": str(output.folder),
    }
    with output:
        known = {shard.number: output.summary(shard) for shard in output.shards}
        missing = [shard for shard in output.shards if known[shard.number] is None]
        total = Summary()
        for summary in known.values():
            total = total if summary is None else total.plus(summary)
        earlier, failed = total.images, []
        started = time.perf_counter()
        with progress.stage("Score images", sum(shard.images for shard in missing)) as advance:

            def done(index: int, answer: dict[str, Any]) -> None:
                nonlocal total
                shard = missing[index]
                if "error" in answer:
                    failed.append(f"images {shard.first} to {shard.first + shard.images - 1}: {answer['error']}")
                    progress.note(failed[-1])
                    return
                total = total.plus(Summary(**answer["summary"]))
                advance(shard.images)

            requests = [{**common, "number": shard.number, "first": shard.first, "key": shard.key} for shard in missing]
            run_requests(
                requests,
                done,
                module="pyimgano.workbench.inference.shard_worker",
                execution=execution,
                shared=output.folder,
                note=progress.note,
            )
        seconds = time.perf_counter() - started
        if failed:
            raise PyimganoError(
                f"{len(failed)} of {len(output.shards)} shards failed; the first: {failed[0]}",
                where=str(output.folder),
                hint="what is done is kept: the same command goes on with what is missing",
            )
    place = str(Path(destination.path, "predictions.json"))
    tell(total, seconds, place, output.notes, max_errors, as_json=as_json, earlier=earlier)
