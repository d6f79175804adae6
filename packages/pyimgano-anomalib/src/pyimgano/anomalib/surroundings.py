"""What anomalib and Lightning find and leave: seeded global generators, no noise, no folders, all put back."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import warnings
from collections.abc import Iterator

import numpy as np

__all__ = ["quiet", "seeded"]

logger = logging.getLogger(__name__)
_LOGGERS = ("anomalib", "lightning", "lightning.fabric", "lightning.pytorch", "lightning_fabric", "pytorch_lightning")


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, which anomalib draws from, and give them their states back afterwards.

    Random numbers drawn inside are those that anomalib draws after ``lightning.seed_everything(seed)``. torch is told
    to take deterministic algorithms where there are such.
    """
    import torch

    with torch.random.fork_rng():
        python_state, numpy_state = random.getstate(), np.random.get_state()
        deterministic = torch.are_deterministic_algorithms_enabled()
        only_warns = torch.is_deterministic_algorithms_warn_only_enabled()
        try:
            random.seed(seed)
            np.random.set_state(np.random.RandomState(seed).get_state())
            torch.manual_seed(seed)
            torch.use_deterministic_algorithms(True, warn_only=True)
            yield
        finally:
            torch.use_deterministic_algorithms(deterministic, warn_only=only_warns)
            np.random.set_state(numpy_state)
            random.setstate(python_state)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what the libraries print, log and warn from the terminal; errors are raised all the same."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
    if printed.getvalue():
        logger.debug("anomalib printed: %s", printed.getvalue())
