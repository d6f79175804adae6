"""Maps and masks that the metrics are measured on, in memory on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.measure import serve


def make(folder: str, *, images: int, size: int, seed: int) -> dict[str, Any]:
    """Write smooth maps in [0, 1] and masks of a few ellipses in every other image.

    In [0, 1], for the peer's metrics would squash other scores by a sigmoid first.

    Parameters
    ----------
    folder : str
        Where to: ``maps.npy`` (n, size, size) float32 and ``masks.npy`` of bool.
    images : int
        Number of images.
    size : int
        Their side.
    seed : int
        Of the draws.

    Returns
    -------
    dict
        Numbers of pixels, and of defective ones.
    """
    import cv2
    import numpy as np

    rng = np.random.default_rng(seed)
    shape = (images, size, size)
    maps = np.lib.format.open_memmap(Path(folder, "maps.npy"), mode="w+", dtype=np.float32, shape=shape)
    masks = np.lib.format.open_memmap(Path(folder, "masks.npy"), mode="w+", dtype=np.bool_, shape=shape)
    low, high = np.inf, -np.inf
    for index in range(images):
        noise = rng.standard_normal((size // 8, size // 8), dtype=np.float32)
        scores = 4.0 * cv2.resize(cv2.GaussianBlur(noise, (0, 0), 2), (size, size), interpolation=cv2.INTER_CUBIC)
        mask = np.zeros((size, size), dtype=np.uint8)
        for _ in range(int(rng.integers(1, 4)) if index % 2 else 0):
            centre = tuple(int(v) for v in rng.integers(0, size, 2))
            axes = tuple(int(v) for v in rng.integers(size // 32, size // 6, 2))
            cv2.ellipse(mask, centre, axes, float(rng.integers(0, 180)), 0, 360, 1, -1)
        scores += 2.5 * cv2.GaussianBlur(mask.astype(np.float32), (0, 0), size / 64)
        maps[index], masks[index] = scores, mask
        low, high = min(low, float(scores.min())), max(high, float(scores.max()))
    for index in range(images):
        maps[index] = np.clip((maps[index] - low) / (high - low), 0.0, 1.0)
    defective = int(masks.sum())
    maps.flush()
    masks.flush()
    return {"pixels": images * size * size, "defective_pixels": defective}


def load(folder: str) -> tuple[Any, Any]:
    """Read both into memory.

    Parameters
    ----------
    folder : str
        Of :func:`make`.

    Returns
    -------
    maps, masks : ndarray
        (n, size, size), float32 and bool.
    """
    import numpy as np

    return np.load(Path(folder, "maps.npy")), np.load(Path(folder, "masks.npy"))


def image_scores(count: int, seed: int) -> tuple[Any, Any]:
    """Return float64 scores and their labels, as many good as defective.

    Parameters
    ----------
    count : int
        Number of scores.
    seed : int
        Of the draw.

    Returns
    -------
    scores, labels : ndarray
        (count,), in no order.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 2)
    return rng.standard_normal(count) + 1.5 * labels, labels


def resident_mb() -> float | None:
    """Return the memory that this process holds now, in MB (10**6 bytes); None where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS:")), None)


if __name__ == "__main__":
    serve({"make": make})
