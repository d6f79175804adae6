"""With the same teacher, embedding and decoder, reverse distillation's loss, scores and maps are anomalib's to 1e-4."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.reverse_distillation import ReverseDistillation

SIDE = 128
LAYERS = ["layer1", "layer2", "layer3"]


@pytest.fixture(scope="module", params=["resnet18", pytest.param("wide_resnet50_2", marks=pytest.mark.long)])
def pair(request, reference, solar_cells):
    """Return our fitted detector and the reference with its networks' weights."""
    from anomalib.models.image.reverse_distillation.anomaly_map import AnomalyMapGenerationMode
    from anomalib.models.image.reverse_distillation.components.bottleneck import OCBE
    from anomalib.models.image.reverse_distillation.torch_model import ReverseDistillationModel
    from torchvision.models.resnet import Bottleneck

    ours = ReverseDistillation(
        f"timm/{request.param}", weights="random", input_size=SIDE, epochs=1, batch_size=4, device="cpu"
    )
    ours.fit(solar_cells[:8])
    theirs = ReverseDistillationModel(
        backbone=request.param,
        input_size=(SIDE, SIDE),
        layers=LAYERS,
        anomaly_map_mode=AnomalyMapGenerationMode.ADD,
        pre_trained=False,
    )
    if request.param.startswith("wide"):  # the paper's code makes the embedding of a wide ResNet wide too
        theirs.bottleneck = OCBE(Bottleneck, 3, width_per_group=128)
    network = ours._network
    theirs.encoder.feature_extractor.load_state_dict(network.teacher.network.state_dict())
    embedding, decoder = network.trained["embedding"], network.trained["decoder"]
    fused = theirs.bottleneck
    copy([fused.conv1, fused.bn1, fused.conv2, fused.bn2], embedding.from_fine)
    copy([fused.conv3, fused.bn3], embedding.from_middle)
    copy([fused.bn_layer], embedding.embed)
    copy([theirs.decoder.layer1, theirs.decoder.layer2, theirs.decoder.layer3], decoder.stages)
    return ours, theirs


def copy(theirs, ours):
    """Copy weights between modules whose parts come in the same order."""
    targets = [tensor for module in theirs for tensor in module.state_dict().values()]
    sources = list(ours.state_dict().values())
    assert [t.shape for t in targets] == [s.shape for s in sources]
    for target, source in zip(targets, sources):
        target.copy_(source)


def as_their_input(detector, images):
    import torch

    backbone = detector.extractor.backbone
    pixels = torch.from_numpy(np.stack([detector.prepare(image) for image in images])).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (backbone.mean, backbone.std))
    return ((pixels - mean) / std).contiguous()


@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_scores_and_maps_are_the_references(request, pair, relative_difference, images):
    import torch

    ours, theirs = pair
    chosen = request.getfixturevalue(images)[-5:]
    scores = ours.infer(chosen)
    with torch.inference_mode():
        answer = theirs.eval()(as_their_input(ours, chosen))
    assert np.ptp(scores.image_scores) > 0.01 * scores.image_scores.max()
    assert relative_difference(scores.image_scores, answer.pred_score[:, 0].numpy()) <= 1e-4
    assert relative_difference(scores.maps, answer.anomaly_map[:, 0].numpy()) <= 1e-4


def test_the_loss_is_the_references(pair, solar_cells):
    from anomalib.models.image.reverse_distillation.loss import ReverseDistillationLoss

    ours, theirs = pair
    batch = solar_cells[20:24]
    encoded, decoded = theirs.train()(as_their_input(ours, batch))
    expected = ReverseDistillationLoss()([e.contiguous() for e in encoded], [d.contiguous() for d in decoded])
    loss = ours.training_step(batch)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
