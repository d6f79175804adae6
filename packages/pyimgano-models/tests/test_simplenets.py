"""What SimpleNet and SuperSimpleNet compute, beside their equations written out, and how defects are learned."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from pyimgano.core.batching import ImageBatches
from pyimgano.core.errors import DatasetError, ImageError, ParameterError
from pyimgano.core.images import read_image
from pyimgano.core.seeding import generator
from pyimgano.models.balanced_epochs import MIRRORINGS, Defects, balanced_epoch
from pyimgano.models.feature_discriminator import truncated_l1
from pyimgano.models.patches import locally_aware_patches
from pyimgano.models.resampled_convolution import JoinedLayers, add_at
from pyimgano.models.simplenet import SimpleNet
from pyimgano.models.simplenet_network import join_layers
from pyimgano.models.supersimplenet import SuperSimpleNet
from pyimgano.models.supersimplenet_network import noise_regions

LITE0 = "efficientnet-lite0"


@pytest.fixture(scope="module")
def textures() -> list[np.ndarray]:
    """Crops of photographs of a brick wall and grass, 64 × 64."""
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image is not installed"
    folder = Path(spec.origin).parent / "data"
    photographs = [read_image(folder / name) for name in ("brick.png", "grass.png")]
    return [p[top : top + 64, left : left + 64] for p in photographs for top in (0, 200) for left in (30, 150, 300)]


def simple(**parameters) -> SimpleNet:
    return SimpleNet(**{"backbone": LITE0, "input_size": 64, "batch_size": 4, "device": "cpu", **parameters})


def supersimple(**parameters) -> SuperSimpleNet:
    small = {"backbone": LITE0, "input_size": 64, "epochs": 1, "batch_size": 4, "device": "cpu"}
    return SuperSimpleNet(**{**small, **parameters})


def random_layers() -> list[torch.Tensor]:
    chance = np.random.default_rng(0)
    return [torch.from_numpy(chance.normal(size=shape)) for shape in ((2, 5, 6, 9), (2, 7, 3, 5))]


def dense(layers, *, scale: int, pooled_first: bool, corners: bool) -> torch.Tensor:
    """Bring layers to one grid by the operations of PyTorch."""
    joined = []
    for layer in layers:
        x = functional.avg_pool2d(layer, 3, 1, 1) if pooled_first else layer
        size = [scale * side for side in layers[0].shape[2:]]
        x = functional.interpolate(x, size=size, mode="bilinear", align_corners=corners)
        joined.append(x if pooled_first else functional.avg_pool2d(x, 3, 1, 1))
    return torch.cat(joined, dim=1)


@pytest.mark.parametrize("taps", [1, 3, 5])
@pytest.mark.parametrize(
    "how", [{"scale": 1, "pooled_first": True, "corners": False}, {"scale": 2, "pooled_first": False, "corners": True}]
)
def test_convolving_coarse_layers_is_convolving_what_they_become_on_the_grid(taps: int, how) -> None:
    layers = [layer.float().requires_grad_(True) for layer in random_layers()]
    chance = np.random.default_rng(1)
    kernel = torch.from_numpy(chance.normal(size=(4, 12, taps, taps))).float().requires_grad_(True)
    features = dense(layers, **how)
    places = torch.tensor([[0, 0, 0], [1, 5, 8], [3, 2, 3], [3, 2, 4]])
    vectors = torch.from_numpy(chance.normal(size=(4, 12))).float()
    noise = torch.zeros(4, *features.shape[1:])
    for (image, row, column), vector in zip(places.tolist(), vectors):
        noise[image, :, row, column] = vector
    expected = functional.conv2d(torch.cat([features, features]) + noise, kernel, padding=taps // 2)
    found = add_at(JoinedLayers(layers, **how).convolve(kernel), kernel, places, vectors, copies=2)
    assert found.is_contiguous(memory_format=torch.channels_last) or taps > 1
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
    weight = torch.linspace(-1, 1, expected.numel()).view_as(expected)
    inputs = [kernel, *layers]
    theirs = torch.autograd.grad((weight * expected).sum(), inputs)
    for ours, reference in zip(torch.autograd.grad((weight * found).sum(), inputs), theirs):
        torch.testing.assert_close(ours, reference, rtol=1e-4, atol=1e-4)


def test_simplenets_features_are_patchcores(textures) -> None:
    detector = simple()
    detector.trainable()
    with torch.no_grad():
        network = detector._network
        joined = join_layers(network.features_of_teacher(torch.from_numpy(np.stack(textures[:2]))))
        identity = torch.eye(152)[:, :, None, None]
        found = joined.convolve(identity).permute(0, 2, 3, 1).numpy()
    maps = {str(index): layer.numpy() for index, layer in enumerate(joined.layers)}
    np.testing.assert_allclose(found, locally_aware_patches(maps), rtol=1e-5, atol=1e-5)


def test_simplenets_loss_and_scores_are_those_of_its_equations_written_out(textures) -> None:
    detector = simple(learning_rate=1e-3, map_sigma=0.0, epochs=2).fit(textures[:4])
    trained = detector._network.trained
    chance = generator(detector.seed, "SimpleNet", "step", detector._steps)
    parameters = detector.trainable()
    with torch.no_grad():
        layers = detector._network.features_of_teacher(torch.from_numpy(np.stack(textures[4:7])))
    features = dense(layers, scale=1, pooled_first=True, corners=False).permute(0, 2, 3, 1).double()
    projection, first, norm, last = (
        trained["adaptor"].projection,
        trained["discriminator"].first,
        trained["discriminator"].norm,
        trained["discriminator"].last,
    )
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}

    def weights(module):
        return module.weight.double().flatten(1)

    adapted = features @ weights(projection).T + projection.bias
    values = torch.zeros(adapted.shape[:3], dtype=torch.float64)
    for image, grid in enumerate(adapted):
        for row, line in enumerate(grid):
            for column, q in enumerate(line):
                h = weights(first) @ q + first.bias
                h = (h - before["running_mean"]) / torch.sqrt(before["running_var"] + norm.eps)
                h = functional.leaky_relu(h * norm.weight + norm.bias, 0.2)
                values[image, row, column] = weights(last)[0] @ h
    scores = detector.infer(textures[4:7])
    np.testing.assert_allclose(scores.image_scores, values.detach().amax(dim=(1, 2)).numpy(), rtol=1e-4)
    size = {"size": (64, 64), "mode": "bilinear", "align_corners": False}
    rendered = functional.interpolate(values.detach()[:, None], **size)[:, 0].numpy()
    np.testing.assert_allclose(scores.maps, rendered, rtol=1e-3, atol=1e-4)

    detector.trainable()
    loss = detector.training_step(textures[4:7])
    loss.backward()
    noise = torch.from_numpy(chance.standard_normal(adapted.shape, dtype=np.float32)).double() * 0.015
    both = torch.cat([adapted, adapted + noise]) @ weights(first).T + first.bias
    spread = (both - both.mean(dim=(0, 1, 2))) / torch.sqrt(both.var(dim=(0, 1, 2), unbiased=False) + norm.eps)
    judged = functional.leaky_relu(spread * norm.weight + norm.bias, 0.2) @ weights(last)[0]
    expected = torch.clamp(judged[:3] + 0.5, min=0.0).mean() + torch.clamp(0.5 - judged[3:], min=0.0).mean()
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    for parameter, gradient in zip(parameters, torch.autograd.grad(expected, parameters)):
        bound = 1e-3 * float(gradient.norm()) + 1e-5
        assert float((parameter.grad - gradient).norm()) <= bound


def test_the_optimizers_groups_are_the_papers() -> None:
    for detector in (simple(), supersimple(adapt_cls_features=False)):
        groups = detector.make_optimizer(detector.trainable("full")).param_groups
        assert [(group["lr"], group["weight_decay"]) for group in groups] == [(1e-4, 1e-2), (2e-4, 1e-5)]
        assert len(groups[0]["params"]) == 2
        assert [g["lr"] for g in detector.make_optimizer(detector.trainable("adapter")).param_groups] == [1e-4]
        assert [g["lr"] for g in detector.make_optimizer(detector.trainable("last-layers")).param_groups] == [2e-4]


def test_the_learning_rate_falls_at_four_and_nine_tenths() -> None:
    factors = [supersimple().learning_rate_factor(step / 10) for step in range(10)]
    assert factors == pytest.approx([1.0] * 8 + [0.4, 0.16])


def test_the_truncated_l1_counts_nothing_for_a_side_without_values() -> None:
    values = torch.tensor([-1.0, -0.25, 0.5])
    assert float(truncated_l1(values, values[:0])) == pytest.approx((0.25 + 1.0) / 3)
    assert float(truncated_l1(values[:0], values)) == pytest.approx((1.5 + 0.75) / 3)
    assert float(truncated_l1(values[:0], values[:0])) == 0.0


def test_noise_goes_to_some_regions_of_half_of_the_images() -> None:
    regions = noise_regions(400, (16, 24), threshold=0.2, chance=np.random.default_rng(0))
    struck = regions.any(axis=(1, 2))
    assert 0.35 < struck.mean() <= 0.5
    assert 0.1 < regions[struck].mean() < 0.5
    fewer = noise_regions(400, (16, 24), threshold=0.6, chance=np.random.default_rng(0))
    assert fewer.sum() < 0.5 * regions.sum()


# -- learning from defects --------------------------------------------------------------------------------------------


def gradients(detector, part: str, images, masks) -> float:
    parameters = list(detector._network.trained[part].parameters())
    detector.trainable()
    detector.training_step(images, masks).backward()
    return float(sum(p.grad.abs().sum() for p in parameters if p.grad is not None))


def test_the_classifiers_gradient_stops_at_the_map_only_where_all_images_are_good(textures, monkeypatch) -> None:
    """Without the segmentation losses, the segmentation head learns from the classification head alone."""
    import pyimgano.models.supersimplenet_network as network

    zero = lambda clean, noisy: (clean.sum() + noisy.sum()) * 0.0  # noqa: E731
    monkeypatch.setattr(network, "truncated_l1", zero)
    of_images = lambda logits, targets, gamma: logits * (logits.ndim == 1 and len(logits) == 6)  # noqa: E731
    monkeypatch.setattr(network, "focal_loss", of_images)
    mask = np.zeros((64, 64), dtype=bool)
    mask[10:40, 10:40] = True
    good, labelled = supersimple(), supersimple()
    for detector in (good, labelled):
        detector.trainable()
    assert gradients(good, "discriminator", textures[:3], None) == 0.0
    assert gradients(labelled, "discriminator", textures[:3], [None, mask, None]) > 0.0


def test_a_defect_whose_place_is_unknown_teaches_the_classification_head_alone(textures) -> None:
    empty = np.zeros((64, 64), dtype=bool)
    speck = empty.copy()
    speck[20, 20] = True  # no position of the grid is half covered
    for mask in (empty, speck):
        detector = supersimple()
        detector.trainable()
        assert gradients(detector, "classifier", textures[:2], [mask, mask]) > 0.0
        network = detector._network
        from pyimgano.models.supersimplenet_network import _Targets
        from pyimgano.models.trained_networks import TrainingBatch

        batch = TrainingBatch(
            pixels=torch.from_numpy(np.stack(textures[:3])),
            masks=torch.from_numpy(np.stack([mask, empty, ~empty])),
            chance=np.random.default_rng(1),
            defective=torch.tensor([True, False, True]),
        )
        targets = _Targets.of(batch, (16, 16), network.perlin_threshold)
        assert targets.unlocated.tolist() == [True, False, False] * 2
        assert targets.labels[[0, 2, 3, 5]].all()
        assert not targets.noisy[[0, 2, 3, 5]].any()
        assert targets.regions[[2, 5]].all()
        assert targets.noisy[[1, 4]].any()
        assert torch.equal(targets.labels[[1, 4]], targets.noisy[[1, 4]].flatten(1).any(dim=1))


def test_fit_learns_from_defects_with_masks_and_says_how_many(textures, caplog) -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[:32] = True
    labels, masks = [0, 0, 1, 0, 1], [None, None, mask, np.zeros_like(mask), None]
    with caplog.at_level("INFO"):
        detector = supersimple(epochs=2).fit(textures[:5], labels, masks=masks)
    assert "3 good images, 2 defective ones, 1 with a mask" in caplog.text
    assert detector.n_images_ == 5
    assert len(detector.losses_) == 2 * 4  # 2 · 4 · 2 images an epoch, in batches of 4
    assert detector.planned_steps(5) == 2 * 2
    again = supersimple(epochs=2).fit(textures[:5], labels, masks=masks)
    assert again.losses_.tolist() == detector.losses_.tolist()
    by_masks = supersimple(epochs=2).fit(textures[:5], masks=[None, None, mask, None, np.zeros_like(mask)])
    assert by_masks.losses_.tolist() == detector.losses_.tolist()


def test_without_masks_defective_images_are_left_out_as_everywhere(textures) -> None:
    labelled = supersimple().fit(textures[:5], [0, 0, 1, 0, 0])
    good = supersimple().fit([*textures[:2], *textures[3:5]])
    assert labelled.losses_.tolist() == good.losses_.tolist()
    none = supersimple().fit([*textures[:2], *textures[3:5]], masks=[None] * 4)
    assert none.losses_.tolist() == good.losses_.tolist()


def test_labels_teach_the_image_score(textures) -> None:
    """Grass among brick walls: without labels it is as good as they are, with labels it scores higher."""
    bricks, grass = textures[:6], textures[6:]
    learned = supersimple(epochs=6, learning_rate=1e-3).fit(
        [*bricks[:4], *grass[:4]], [0] * 4 + [1] * 4, masks=[None] * 8
    )
    scores = learned.decision_function([*bricks[4:], *grass[4:]])
    assert scores[:2].max() < scores[2:].min(), scores


@pytest.mark.parametrize(
    ("labels", "masks", "message"),
    [
        ([0, 0, 1], [None] * 2, "masks has 2 entries for 3 images"),
        ([0, 0], [None] * 3, "y has 2 entries for 3 images"),
        ([0, 0, 1], [None, None, np.zeros((4, 4, 1), bool)], r"the mask has the shape \(4, 4, 1\)"),
        ([0, 0, 0], [None, None, np.ones((64, 64), bool)], "labelled 0 and has a defect"),
        ([1, 1, 1], [None] * 3, "no good images"),
    ],
)
def test_labels_and_masks_that_do_not_fit_are_refused(textures, labels, masks, message) -> None:
    with pytest.raises(DatasetError, match=message):
        supersimple().fit(textures[:3], labels, masks=masks)


def test_a_defective_image_that_is_none_is_named_by_its_place(textures) -> None:
    with pytest.raises(ImageError, match="image 2"):
        supersimple().fit([*textures[:2], np.zeros((4, 4, 7), np.uint8)], [0, 0, 1], masks=[None] * 3)


def test_a_balanced_epoch_has_every_defect_in_four_mirrorings_and_good_images_in_turn() -> None:
    chance = np.random.default_rng(0)
    good = [np.full((8, 8, 3), value, dtype=np.uint8) for value in range(7)]
    defective = [chance.integers(100, 255, (8, 8, 3), dtype=np.uint8) for _ in range(2)]
    masks = [defective[0][..., 0] > 180, None]
    batches = ImageBatches(good, 5)
    seen: list[int] = []
    for epoch in range(7):
        found = list(balanced_epoch(batches, Defects(defective, masks, [7, 8]), epoch, seed=3))
        assert [len(images) for images, _ in found] == [4, 4, 4, 4]
        pairs = [pair for images, their_masks in found for pair in zip(images, their_masks)]
        seen += [int(image[0, 0, 0]) for image, mask in pairs if mask is None]
        for index, known in enumerate(masks):
            expected = [defective[index][::rows, ::columns] for rows, columns in MIRRORINGS]
            for image, (rows, columns) in zip(expected, MIRRORINGS):
                matching = [mask for other, mask in pairs if np.array_equal(other, image)]
                mirrored = np.zeros((8, 8), bool) if known is None else known[::rows, ::columns]
                assert len(matching) == 1
                np.testing.assert_array_equal(matching[0], mirrored)
    assert sorted(seen) == sorted(list(range(7)) * 8)  # 7 epochs of 8 good images: every one of the 7 eight times


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (simple, {"noise_sigma": 0.0}, "noise_sigma = 0.0"),
        (simple, {"map_sigma": -1.0}, "map_sigma = -1.0"),
        (supersimple, {"noise_sigma": float("nan")}, "noise_sigma = nan"),
        (supersimple, {"perlin_threshold": 1.0}, "perlin_threshold = 1.0"),
        (supersimple, {"adapt_cls_features": "no"}, "adapt_cls_features = 'no'"),
        (supersimple, {"map_sigma": -1.0}, "map_sigma = -1.0"),
    ],
)
def test_parameters_out_of_range_are_refused_with_what_is_allowed(make, parameters, message) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        make(**parameters).validate()
    assert caught.value.allowed
