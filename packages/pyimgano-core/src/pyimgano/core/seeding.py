"""Seeds are arguments. From one seed, every part of a run derives its own, so that adding a part shifts no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    import numpy as np

__all__ = ["derive_seed", "generator"]


def derive_seed(seed: int, *parts: Union[str, int]) -> int:
    """Return a seed in [0, 2**32) that depends on ``seed`` and on the names of the part that will use it.

    The same on every platform and Python version (SHA-256 of the parts, not ``hash``).
    """
    import hashlib

    text = "\x1f".join([str(int(seed)), *(str(part) for part in parts)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8")).digest()[:4], "little")


def generator(seed: int, *parts: Union[str, int]) -> np.random.Generator:
    """Return a NumPy generator seeded by :func:`derive_seed`."""
    import numpy as np

    return np.random.default_rng(derive_seed(seed, *parts))
