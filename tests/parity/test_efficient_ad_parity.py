"""Given the same weights and the same lots, EfficientAD's maps, losses and gradients are anomalib's to 1e-4."""

from __future__ import annotations

import numpy as np
import pytest

from pyimgano.models.efficient_ad import EfficientAd

SIDE = 128
SIZES = {"small": "S", "medium": "M"}


def their_state(network, names):
    """Return a state dict under the reference's names: our convolutions in order, theirs by ``names``."""
    tensors = iter(network.state_dict().values())
    return {f"{name}.{kind}": next(tensors) for name in names for kind in ("weight", "bias")}


def copied(ours, theirs):
    """Copy our networks' weights, and what was learned without gradients."""
    from torch import nn

    network = ours._network
    trained, scale = network.trained, network.trained["scale"]
    names = [f"conv{n + 1}" for n in range(len(trained["student"].convs))]
    theirs.student.load_state_dict(their_state(trained["student"], names))
    theirs.teacher.load_state_dict(their_state(network.teacher.network.network, names))
    if min(ours.extractor.input_size) < 256:  # the reference knows no smaller image; all else of it can
        theirs.ae.encoder.enconv6 = nn.Conv2d(64, 64, trained["autoencoder"].encoder[-1].kernel_size)
    down, up = ([f"{kind}{n}" for n in range(1, last)] for kind, last in (("enconv", 7), ("deconv", 9)))
    theirs.ae.encoder.load_state_dict(their_state(trained["autoencoder"].encoder, down))
    theirs.ae.decoder.load_state_dict(their_state(trained["autoencoder"].decoder, up))
    theirs.mean_std.update({"mean": scale.mean.contiguous(), "std": scale.deviation.contiguous()})
    levels = zip(("qa_st", "qb_st", "qa_ae", "qb_ae"), scale.levels.flatten())
    theirs.quantiles.update({name: level.clone() for name, level in levels})
    return theirs.eval()


def made(images, size, padding):
    """Return our detector, with learned scales and weights that one step has moved, and the reference with the same."""
    import torch
    from anomalib.models.image.efficient_ad.torch_model import EfficientAdModel, EfficientAdModelSize

    ours = EfficientAd(model_size=size, padding=padding, weights="random", input_size=SIDE, device="cpu")
    ours.trainable("full")
    ours.begin_training(images)
    with torch.no_grad():  # an untrained student answers nearly 0, an untrained autoencoder everywhere the same
        for name, parameter in ours._network.trained.named_parameters():
            if "weight" in name:
                parameter *= 1.5
    ours.finish_training(images)
    size = EfficientAdModelSize[SIZES[size]]
    return ours, copied(ours, EfficientAdModel(384, size, padding=padding, pad_maps=not padding))


def theirs_input(ours, images):
    import torch

    pixels = torch.from_numpy(np.stack([ours.prepare(image) for image in images])).permute(0, 3, 1, 2)
    return pixels.to(torch.float32).div(255.0)


@pytest.fixture(scope="module")
def small(reference, photographs):
    return made(photographs[:1], "small", padding=False)


@pytest.fixture(scope="module")
def padded(reference, photographs):
    return made(photographs[:1], "small", padding=True)


@pytest.fixture(scope="module")
def medium(reference, photographs):
    return made(photographs[:1], "medium", padding=False)


@pytest.mark.parametrize("pair", ["small", "padded", "medium"])
def test_scores_and_maps_are_the_references(request, photographs, relative_difference, pair):
    import torch

    ours, theirs = request.getfixturevalue(pair)
    chosen = photographs[2:3] if pair == "medium" else photographs[2:4]
    scores = ours.infer(chosen)
    x = theirs_input(ours, chosen)
    with torch.inference_mode():
        answer = theirs(x)
    assert np.ptp(scores.maps) > 0.1
    assert relative_difference(scores.image_scores, answer.pred_score[:, 0].numpy()) <= 1e-4
    assert relative_difference(scores.maps, answer.anomaly_map[:, 0].numpy()) <= 1e-4


def test_both_maps_are_the_references_before_they_are_scaled(small, photographs, relative_difference):
    import torch

    ours, theirs = small
    chosen = photographs[4:5]
    with torch.inference_mode():
        grids = ours._network.difference_maps(torch.from_numpy(np.stack([ours.prepare(image) for image in chosen])))
        maps = theirs.get_maps(theirs_input(ours, chosen))
    for grid, expected in zip(grids, maps):
        framed = np.pad(grid.numpy(), ((0, 0), (4, 4), (4, 4)))
        whole = torch.nn.functional.interpolate(torch.from_numpy(framed)[:, None], size=SIDE, mode="bilinear")
        assert relative_difference(whole[:, 0].numpy(), expected[:, 0].numpy()) <= 1e-4


