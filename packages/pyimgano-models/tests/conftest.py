"""What the tests of the models share: a cache of their own, and real photographs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Graphs are exported once per test session, into a cache that nothing else uses."""
    before = os.environ.get("PYIMGANO_CACHE_DIR")
    os.environ["PYIMGANO_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["PYIMGANO_CACHE_DIR"]
    else:
        os.environ["PYIMGANO_CACHE_DIR"] = before


@pytest.fixture(scope="session")
def photographs() -> dict[str, np.ndarray]:
    """scikit-image's own photographs, RGB uint8."""
    import skimage.data

    names = ("astronaut", "brick", "chelsea", "coffee", "grass", "gravel")
    images = {name: getattr(skimage.data, name)() for name in names}
    return {k: np.repeat(v[..., None], 3, axis=2) if v.ndim == 2 else v for k, v in images.items()}
