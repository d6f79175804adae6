"""Models of anomalib trained by its Engine: contract, parity with its own networks, seeds, state. Takes 40 s."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.creation import create_model, load_model
from pyimgano.core.errors import ImageError, ParameterError, PyimganoError, WeightsError
from pyimgano.core.testing import parametrize_with_checks

LITE0 = {"backbone": "tf_efficientnet_lite0", "input_size": 64}
PIXELS = {"pixel_mean": [127 / 255] * 3, "pixel_std": [128 / 255] * 3}


@pytest.fixture(scope="module")
def file(weights: Path) -> Path:
    FILE["backbone_weights"] = str(weights)
    return weights


FILE: dict[str, str] = {}
PATCHCORE = {**LITE0, **PIXELS, "layers": ["blocks.2", "blocks.4"]}
MODELS = {
    "patchcore": PATCHCORE,
    "padim": {**LITE0, "layers": ["blocks.1", "blocks.2"], "n_features": 20},
    "stfpm": {**LITE0, "layers": ["blocks.1", "blocks.2", "blocks.4"], "epochs": 1, "batch_size": 4},
    "ganomaly": {"input_size": 32, "n_features": 8, "latent_vec_size": 16, "epochs": 1, "batch_size": 8},
}


def make(name: str, **changes):
    own = MODELS[name]
    return create_model(f"anomalib-{name}", **{**own, **(FILE if "backbone" in own else {}), **changes})


@parametrize_with_checks({"anomalib-patchcore": lambda: make("patchcore")}, batch_tolerance=0.0)
def test_contract(check, file) -> None:
    check()


@pytest.fixture(scope="module", params=MODELS)
def fitted(request, file, images):
    return request.param, make(request.param, seed=3).fit(images.train)


def test_the_same_seed_gives_the_same_bits_after_saving_and_after_a_second_fit(fitted, images, tmp_path) -> None:
    name, detector = fitted
    scores = detector.infer(images.test)
    assert np.ptp(scores.image_scores) > 0
    detector.save(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert names == {"state.safetensors", "detector.json"}
    for other in (
        load_model(f"anomalib-{name}", tmp_path / "saved"),
        make(name, seed=3).fit(images.train),
    ):
        again = other.infer(images.test)
        assert again.image_scores.tobytes() == scores.image_scores.tobytes()
        if scores.maps is not None:
            assert again.maps.tobytes() == scores.maps.tobytes()
    if name != "ganomaly":
        assert scores.maps.shape == (len(images.test), 64, 64)
    other = make(name, seed=4).fit(images.train).decision_function(images.test)
    assert not np.array_equal(other, scores.image_scores), "the seed changes nothing"


def test_scores_and_maps_are_those_of_anomalibs_own_network(fitted, images) -> None:
    """Its pre-processor and its torch model, called as its Engine does; no post-processor."""
    import torch

    _, detector = fitted
    module = detector.module_
    assert module.post_processor is None
    scores = detector.infer(images.test)
    for index, image in enumerate(images.test):
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            answer = module.model(module.pre_processor.transform(pixels))
        np.testing.assert_allclose(scores.image_scores[index], float(answer.pred_score.flatten()[0]), rtol=1e-5)
        if scores.maps is not None:
            np.testing.assert_allclose(scores.maps[index], answer.anomaly_map[0, 0].numpy(), rtol=1e-5, atol=1e-7)


def test_scores_are_neither_clamped_nor_normalised(file, images) -> None:
    scores = make("patchcore").fit(images.train).infer(images.test)
    assert scores.image_scores.max() > 1.0
    assert scores.maps.max() > 1.0
    assert len(np.unique(scores.image_scores)) == len(images.test)


def test_the_weights_of_the_file_are_in_the_network(file, images) -> None:
    import torch

    detector = make("patchcore").fit(images.train)
    given = torch.load(file, map_location="cpu", weights_only=True)
    used = detector.module_.model.feature_extractor.feature_extractor.state_dict()
    assert all(torch.equal(tensor, given[name]) for name, tensor in used.items())
    (normalise,) = (step for step in detector.scorer_.preparation.steps if hasattr(step, "mean"))
    assert list(normalise.mean) == PIXELS["pixel_mean"]


def test_nothing_is_left_behind(file, images, nowhere, capfd) -> None:
    """No folder, no draw from a global generator, no changed setting of torch, no noise."""
    import tempfile

    import torch

    random.seed(5)
    np.random.set_state(np.random.RandomState(5).get_state())
    torch.manual_seed(5)
    before = (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes())
    deterministic = torch.are_deterministic_algorithms_enabled()
    temporary = set(Path(tempfile.gettempdir()).glob("pyimgano-anomalib-*"))
    make("stfpm").fit(images.train)
    assert before == (random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes())
    assert torch.are_deterministic_algorithms_enabled() is deterministic
    assert list(nowhere.iterdir()) == []
    assert set(Path(tempfile.gettempdir()).glob("pyimgano-anomalib-*")) == temporary
    assert capfd.readouterr() == ("", "")


def test_images_of_different_sizes_are_resized_each_from_its_own(file, images) -> None:
    mixed = [image[: 72 - 4 * (index % 3)] for index, image in enumerate(images.train)]
    detector = make("patchcore").fit(mixed)
    scores = detector.infer([images.defective[0], images.defective[0][:60]])
    assert scores.maps.shape == (2, 64, 64)


def test_the_held_out_images_alone_are_the_models_validation(file, images, monkeypatch) -> None:
    from pyimgano.anomalib.making import import_anomalib

    import_anomalib()
    from anomalib.models import Stfpm

    from pyimgano.anomalib import training_data

    seen: dict[str, set[str]] = {"train": set(), "validation": set()}
    collate = training_data._collate
    monkeypatch.setattr(training_data, "_collate", lambda items: collate(items))

    def watch(kind, method):
        original = getattr(Stfpm, method)

        def step(self, batch, *arguments, **options):
            seen[kind].update(batch.image_path)
            return original(self, batch, *arguments, **options)

        monkeypatch.setattr(Stfpm, method, step)

    watch("train", "training_step")
    watch("validation", "validation_step")
    make("stfpm", holdout=0.25).fit(images.train)
    assert len(seen["validation"]) == round(0.25 * len(images.train))
    assert seen["train"].isdisjoint(seen["validation"])
    assert len(seen["train"] | seen["validation"]) == len(images.train)
    seen["validation"] = set()
    make("stfpm").fit(images.train)
    assert not seen["validation"]


def test_steps_end_a_training(file, images) -> None:
    detector = make("stfpm", epochs=None, steps=1, batch_size=4).fit(images.train)
    longer = make("stfpm", epochs=2, batch_size=4).fit(images.train)
    scores = [each.decision_function(images.good) for each in (detector, longer)]
    assert not np.array_equal(*scores)


def test_a_crop_leaves_the_maps_border_at_its_lowest_value(images) -> None:
    """What a model crops off is part of the image all the same; a crop of the middle, as Dinomaly's."""
    from torchvision.transforms.v2 import CenterCrop, Compose, Resize

    from pyimgano.anomalib.making import import_anomalib

    import_anomalib()
    from pyimgano.anomalib.preparation import Preparation

    preparation = Preparation(Compose([Resize((40, 60)), CenterCrop((30, 44))]))
    pixels, frame = preparation(images.good[0])
    assert pixels.shape == (1, 3, 30, 44)
    small = np.arange(2, 2 + 30 * 44, dtype=np.float32).reshape(30, 44)
    placed = frame.place(small)
    assert placed.shape == (40, 60)
    assert (placed[5:35, 8:52] == small).all()
    assert placed[:5].max() == placed[:, :8].max() == placed.min() == 2.0
    again = Preparation.from_json(json.loads(json.dumps(preparation.to_json())))
    assert np.array_equal(again(images.good[0])[0].numpy(), pixels.numpy())


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_weights_that_would_be_downloaded_are_said_to_be(images, nowhere, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(nowhere / "hub"))
    with pytest.raises(WeightsError, match="Stfpm downloads what it needs, and could not") as caught:
        create_model("anomalib-stfpm", backbone="tf_efficientnet_lite1", layers=["blocks.1"], epochs=1).fit(
            images.train
        )
    assert "backbone_weights" in str(caught.value)


