"""The tiling rows: one large image in tiles, and the same model on the same pixels without tiling."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measure import peak_rss_mb, serve

TILE = 512


def _surface() -> Any:
    """Return a photograph of gravel, 512 × 512, as the installed scikit-image carries it."""
    from pyimgano.core.images import read_image

    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    return read_image(Path(spec.origin).parent / "data" / "gravel.png")


def write_image(side: int, path: str) -> dict[str, Any]:
    """Write a square image made of the photograph, and return nothing of interest."""
    import numpy as np

    from pyimgano.core.images import write_png

    times = -(-side // TILE)
    write_png(np.tile(_surface(), (times, times, 1))[:side, :side], path)
    return {}


def score(side: int, path: str, threads: int) -> dict[str, Any]:
    """Score one large image by PatchCore in tiles, then as many files of a tile's size by the same model.

    Returns
    -------
    dict
        ``extra_mb`` (peak memory beyond the loaded model that has scored), ``image_mb``, ``tiled_pixels`` and
        ``whole_pixels`` (pixels that the model was given, per second), ``tiles``.
    """
    import numpy as np
    import torch

    from pyimgano.core.creation import create_model
    from pyimgano.core.images import write_png
    from pyimgano.workbench.pipeline import Pipeline
    from pyimgano.workbench.scoring import score_stream
    from pyimgano.workbench.tiling import Tiling

    torch.set_num_threads(threads)
    surface = _surface()
    model = create_model("patchcore", input_size=224, coreset_sampling_ratio=0.1, device="cpu")
    model.fit([surface, surface[::-1].copy(), surface[:, ::-1].copy()])
    pipeline = Pipeline(model, tiling=Tiling((TILE, TILE)))
    pipeline.infer([np.tile(surface, (2, 2, 1))])
    before = peak_rss_mb()
    tiles = len(Tiling((TILE, TILE)).grids((side, side))[0])
    start = time.perf_counter()
    (scored,) = score_stream(pipeline, [path])
    tiled = time.perf_counter() - start
    assert scored.error is None, scored.error
    extra = peak_rss_mb() - before
    files = []
    for shift in range(16):
        files.append(f"{path}.{shift}.png")
        write_png(np.roll(surface, 32 * shift, axis=0), files[-1])
    count = -(-tiles // len(files)) * len(files)
    start = time.perf_counter()
    for _ in score_stream(model, files * (count // len(files))):
        pass
    whole = time.perf_counter() - start
    return {
        "extra_mb": extra,
        "image_mb": side * side * 3 / 2**20,
        "tiled_pixels": tiles * TILE * TILE / tiled,
        "whole_pixels": count * TILE * TILE / whole,
        "tiles": tiles,
    }


if __name__ == "__main__":
    serve({"write": write_image, "score": score})
