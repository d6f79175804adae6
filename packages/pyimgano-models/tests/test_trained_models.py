"""How trained detectors learn, what they keep, and what they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from pyimgano.core.batching import ImageBatches
from pyimgano.core.errors import (
    CheckpointError,
    ImageError,
    NotCalibratedError,
    NotFittedError,
    ParameterError,
    PyimganoError,
)
from pyimgano.core.images import read_image
from pyimgano.core.testing import check_finetunable
from pyimgano.models.backbones import resolve_backbone
from pyimgano.models.cflow import CFlow
from pyimgano.models.draem import Draem
from pyimgano.models.efficient_ad import EfficientAd
from pyimgano.models.fastflow import FastFlow
from pyimgano.models.resampling import resampling_matrix
from pyimgano.models.reverse_distillation import ReverseDistillation
from pyimgano.models.reverse_network import BottleneckEmbedding, Decoder, decoder_plan
from pyimgano.models.simplenet import SimpleNet
from pyimgano.models.stfpm import STFPM
from pyimgano.models.supersimplenet import SuperSimpleNet


@pytest.fixture(scope="module")
def textures() -> list[np.ndarray]:
    """Crops of photographs of a brick wall, grass and gravel, 64 × 64."""
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image is not installed"
    folder = Path(spec.origin).parent / "data"
    photographs = [read_image(folder / name) for name in ("brick.png", "grass.png", "gravel.png")]
    return [p[top : top + 64, left : left + 64] for p in photographs for top in (0, 200) for left in (30, 150, 300)]


def stfpm(**parameters) -> STFPM:
    return STFPM(**{**SMALL, **parameters})


def reverse(**parameters) -> ReverseDistillation:
    return ReverseDistillation(**{**SMALL, **parameters})


def fastflow(**parameters) -> FastFlow:
    small = {**SMALL, "flow_steps": 2, "learning_rate": 5e-3}
    return FastFlow(**{**small, **parameters})


def cflow(**parameters) -> CFlow:
    small = {**SMALL, "coupling_blocks": 2, "fibres": 32, "learning_rate": 2e-3}
    return CFlow(**{**small, **parameters})


def draem(**parameters) -> Draem:
    small = {"input_size": 64, "reconstruction_width": 2, "segmentation_width": 2, "learning_rate": 1e-3}
    return Draem(**{**small, "epochs": 2, "batch_size": 4, "device": "cpu", **parameters})


def efficient(epochs: int = 2, **parameters) -> EfficientAd:
    """Return one whose ``epochs`` are steps: no test here has more images than a batch."""
    small = {"backbone": "efficientnet-lite0", "layers": ["blocks.2"], "input_size": 64, "batch_size": 4}
    return EfficientAd(**{**small, "steps": epochs, "device": "cpu", **parameters})


def simplenet(**parameters) -> SimpleNet:
    return SimpleNet(**{"noise_sigma": 4.0, "learning_rate": 2e-3, **SMALL, **parameters})


def supersimplenet(**parameters) -> SuperSimpleNet:
    return SuperSimpleNet(**{"noise_sigma": 0.5, **SMALL, **parameters})


SMALL = {"backbone": "efficientnet-lite0", "input_size": 64, "epochs": 2, "batch_size": 4, "device": "cpu"}
LAST_LAYERS = {
    stfpm: r"network\.body\.blocks\.[34]\.",
    reverse: r"decoder\.stages\.2\.",
    fastflow: r"flows\.\d\.blocks\.1\.",
    cflow: r"decoders\.\d\.blocks\.1\.|peaks\.",
    draem: r"segmentation\.(up\.4|merge\.4|output)\.",
    efficient: r"student\.convs\.3\.|autoencoder\.decoder\.7\.|scale\.levels",
    simplenet: r"discriminator\.",
    supersimplenet: r"(discriminator|classifier)\.",
}
every = pytest.mark.parametrize("make", LAST_LAYERS)
both = pytest.mark.parametrize("make", [stfpm, cflow])
# DRAEM draws other defects at each step, whose losses differ more than a few steps change: its own tests compare.
settled = pytest.mark.parametrize("make", [make for make in LAST_LAYERS if make is not draem])


def weights_of(detector) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in detector._network.trained.state_dict().items()}


@every
def test_the_same_seed_gives_the_same_losses_and_files_and_another_seed_others(textures, make, tmp_path: Path) -> None:
    first, again, other = (make(seed=seed).fit(textures[:6]) for seed in (0, 0, 1))
    assert first.losses_.tolist() == again.losses_.tolist()
    assert not set(first.losses_) & set(other.losses_)
    for detector, name in ((first, "a"), (again, "b")):
        detector.save(tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@every
def test_training_neither_uses_nor_changes_the_global_random_states(textures, make) -> None:
    torch.manual_seed(1)
    expected = make().fit(textures[:4]).losses_
    torch.manual_seed(2)
    np.random.seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].tobytes()
    assert make().fit(textures[:4]).losses_.tolist() == expected.tolist()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tobytes() == before[1]


@settled
def test_the_loss_falls_while_it_trains(textures, make) -> None:
    # EfficientAD's loss is that of the hardest features, which change; at the paper's rate it takes many more steps.
    slow = make is efficient
    losses = (make(epochs=16, learning_rate=1e-3) if slow else make(epochs=8)).fit(textures[:4]).losses_
    assert len(losses) == (16 if slow else 8)
    assert losses[-1] < (0.75 if slow else 0.6) * losses[0]


@every
def test_an_outer_loop_trains_the_very_same_model(textures, make) -> None:
    fitted = make(epochs=3).fit(textures[:1])
    driven = make()
    optimizer = driven.make_optimizer(driven.trainable("full"))
    driven.begin_training(textures[:1])
    rates = [group["lr"] for group in optimizer.param_groups]
    losses = []
    for step in range(3):
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * driven.learning_rate_factor(step / 3)
        loss = driven.training_step(textures[:1])
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with pytest.raises(NotFittedError):
        driven.decision_function(textures)
    driven.finish_training(textures[:1])
    assert losses == fitted.losses_.tolist()
    assert driven.infer(textures[4:8]).maps.tobytes() == fitted.infer(textures[4:8]).maps.tobytes()


@every
def test_the_contract_of_finetunable_models_is_kept(make) -> None:
    check_finetunable(make)


class Forgetful(CFlow):
    """Forgets which lots it has drawn, and takes what it cannot learn from."""

    learns_from_defects = True

    def training_state(self) -> dict[str, np.ndarray]:
        return {**super().training_state(), "steps": np.asarray(0)}

    def trainable(self, mode="full", *, rank=8):
        return super().trainable(mode if mode in self.modes else "full", rank=rank)


def test_the_contract_names_every_rule_that_a_model_breaks() -> None:
    small = {**SMALL, "coupling_blocks": 2, "fibres": 16}
    with pytest.raises(AssertionError) as caught:
        check_finetunable(lambda: Forgetful(**small))
    broken = [line.split(":")[0] for line in str(caught.value).splitlines()]
    assert broken == ["check_unknown_mode_is_refused", "check_interrupted_training_goes_on"]


@every
def test_last_layers_trains_a_part_and_leaves_all_else_as_it_was(textures, make) -> None:
    detector = make().fit(textures[:4])
    before = weights_of(detector)
    everything = detector.trainable("full")
    chosen = detector.trainable("last-layers")
    assert 0 < len(chosen) < len(everything)
    optimizer = detector.make_optimizer(chosen)
    detector.training_step(textures[4:8]).backward()
    optimizer.step()
    detector.finish_training(textures[:8])
    after = weights_of(detector)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed
    assert all(re.match(LAST_LAYERS[make], name) for name in changed), changed
    normalised = any("running_mean" in name and re.match(LAST_LAYERS[make], name) for name in before)
    assert any("running_mean" in name for name in changed) == normalised


def test_last_layers_of_a_student_of_another_library_are_its_deepest_stage(textures) -> None:
    for backbone in ("resnet18", "timm/resnet18", "timm/tf_efficientnet_lite0"):
        detector = stfpm(backbone=backbone, weights="random")
        names = {id(parameter): name for name, parameter in detector._start().trained.named_parameters()}
        layers = detector.extractor.layers
        deepest = ("layer3",) if "resnet" in backbone else ("blocks.3", "blocks.4")
        found = [names[id(parameter)] for parameter in detector.trainable("last-layers")]
        assert found, layers
        assert all(any(part in name for part in deepest) for name in found), found


def test_a_mode_that_is_unknown_or_has_no_layers_is_refused() -> None:
    with pytest.raises(ParameterError, match="mode = 'adapter'") as caught:
        stfpm().trainable("adapter")
    assert caught.value.allowed == "full, last-layers, lora"
    with pytest.raises(ParameterError, match="one layer has no last layers"):
        stfpm(layers=["blocks.2"]).trainable("last-layers")


@every
def test_a_loss_that_is_not_finite_stops_with_the_step_and_leaves_nothing_fitted(textures, make) -> None:
    detector = make(epochs=4).fit(textures[:4])
    with pytest.raises(PyimganoError, match=r"the loss is (nan|inf) at step [2-9]|not finite after step") as caught:
        detector.set_params(learning_rate=1e38 if make in (stfpm, reverse) else 1e30).fit(textures[:4])
    assert "smaller learning_rate" in (caught.value.hint or "")
    with pytest.raises(NotFittedError):
        detector.decision_function(textures[:1])


def test_weights_that_an_outer_loop_ruined_are_refused(textures) -> None:
    detector = stfpm()
    with pytest.raises(PyimganoError, match="nothing to finish"):
        detector.finish_training(textures[:1])
    parameter = detector.trainable()[0]
    with torch.no_grad():
        parameter.fill_(float("nan"))
    with pytest.raises(PyimganoError, match="not finite"):
        detector.finish_training(textures[:1])


def test_training_on_drops_a_threshold_of_other_weights(textures) -> None:
    detector = stfpm().fit(textures[:4])
    detector.threshold_ = 0.5
    detector.finish_training(textures[:4])
    with pytest.raises(NotCalibratedError):
        detector.predict(textures[:1])


def test_images_too_small_for_the_deepest_layer_are_refused(textures) -> None:
    with pytest.raises(ParameterError, match=r"less than 2 × 2 positions") as caught:
        stfpm(layers=["blocks.2", "blocks.6"], input_size=32).fit(textures[:1])
    assert "at least 64" in (caught.value.allowed or "")


def test_an_epoch_has_every_image_once_in_its_own_order_and_batches_of_equal_size(textures) -> None:
    detector = stfpm(batch_size=8)
    images = ImageBatches(textures[:17], 8, prepare=detector.prepare)
    epochs = [[[image.tobytes() for image in batch] for batch in detector._epoch(images, epoch)] for epoch in (0, 1, 0)]
    assert [len(batch) for batch in epochs[0]] == [6, 6, 5]
    flat = [[image for batch in epoch for image in batch] for epoch in epochs]
    assert sorted(flat[0]) == sorted(flat[1]) == sorted(image.tobytes() for image in textures[:17])
    assert flat[0] == flat[2] != flat[1]


def test_training_reads_images_when_their_batch_comes(textures) -> None:
    class Counting:
        read = 0

        def __len__(self) -> int:
            return 60

        def __getitem__(self, index: int) -> np.ndarray:
            self.read += 1
            return textures[index % len(textures)]

    source = Counting()
    batches = stfpm(batch_size=2)._epoch(ImageBatches(source, 2), 0)
    next(batches)
    assert source.read <= 10
    batches.close()


@every
def test_fewer_images_than_a_batch_are_enough(textures, make) -> None:
    for count in (1, 3):
        detector = make(batch_size=16).fit(textures[:count])
        assert len(detector.losses_) == 2
        assert np.isfinite(detector.decision_function(textures)).all()


def test_an_image_that_is_none_is_named_by_its_own_place(textures) -> None:
    with pytest.raises(ImageError, match="image 3"):
        stfpm().fit([*textures[:3], np.zeros((4, 4, 7), np.uint8), *textures[3:6]])


@both
def test_only_what_was_trained_is_saved_and_it_scores_the_same_bits_in_another_process(
    textures, make, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file

    detector = make().fit(textures[:4])
    expected = detector.infer(textures[4:7])
    detector.save(tmp_path / "saved")
    saved = load_file(tmp_path / "saved" / "state.safetensors")
    assert {name.partition(".")[0] for name in saved} == {"trained", "losses"}
    assert len(saved) == 1 + len(detector._network.trained.state_dict())
    np.save(tmp_path / "images.npy", np.stack(textures[4:7]))
    code = (
        "import sys, numpy as np\n"
        f"from {type(detector).__module__} import {type(detector).__name__} as Detector\n"
        "detector = Detector.load(sys.argv[1] + '/saved')\n"
        "scores = detector.infer(list(np.load(sys.argv[1] + '/images.npy')))\n"
        "sys.stdout.write((scores.image_scores.tobytes() + scores.maps.tobytes()).hex())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == (expected.image_scores.tobytes() + expected.maps.tobytes()).hex()


@every
def test_a_loaded_detector_trains_on_from_where_it_was(textures, make, tmp_path: Path) -> None:
    detector = make().fit(textures[:4])
    detector.save(tmp_path)
    loaded = type(detector).load(tmp_path)
    for one in (detector, loaded):
        optimizer = one.make_optimizer(one.trainable())
        one.training_step(textures[4:8]).backward()
        optimizer.step()
        one.finish_training(textures[:8])
    assert loaded.losses_.tolist() == detector.losses_.tolist()
    scores = [one.decision_function(textures[8:10]).tobytes() for one in (detector, loaded)]
    assert scores[0] == scores[1]


def test_weights_that_do_not_fit_and_other_teachers_are_refused(textures, tmp_path: Path) -> None:
    stfpm().fit(textures[:2]).save(tmp_path)
    path = tmp_path / "detector.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["facts"]["extractor"]["layers"] == ["blocks.1", "blocks.2", "blocks.4"]
    for key, value, message in (
        ("layers", ["blocks.1", "blocks.2"], "the trained weights do not fit STFPM"),
        ("weights_sha256", "0" * 64, "fitted with other weights"),
    ):
        changed = json.loads(json.dumps(record))
        changed["facts"]["extractor"][key] = value
        path.write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(CheckpointError, match=message):
            STFPM.load(tmp_path)


def test_stfpms_map_is_the_product_of_the_halved_squared_distances(textures) -> None:
    detector = stfpm().fit(textures[:4])
    image = textures[8]
    pixels = torch.from_numpy(image[None])
    with torch.no_grad():
        pairs = zip(detector._network.teacher(pixels), detector._network.trained(pixels))
        product = np.ones((64, 64))
        for target, answer in pairs:
            target, answer = (f[0].double() / f[0].double().norm(dim=0) for f in (target, answer))
            distance = 0.5 * (target - answer).square().sum(dim=0)
            size = {"size": (64, 64), "mode": "bilinear", "align_corners": False}
            product *= torch.nn.functional.interpolate(distance[None, None], **size)[0, 0].numpy()
    scores = detector.infer([image])
    np.testing.assert_allclose(scores.maps[0], product, rtol=1e-4)
    assert scores.image_scores[0] == scores.maps.max()


def test_fastflows_map_is_the_mean_of_the_layers_negative_densities_of_what_the_flows_give(textures) -> None:
    detector = fastflow().fit(textures[:4])
    image = textures[8]
    network = detector._network
    with torch.no_grad():
        layers = []
        for features, norm, flow in zip(
            network.teacher(torch.from_numpy(image[None])), network.trained["norms"], network.trained["flows"]
        ):
            density = torch.exp(-0.5 * flow(norm(features))[0].square().mean(dim=1, keepdim=True))
            layers.append(
                -torch.nn.functional.interpolate(density, size=(64, 64), mode="bilinear", align_corners=False)
            )
    scores = detector.infer([image])
    np.testing.assert_allclose(scores.maps[0], torch.stack(layers).mean(dim=0)[0, 0].numpy(), rtol=1e-4)
    assert scores.image_scores[0] == scores.maps.max()


def test_cflows_map_is_what_the_layers_likelihoods_over_their_peaks_lack_of_their_number(textures) -> None:
    detector = cflow(epochs=4).fit(textures[:4])
    network = detector._network
    with torch.no_grad():
        seen = network(torch.from_numpy(np.stack(textures[:4])))
        peaks = [float(layer.max()) for layer in seen]
        total = torch.zeros(1, 1, 64, 64)
        for layer, peak in zip(network(torch.from_numpy(textures[8][None])), peaks):
            likelihood = (layer - peak).exp()[:, None]
            total += torch.nn.functional.interpolate(likelihood, size=(64, 64), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(detector._peaks.numpy(), peaks, rtol=1e-5)
    scores = detector.infer([textures[8]])
    np.testing.assert_allclose(scores.maps[0], 3.0 - total[0, 0].numpy(), rtol=1e-4, atol=1e-4)
    assert scores.image_scores[0] == scores.maps.max()


def test_cflows_peaks_are_those_of_held_out_images_where_there_are_any(textures) -> None:
    detector = cflow().fit(textures[:4])
    with_training_images = detector._peaks.clone()
    detector.finish_training(textures[:4], textures[6:8])
    with torch.no_grad():
        expected = [float(layer.max()) for layer in detector._network(torch.from_numpy(np.stack(textures[6:8])))]
    np.testing.assert_allclose(detector._peaks.numpy(), expected, rtol=1e-5)
    assert not torch.allclose(detector._peaks, with_training_images)


def test_a_step_of_cflow_draws_so_many_vectors_and_takes_all_where_there_are_fewer(textures) -> None:
    def losses(fibres: int) -> list[float]:
        detector = cflow(fibres=fibres)
        detector.trainable()
        return [float(detector.training_step(textures[:4]).detach()) for _ in range(2)]

    everything, more = losses(4 * 8 * 8), losses(1000)
    assert everything == more
    assert everything[0] == everything[1]
    drawn = losses(16)
    assert drawn[0] != drawn[1]
    assert drawn == losses(16)
    np.testing.assert_allclose(drawn, everything[0], rtol=0.5)


def test_interpolation_between_corners_is_pytorchs() -> None:
    grid = np.random.default_rng(0).normal(size=(4, 7))
    ours = resampling_matrix(4, 33, "bilinear-corners") @ grid @ resampling_matrix(7, 64, "bilinear-corners").T
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(grid)[None, None], size=(33, 64), mode="bilinear", align_corners=True
    )
    np.testing.assert_allclose(ours, theirs[0, 0].numpy(), atol=1e-12)
    assert np.array_equal(resampling_matrix(1, 5, "bilinear-corners"), np.ones((5, 1)))


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "wide_resnet50_2", "efficientnet-lite0"])
def test_the_decoder_gives_features_of_the_teachers_shape_and_sign(backbone) -> None:
    described = resolve_backbone(backbone)
    layers = (
        ("blocks.1", "blocks.2", "blocks.4") if backbone == "efficientnet-lite0" else ("layer1", "layer2", "layer3")
    )
    plan = decoder_plan(described, layers)
    features = [torch.randn(2, described.layer(n).channels, 128 // s, 64 // s) for n, s in zip(layers, (4, 8, 16))]
    with torch.no_grad():
        embedding = BottleneckEmbedding(plan)(features)
        decoded = Decoder(plan)(embedding)
    assert embedding.shape == (2, 2 * plan.channels[2], 4, 2)
    assert [tuple(d.shape) for d in decoded] == [tuple(f.shape) for f in features]
    assert [bool((d < 0).any()) for d in decoded] == [backbone == "efficientnet-lite0"] * 3


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (stfpm, {"epochs": 0}, "epochs = 0"),
        (stfpm, {"learning_rate": 0.0}, "learning_rate = 0.0"),
        (stfpm, {"learning_rate": float("nan")}, "learning_rate = nan"),
        (stfpm, {"seed": -1}, "seed = -1"),
        (stfpm, {"batch_size": 0}, "batch_size = 0"),
        (stfpm, {"layers": ["blocks.9"]}, "no layer"),
        (fastflow, {"flow_steps": 0}, "flow_steps = 0"),
        (fastflow, {"hidden_ratio": 0.0}, "hidden_ratio = 0.0"),
        (fastflow, {"conv3x3_only": 1}, "conv3x3_only = 1"),
        (cflow, {"coupling_blocks": 0}, "coupling_blocks = 0"),
        (cflow, {"fibres": 1.5}, "fibres = 1.5"),
        (draem, {"input_size": 80}, "input_size = 80"),
        (draem, {"input_size": [64, 32]}, r"input_size = \[64, 32\]"),
        (draem, {"opacity": (0.5, 0.2)}, "opacity = "),
        (draem, {"opacity": 0.5}, "opacity = 0.5"),
        (draem, {"rotation": -1}, "rotation = -1"),
        (draem, {"anomaly_source_dir": 3}, "anomaly_source_dir = 3"),
        (draem, {"segmentation_width": 0}, "segmentation_width = 0"),
        (reverse, {"map_sigma": -1.0}, "map_sigma = -1.0"),
        (reverse, {"input_size": 72}, "input_size = 72"),
        (reverse, {"input_size": 32}, "input_size = 32"),
        (reverse, {"layers": ["blocks.1", "blocks.2"]}, "of strides"),
        (reverse, {"layers": ["blocks.2", "blocks.3", "blocks.4"]}, "of strides"),
    ],
)
def test_parameters_out_of_range_are_refused_with_what_is_allowed(make, parameters, message) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        make(**parameters).validate()
    assert caught.value.allowed


def test_checking_parameters_imports_no_deep_learning_library() -> None:
    code = (
        "import sys\n"
        "from pyimgano.models.cflow import CFlow\n"
        "from pyimgano.models.draem import Draem\n"
        "from pyimgano.models.efficient_ad import EfficientAd\n"
        "from pyimgano.models.fastflow import FastFlow\n"
        "from pyimgano.models.reverse_distillation import ReverseDistillation\n"
        "from pyimgano.models.simplenet import SimpleNet\n"
        "from pyimgano.models.stfpm import STFPM\n"
        "from pyimgano.models.supersimplenet import SuperSimpleNet\n"
        "every = (CFlow, Draem, EfficientAd, FastFlow, ReverseDistillation, SimpleNet, STFPM, SuperSimpleNet)\n"
        "for detector in every:\n"
        "    detector().validate()\n"
        "heavy = ('torch', 'onnxruntime', 'cv2', 'sklearn', 'scipy', 'timm')\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