def test_the_three_losses_and_their_gradient_are_the_references(small, photographs):
    import torch

    from pyimgano.models.colour_changes import change_colours
    from pyimgano.models.feature_autoencoder import FeatureDropout

    class Dropped(torch.nn.Module):
        def __init__(self, drop):
            super().__init__()
            self.drop = drop

        def forward(self, x):
            return self.drop(x) if self.training else x

    ours, theirs = small
    network = ours._network
    chosen, others = photographs[1:3], photographs[3:4]
    pixels, penalty = (
        torch.from_numpy(np.stack([ours.prepare(image) for image in images])).to(torch.float32)
        for images in (chosen, others)
    )
    changed = change_colours(pixels, np.random.default_rng(0))
    parameters = ours.trainable("full")
    network.learn(True)
    losses = network.losses(pixels, changed, penalty, FeatureDropout(np.random.default_rng(1)))
    sum(losses).backward()

    drop = FeatureDropout(np.random.default_rng(1))
    for place in range(1, 7):
        setattr(theirs.ae.decoder, f"dropout{place}", Dropped(drop))
    theirs.choose_random_aug_image = lambda image: changed.permute(0, 3, 1, 2) / 255.0
    theirs.train()
    theirs.zero_grad()
    expected = theirs(theirs_input(ours, chosen), theirs_input(ours, others))
    sum(expected).backward()
    theirs.eval()

    found = losses.hard + losses.penalty, losses.autoencoder, losses.student_autoencoder
    for term, their_term in zip(found, expected):
        assert float(term.detach()) == pytest.approx(float(their_term.detach()), rel=1e-4)
    assert float(losses.penalty.detach()) > 0.001 * float(losses.hard.detach())
    their_parameters = [*theirs.student.parameters(), *theirs.ae.parameters()]
    gradient, their_gradient = (
        torch.cat([parameter.grad.flatten() for parameter in group]) for group in (parameters, their_parameters)
    )
    assert float((gradient - their_gradient).norm() / their_gradient.norm()) <= 1e-3
    network.learn(False)


def test_the_autoencoder_is_the_references_at_the_papers_size(reference):
    import torch
    from anomalib.models.image.efficient_ad.torch_model import AutoEncoder, imagenet_norm_batch

    from pyimgano.models.feature_autoencoder import FeatureAutoencoder

    for size, padding in (((256, 256), True), ((256, 330), False)):
        theirs = AutoEncoder(24, padding).eval()
        less = 0 if padding else 8
        ours = FeatureAutoencoder(24, size, tuple(-(-side // 4) - less for side in size))
        ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values())))
        x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            torch.testing.assert_close(ours(imagenet_norm_batch(x)), theirs(x, size), rtol=1e-4, atol=1e-5)


def test_the_levels_are_quantiles_of_what_is_described_and_the_reference_counts_its_frame_of_zeros(
    small, padded, photographs, relative_difference
):
    import torch

    def both_levels(pair):
        ours, theirs = pair
        with torch.inference_mode():
            maps = theirs.get_maps(theirs_input(ours, photographs[:1]))
        expected = np.array([[float(torch.quantile(one, level)) for level in (0.9, 0.995)] for one in maps])

        return ours._network.trained["scale"].levels.numpy(), expected

    assert relative_difference(*both_levels(padded)) <= 1e-4
    ours, theirs = both_levels(small)
    assert (theirs[:, 0] < 0.98 * ours[:, 0]).all()


def test_changes_of_colour_are_torchvisions(reference, photographs):
    import torch
    from torchvision.transforms import functional

    from pyimgano.models.colour_changes import change_colours

    image = torch.from_numpy(photographs[3][:64, :96].copy()).to(torch.float32)
    as_theirs = image.permute(2, 0, 1) / 255.0
    seen = set()
    for seed in range(12):
        changed = change_colours(image[None], np.random.default_rng(seed))[0].permute(2, 0, 1) / 255.0
        chance = np.random.default_rng(seed)
        kind, factor = int(chance.integers(3)), float(chance.uniform(0.8, 1.2))
        adjust = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)[kind]
        torch.testing.assert_close(changed, adjust(as_theirs, factor), rtol=1e-4, atol=1e-5)
        seen.add(kind)
    assert seen == {0, 1, 2}
