from __future__ import annotations

import pytest
from pyimgano.core.images import write_png
from pyimgano.core.testing import make_check_images


@pytest.fixture
def lots(tmp_path):
    """A folder of images with verdicts in their names: six lots of good ones, one of them with defective ones, too."""
    images = make_check_images(train=24, good=6, defective=4)
    folder = tmp_path / "parts"
    folder.mkdir()
    for index, image in enumerate([*images.train, *images.good]):
        write_png(image, folder / f"L{index // 5}-{index:03}_OK.png")
    for index, image in enumerate(images.defective):
        write_png(image, folder / f"L5-{900 + index}_NG.png")
    return folder
