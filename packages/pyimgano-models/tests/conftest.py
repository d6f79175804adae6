"""What the tests of the models share: a cache of their own, and real photographs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

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


@pytest.fixture(scope="session")
def crops(photographs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Twelve crops of brick, grass and gravel, 150 × 130."""
    images = [photographs[name] for name in ("brick", "grass", "gravel")]
    return [image[top : top + 150, left : left + 130] for top in (0, 200) for left in (30, 250) for image in images]


def _run_graph(path: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    import onnxruntime

    from pyimgano.core.resizing import resize_image

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.type) == ("image", "tensor(uint8)")
    assert session.get_modelmeta().custom_metadata_map["pyimgano.resize"] == "area"
    names = [output.name for output in session.get_outputs()]
    pixels = resize_image(image, tuple(given.shape[1:3]))[None]
    return dict(zip(names, session.run(names, {"image": pixels})))


@pytest.fixture(scope="session")
def run_graph() -> Callable[[Path, np.ndarray], dict[str, np.ndarray]]:
    """Give the outputs of a graph for an image of any size, as a program without Python would get them."""
    return _run_graph


@pytest.fixture(scope="session")
def graph_agrees() -> Callable[[Path, Any, list[np.ndarray]], None]:
    """Assert that a graph gives a detector's scores and maps of images, within the tolerance of exports."""
    from pyimgano.models.graph_export import TOLERANCE

    def check(path: Path, detector: Any, images: list[np.ndarray]) -> None:
        scores = detector.infer(images)
        assert np.ptp(scores.image_scores) > 10 * TOLERANCE * np.abs(scores.image_scores).max()
        for index, image in enumerate(images):
            outputs = _run_graph(path, image)
            assert set(outputs) == ({"score"} if scores.maps is None else {"score", "map"})
            assert all(output.dtype == np.float32 for output in outputs.values())
            assert outputs["score"].shape == (1,)
            np.testing.assert_allclose(outputs["score"][0], scores.image_scores[index], rtol=TOLERANCE)
            if scores.maps is not None:
                assert outputs["map"].shape == (1, *scores.maps.shape[1:])
                difference = np.abs(outputs["map"][0] - scores.maps[index]).max()
                assert difference <= TOLERANCE * np.abs(scores.maps[index]).max()

    return check
