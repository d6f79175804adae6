"""What PatchCore and PaDiM do with their parameters, their bank, and what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.errors import CheckpointError, ParameterError, UnknownNameError
from pyimgano.core.images import read_image
from pyimgano.models.neighbors import squared_distances
from pyimgano.models.padim import Padim
from pyimgano.models.patchcore import PatchCore
from pyimgano.models.patches import locally_aware_patches


@pytest.fixture(scope="module")
def textures() -> list[np.ndarray]:
    """Crops of photographs of a brick wall, grass and gravel, 96 × 96."""
    spec = find_spec("skimage")
    assert spec is not None, "scikit-image is not installed"
    folder = Path(spec.origin).parent / "data"
    photographs = [read_image(folder / name) for name in ("brick.png", "grass.png", "gravel.png")]
    return [p[top : top + 96, left : left + 96] for p in photographs for top in (0, 200) for left in (30, 150, 300)]


def patchcore(**parameters) -> PatchCore:
    return PatchCore(**{"input_size": 96, "runtime": "torch", **parameters})


def padim(**parameters) -> Padim:
    return Padim(**{"input_size": 96, "n_features": 30, "runtime": "torch", **parameters})


def test_the_bank_holds_the_asked_share_of_the_patches_and_begins_with_smaller_banks(textures) -> None:
    banks = [patchcore(coreset_sampling_ratio=r).fit(textures[:6]).memory_bank_ for r in (0.05, 0.25)]
    assert [bank.shape for bank in banks] == [(int(6 * 144 * 0.05), 152), (216, 152)]
    assert np.array_equal(banks[1][: len(banks[0])], banks[0])


def test_the_bank_holds_patches_of_the_images_each_once(textures) -> None:
    detector = patchcore(coreset_sampling_ratio=0.1).fit(textures[:4])
    maps = detector.extractor.extract([detector.prepare(image) for image in textures[:4]])
    patches = {row.tobytes() for row in locally_aware_patches(maps).reshape(-1, 152)}
    bank = [row.tobytes() for row in detector.memory_bank_]
    assert len(set(bank)) == len(bank)
    assert set(bank) <= patches


def test_another_seed_begins_the_coreset_elsewhere_and_the_same_one_repeats_it(textures) -> None:
    first, again, other = (patchcore(seed=seed).fit(textures[:4]).memory_bank_ for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_a_training_image_scores_zero_against_a_bank_of_all_patches(textures) -> None:
    detector = patchcore(coreset_sampling_ratio=1.0).fit(textures[:3])
    scores = detector.infer(textures[:3])
    assert np.all(scores.image_scores == 0.0)
    assert np.all(scores.maps == 0.0)
    assert detector.decision_function(textures[7:8])[0] > 0.0


def test_the_image_score_is_equation_7_of_the_paper(textures) -> None:
    b = 5
    weighted, plain = (patchcore(num_neighbors=n).fit(textures[:6]) for n in (b, 1))
    image = textures[10]
    patches = locally_aware_patches(plain.extractor.extract([plain.prepare(image)])).reshape(-1, 152)
    bank = plain.memory_bank_
    distances = np.sqrt([squared_distances(patch[None], bank) for patch in patches])
    worst = distances.min(axis=1).argmax()
    nearest = distances[worst].argmin()
    support = np.argsort(squared_distances(bank[nearest][None], bank), kind="stable")[:b]
    share = np.exp(distances[worst, nearest]) / np.exp(distances[worst, support]).sum()
    score = distances[worst].min()
    assert plain.decision_function([image])[0] == score
    np.testing.assert_allclose(weighted.decision_function([image])[0], (1 - share) * score, rtol=1e-12)


def test_a_bank_of_one_feature_still_tells_distances(textures) -> None:
    detector = patchcore(coreset_sampling_ratio=1e-6).fit(textures[:2])
    assert detector.memory_bank_.shape == (1, 152)
    assert np.all(detector.decision_function(textures[5:]) > 0.0)


def test_a_projection_chooses_other_features_but_keeps_them_whole(textures) -> None:
    plain, projected, idle = (
        patchcore(coreset_projection=p, coreset_sampling_ratio=0.1).fit(textures[:4]).memory_bank_
        for p in (None, 40, 152)
    )
    assert projected.shape == plain.shape
    assert not np.array_equal(projected, plain)
    assert np.array_equal(idle, plain)


def test_smoothing_and_interpolation_change_the_map_and_not_the_score(textures) -> None:
    detector = patchcore().fit(textures[:4])
    smooth = detector.infer(textures[9:11])
    sharp = detector.set_params(map_sigma=0.0, map_interpolation="nearest").infer(textures[9:11])
    assert smooth.image_scores.tobytes() == sharp.image_scores.tobytes()
    assert sharp.maps.shape == smooth.maps.shape == (2, 96, 96)
    assert len(np.unique(sharp.maps[0])) <= 144
    assert smooth.maps.max() < sharp.maps.max()


def test_padims_score_is_its_maps_maximum(textures) -> None:
    scores = padim().fit(textures[:8]).infer(textures[8:])
    assert scores.image_scores.tolist() == scores.maps.max(axis=(1, 2)).astype(float).tolist()


def test_padim_takes_random_channels_by_seed_or_all(textures) -> None:
    first, again, other, everything = (
        padim(seed=seed, n_features=n).fit(textures[:3]).channels_.tolist()
        for seed, n in ((0, 30), (0, 30), (1, 30), (0, None))
    )
    assert len(set(first)) == 30
    assert first == sorted(again)
    assert first != other
    assert everything == list(range(24 + 40 + 112))


def test_padim_is_finite_when_fitted_on_one_image(textures) -> None:
    scores = padim().fit(textures[:1]).infer(textures)
    assert np.isfinite(scores.maps).all()
    assert scores.image_scores[0] == scores.image_scores.min() == 0.0


def test_padim_refuses_more_features_than_the_layers_have(textures) -> None:
    with pytest.raises(ParameterError, match="n_features = 200") as caught:
        padim(n_features=200).fit(textures[:2])
    assert "1 to 176" in str(caught.value)


def test_padim_refuses_an_epsilon_that_leaves_a_covariance_singular(textures) -> None:
    with pytest.raises(ParameterError, match="epsilon = 1e-300 is too small") as caught:
        padim(epsilon=1e-300).fit(textures[:4])
    assert "0.01" in (caught.value.hint or "")


@pytest.mark.parametrize("make", [patchcore, padim])
def test_scores_do_not_depend_on_the_batch_size_of_fit_and_infer(textures, make) -> None:
    scores = [make(batch_size=size).fit(textures[:9]).infer(textures[9:]) for size in (1, 4, 9)]
    assert len({s.image_scores.tobytes() for s in scores}) == 1
    assert len({s.maps.tobytes() for s in scores}) == 1


@pytest.mark.parametrize("make", [patchcore, padim])
def test_a_loaded_detector_scores_the_same_bits_in_another_process(textures, make, tmp_path: Path) -> None:
    detector = make().fit(textures[:6])
    expected = detector.decision_function(textures[6:9])
    detector.save(tmp_path / "saved")
    np.save(tmp_path / "images.npy", np.stack(textures[6:9]))
    code = (
        "import sys, numpy as np\n"
        f"from {type(detector).__module__} import {type(detector).__name__} as Detector\n"
        "detector = Detector.load(sys.argv[1] + '/saved')\n"
        "scores = detector.decision_function(list(np.load(sys.argv[1] + '/images.npy')))\n"
        "sys.stdout.write(scores.tobytes().hex())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == expected.tobytes().hex()


@pytest.mark.parametrize("make", [patchcore, padim])
def test_a_detector_does_not_load_with_other_weights(textures, make, tmp_path: Path) -> None:
    make().fit(textures[:3]).save(tmp_path)
    record = json.loads((tmp_path / "detector.json").read_text(encoding="utf-8"))
    assert record["facts"]["extractor"]["random"] is False
    record["facts"]["extractor"]["weights_sha256"] = "0" * 64
    (tmp_path / "detector.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(CheckpointError, match="fitted with other weights of efficientnet-lite0"):
        type(make()).load(tmp_path)


def test_random_weights_are_told_in_the_facts(textures) -> None:
    detector = patchcore(weights="random").fit(textures[:2])
    assert detector.extractor_facts_["random"] is True
    assert "random" in detector.extractor_facts_["warning"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"coreset_sampling_ratio": 0.0}, "coreset_sampling_ratio = 0.0"),
        ({"coreset_sampling_ratio": 1.1}, "coreset_sampling_ratio = 1.1"),
        ({"coreset_sampling_ratio": "0.1"}, "coreset_sampling_ratio = '0.1'"),
        ({"coreset_projection": 0}, "coreset_projection = 0"),
        ({"num_neighbors": 0}, "num_neighbors = 0"),
        ({"num_neighbors": 2.5}, "num_neighbors = 2.5"),
        ({"patch_size": 2}, "patch_size = 2"),
        ({"map_interpolation": "cubic"}, "map_interpolation = 'cubic'"),
        ({"map_sigma": -1.0}, "map_sigma = -1.0"),
        ({"map_sigma": float("nan")}, "map_sigma = nan"),
        ({"input_size": 8}, "input_size = 8"),
        ({"input_size": (64, 64, 3)}, "input_size"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
)
def test_patchcore_refuses_parameters_out_of_range_and_says_what_is_allowed(parameters, message) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        PatchCore(**parameters).validate()
    assert caught.value.allowed


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_features": 0}, "n_features = 0"),
        ({"n_features": True}, "n_features = True"),
        ({"epsilon": 0.0}, "epsilon = 0.0"),
        ({"epsilon": float("inf")}, "epsilon = inf"),
        ({"map_sigma": -0.1}, "map_sigma = -0.1"),
    ],
)
def test_padim_refuses_parameters_out_of_range_and_says_what_is_allowed(parameters, message) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        Padim(**parameters).validate()
    assert caught.value.allowed


@pytest.mark.parametrize("model", [PatchCore, Padim])
def test_an_unknown_layer_or_backbone_is_refused_with_what_there_is(model) -> None:
    with pytest.raises(ParameterError, match=r"efficientnet-lite0 has no layer 'blocks\.9'") as caught:
        model(layers=["blocks.9"]).validate()
    assert "blocks.0, blocks.1" in (caught.value.allowed or "")
    with pytest.raises(UnknownNameError, match="efficientnet-lite1") as caught_name:
        model(backbone="efficientnet-lite1").validate()
    assert "efficientnet-lite0" in str(caught_name.value)


def test_default_layers_are_those_of_the_papers(textures) -> None:
    assert patchcore().fit(textures[:1]).extractor.layers == ("blocks.2", "blocks.4")
    assert padim().fit(textures[:1]).extractor.layers == ("blocks.1", "blocks.2", "blocks.4")
    assert Padim(backbone="resnet18")._default_layers() == ("layer1", "layer2", "layer3")


def test_checking_parameters_imports_no_deep_learning_library() -> None:
    code = (
        "import sys\n"
        "from pyimgano.models.padim import Padim\n"
        "from pyimgano.models.patchcore import PatchCore\n"
        "PatchCore().validate()\n"
        "Padim().validate()\n"
        "heavy = ('torch', 'onnxruntime', 'cv2', 'sklearn', 'scipy', 'timm')\n"
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