def test_weights_of_another_network_are_refused(file, images, tmp_path) -> None:
    import torch

    with pytest.raises(WeightsError, match=r"is not of timm's tf_efficientnet_lite1: it lacks"):
        make("patchcore", backbone="tf_efficientnet_lite1").fit(images.train)
    (tmp_path / "text.pth").write_text("no weights", encoding="utf-8")
    with pytest.raises(WeightsError, match="cannot be read as a state dict"):
        make("patchcore", backbone_weights=str(tmp_path / "text.pth")).fit(images.train)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        make("patchcore", backbone_weights=str(tmp_path / "list.pth")).fit(images.train)
    with pytest.raises(WeightsError, match="there is no such file"):
        make("patchcore", backbone_weights=str(tmp_path / "absent.pth"))


def test_what_anomalib_refuses_is_told_in_its_words(file, images) -> None:
    with pytest.raises(PyimganoError, match=r"anomalib failed: .*blocks\.99"):
        make("patchcore", layers=["blocks.99"]).fit(images.train)
    with pytest.raises(ParameterError, match="precision = 'float8'") as caught:
        make("patchcore", precision="float8").fit(images.train)
    assert "float32" in str(caught.value)
    with pytest.raises(ParameterError, match="does not normalise pixels"):
        create_model("anomalib-draem", pixel_mean=[0.5] * 3, epochs=1).fit(images.train)


def test_an_unreadable_image_is_named_in_a_later_epoch_too(file, images, tmp_path) -> None:
    from pyimgano.core.images import write_png

    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for path, image in zip(paths, images.train):
        write_png(image, path)
    paths[4].write_bytes(paths[4].read_bytes()[:200])
    with pytest.raises(ImageError, match=r"4\.png"):
        make("stfpm").fit(paths)


def test_an_interrupt_stays_one(file, images) -> None:
    class Interrupted(list):
        def __getitem__(self, index):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make("patchcore").fit(Interrupted(images.train))
