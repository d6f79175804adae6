"""A process that scores shards of images; see :mod:`pyimgano.workbench.inference.shards`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

from pyimgano.core.errors import RunError
from pyimgano.core.files import atomic_open, dump_json, sha256_file
from pyimgano.workbench.inference.models import FittedModels
from pyimgano.workbench.inference.shards import done_file, predictions_file, read_shard
from pyimgano.workbench.inference.stream import Summary
from pyimgano.workbench.inference.wanted import WantedOutput, score_inputs
from pyimgano.workbench.processes import serve_requests
from pyimgano.workbench.records import RecordWriter

__all__ = ["main", "score_shard"]


def main() -> None:
    """Serve standard input."""
    serve_requests(score_shard)


def score_shard(request: dict[str, Any]) -> dict[str, Any]:
    """Write a shard's records and pictures, and then that it is done.

    Parameters
    ----------
    request : mapping
        ``models`` (``kind``, ``path``, ``fingerprint``, ``category``), ``wanted``, ``batch_size``, ``folder``,
        ``number``, ``first``, ``key``.

    Returns
    -------
    dict
        ``{"summary": …}``
    """
    folder, number, first = Path(request["folder"]), int(request["number"]), int(request["first"])
    what = request["models"]
    models = _models(what["kind"], what["path"], what["fingerprint"], what["category"])
    records = predictions_file(folder, number)
    with atomic_open(records, "wb") as stream:
        found = score_inputs(
            models,
            read_shard(folder, number),
            RecordWriter(stream, "jsonl"),
            folder,
            WantedOutput(**request["wanted"]),
            batch_size=request["batch_size"],
            after=Summary(images=first),  # pictures are numbered among all images
        )
    summary = {**found.to_json(), "images": found.images - first}
    dump_json({"key": request["key"], "sha256": sha256_file(records), "summary": summary}, done_file(folder, number))
    return {"summary": summary}


@lru_cache(maxsize=1)
def _models(kind: str, path: str, fingerprint: str, category: Optional[str]) -> FittedModels:
    models: FittedModels
    if kind == "bundle":
        from pyimgano.workbench.bundle.bundle import load_bundle

        bundle = load_bundle(path, category=category)
        models, found = bundle.models, bundle.fingerprint
    else:
        from pyimgano.workbench.bundle.fingerprint import run_fingerprint
        from pyimgano.workbench.inference.fitted import RunModels
        from pyimgano.workbench.runs import open_run

        run = open_run(path)
        models, found = RunModels(run, category=category), run_fingerprint(run)
    if found != fingerprint:
        raise RunError(f"another {kind} lies here than when the work was begun", where=path)
    return models


if __name__ == "__main__":
    main()
