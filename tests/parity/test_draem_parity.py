"""Given the same weights, DRÆM's reconstructions, maps, losses and gradients are anomalib's to 1e-4. Some 10 s.

Its networks have biases in front of normalisations, and see the image before its reconstruction; both are translated.
"""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.draem import Draem

SIDE = 64


def convolutions(*modules):
    import torch

    kinds = (torch.nn.Conv2d, torch.nn.BatchNorm2d)
    return [part for module in modules for part in module.modules() if isinstance(part, kinds)]


@pytest.fixture(scope="module")
def pair(reference, photographs):
    """Return our fitted detector, narrower than the paper's, and the reference with its weights."""
    import torch
    from anomalib.models.image.draem.torch_model import (
        DiscriminativeSubNetwork,
        DraemModel,
        ReconstructiveSubNetwork,
    )

    ours = Draem(
        input_size=SIDE,
        reconstruction_width=6,
        segmentation_width=4,
        learning_rate=3e-3,
        epochs=6,
        batch_size=4,
        device="cpu",
    ).fit(photographs)
    theirs = DraemModel()
    theirs.reconstructive_subnetwork = ReconstructiveSubNetwork(base_width=6)
    theirs.discriminative_subnetwork = DiscriminativeSubNetwork(in_channels=6, out_channels=2, base_width=4)
    reconstruction, segmentation = (ours._network.trained[name] for name in ("reconstruction", "segmentation"))
    decoder = [part for level in zip(segmentation.up, segmentation.merge) for part in level]
    sources = convolutions(reconstruction, segmentation.encoder, *decoder, segmentation.output)
    targets = convolutions(theirs)
    assert len(sources) == len(targets)
    generator = torch.Generator().manual_seed(0)
    first = segmentation.encoder[0][0]
    with torch.no_grad():
        for place, (source, target) in enumerate(zip(sources, targets)):
            target.load_state_dict(source.state_dict(), strict=False)
            if source is first:
                target.weight.copy_(source.weight[:, [3, 4, 5, 0, 1, 2]])
            if isinstance(source, torch.nn.Conv2d) and source.bias is None:
                target.bias.copy_(0.1 * torch.randn(target.bias.shape, generator=generator))
            elif isinstance(source, torch.nn.BatchNorm2d):
                target.running_mean.add_(targets[place - 1].bias)
    return ours, theirs, list(zip(sources, targets))


@pytest.fixture(scope="module")
def drawn(pair, solar_cells):
    """Return good images, the same with defects, and where these are, as tensors."""
    import torch

    ours = pair[0]
    batch = ours._network.defects([ours.prepare(cell) for cell in solar_cells[:6]], np.random.default_rng(1))
    good, texture = (torch.from_numpy(a).permute(0, 3, 1, 2) / 255.0 for a in (batch.good, batch.texture))
    opacity = torch.from_numpy(batch.opacity)[:, None]
    assert 0.01 < float((opacity > 0).float().mean()) < 0.5
    return good, (1 - opacity) * good + opacity * texture, opacity > 0


@pytest.mark.parametrize("images", ["solar_cells", "photographs"])
def test_maps_are_the_references_and_scores_their_greatest_mean(request, pair, relative_difference, images):
    """The reference scores an image by the maximum of its map; the paper smooths it before."""
    import torch
    from scipy.ndimage import uniform_filter

    ours, theirs, _ = pair
    chosen = request.getfixturevalue(images)[-5:]
    scores = ours.infer(chosen)
    pixels = torch.from_numpy(np.stack([ours.prepare(image) for image in chosen])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        answer = theirs.eval()(pixels / 255.0)
    maps = answer.anomaly_map.numpy()
    assert np.ptp(maps) > 0.01
    assert relative_difference(scores.maps, maps) <= 1e-4
    smooth = [uniform_filter(one.astype(np.float64), 21, mode="constant").max() for one in maps]
    assert relative_difference(scores.image_scores, np.array(smooth)) <= 1e-4
    assert (answer.pred_score.numpy() > scores.image_scores).all()


def test_reconstructions_and_logits_are_the_references(pair, drawn, relative_difference):
    import torch

    ours, theirs, _ = pair
    _, defective, _ = drawn
    ours._network.learn(False)
    theirs.eval()
    with torch.no_grad():
        reconstruction, logits = ours._network.reconstruct(defective)
        expected = theirs.reconstructive_subnetwork(defective)
        expected_logits = theirs.discriminative_subnetwork(torch.cat([defective, expected], dim=1))
    assert relative_difference(reconstruction.numpy(), expected.numpy()) <= 1e-4
    assert relative_difference(logits.numpy(), expected_logits.numpy()) <= 1e-4


def test_the_three_losses_and_their_gradients_are_the_references(pair, drawn):
    """But for the classes' weights: the reference's α = 1 leaves the good pixels out, the paper's code has equal ones.

    Its own loss function, with α = ½ for equal classes, gives half of the paper's mean over pixels. In float64, since
    the normalisation of small batches enlarges what single precision rounds.
    """
    from copy import deepcopy

    import torch
    from anomalib.models.image.draem.loss import DraemLoss
    from kornia.losses import focal_loss

    ours, theirs, parts = pair
    good, defective, mask = drawn[0].double(), drawn[1].double(), drawn[2]
    parameters = ours.trainable("full")
    network, theirs, parts = deepcopy((ours._network, theirs, parts))  # in one, so that the parts stay theirs
    network.double().learn(True)
    theirs.double()
    losses = network.losses(good, defective, mask)
    torch.stack(losses).sum().backward()

    theirs.train()
    reconstruction, prediction = theirs(defective)
    reference = DraemLoss()
    focal = focal_loss(prediction, mask[:, 0].long(), alpha=0.5, gamma=2.0, reduction="none")
    expected = (
        reference.l2_loss(reconstruction, good),
        2.0 * reference.ssim_loss(reconstruction, good),
        2.0 * focal.sum() / mask.numel(),
    )
    torch.stack(expected).sum().backward()
    for loss, other in zip(losses, expected):
        assert float(loss.detach()) == pytest.approx(float(other.detach()), rel=1e-4)
    compared = 0
    for source, target in parts[1:]:
        for name, parameter in source.named_parameters():
            theirs_of = getattr(target, name).grad
            if parameter.shape[1:2] == (6,) and parameter.shape[0] == 4:
                theirs_of = theirs_of[:, [3, 4, 5, 0, 1, 2]]
            assert float((parameter.grad - theirs_of).norm()) <= 1e-3 * float(theirs_of.norm()) + 1e-7
            compared += 1
    assert compared == len(parameters) - 1
