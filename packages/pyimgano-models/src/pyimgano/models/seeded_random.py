"""The global random generators of other libraries, seeded for a moment and put back as they were."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["seeded_random"]


@contextmanager
def seeded_random(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, NumPy and (where it is loaded) torch's CPU inside the block.

    For code of others that draws from them: what it draws follows from the seed, and the rest of the program draws what
    it would have drawn.

    Parameters
    ----------
    seed : int
        In [0, 2**32).
    """
    python, state = random.getstate(), np.random.get_state()
    torch = sys.modules.get("torch")
    drawn = None if torch is None else torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)  # noqa: TID251 - what others draw from, and put back below
    if torch is not None:
        torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(state)
        if torch is not None:
            torch.set_rng_state(drawn)
