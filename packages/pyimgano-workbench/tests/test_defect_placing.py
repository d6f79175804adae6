"""Several defects on an image, and the kinds that a training is given. About three seconds."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import ConfigError, ParameterError, UnknownNameError
from pyimgano.core.images import read_image, write_png
from pyimgano.core.seeding import generator
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.defects.placing import Kind, Placing, chosen_kinds
from pyimgano.workbench.train import TrainSettings
from pyimgano.workbench.train.learning_images import LearningImages
from pyimgano.workbench.train.synthetic import add_defect
from pyimgano.workbench.train.validation import ValidationImages

SKIMAGE = Path(importlib.util.find_spec("skimage").origin).parent / "data"


@pytest.fixture(scope="module")
def brick() -> np.ndarray:
    return read_image(SKIMAGE / "brick.png")[:120, :150]


def test_the_record_says_what_lies_where(brick: np.ndarray) -> None:
    placing = Placing((Kind("crack"), Kind("stain"), Kind("tape")), count=(1, 3), severity=(2, 4))
    numbers, severities = Counter(), Counter()
    for seed in range(40):
        result = placing(brick, generator(seed))
        again = placing(brick, generator(seed))
        assert (result.image.tobytes(), result.defects) == (again.image.tobytes(), again.defects)
        covered = np.zeros(result.mask.shape, bool)
        for defect in result.defects:
            x, y, width, height = defect.box
            assert result.mask[y : y + height, x : x + width].sum() >= defect.area > 0
            covered[y : y + height, x : x + width] = True
        assert not (result.mask & ~covered).any()
        assert result.mask.sum() <= sum(defect.area for defect in result.defects)
        numbers[len(result.defects)] += 1
        severities.update(defect.severity for defect in result.defects)
    assert set(numbers) == {1, 2, 3}
    assert set(severities) == {2, 3, 4}


def test_kinds_are_drawn_by_weight_and_keep_a_severity_of_their_own(brick: np.ndarray) -> None:
    placing = Placing((Kind("pit", 9.0), Kind("scratch", 1.0, {"severity": 5})), severity=(1, 1))
    drawn = [placing(brick, generator(seed)).defects[0] for seed in range(100)]
    counts = Counter(defect.kind for defect in drawn)
    assert 80 <= counts["pit"] <= 98
    assert {(defect.kind, defect.severity) for defect in drawn} == {("pit", 1), ("scratch", 5)}


def test_a_donor_is_asked_for_when_something_is_pasted_and_only_then(brick: np.ndarray) -> None:
    asked = []

    def donor() -> np.ndarray:
        asked.append(True)
        return read_image(SKIMAGE / "gravel.png")[:50, :40]

    Placing((Kind("dent"),))(brick, generator(0), donor=donor)
    assert not asked
    image = Placing((Kind("foreign"),))(brick, generator(0), donor=donor).image
    assert asked == [True]
    assert not np.array_equal(image, Placing((Kind("foreign"),))(brick, generator(0)).image)


def test_all_defects_lie_inside_the_region(brick: np.ndarray) -> None:
    roi = np.zeros(brick.shape[:2], bool)
    roi[20:60, 30:140] = True
    placing = Placing(chosen_kinds([]), count=(3, 3))
    for seed in range(10):
        result = placing(brick, generator(seed), roi=roi)
        assert not (result.mask & ~roi).any()
        assert np.array_equal(result.image[~roi], brick[~roi])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": (0, 2)}, "count = "),
        ({"count": (3, 2)}, "count = "),
        ({"severity": (1, 9)}, "severity = 9"),
        ({"severity": (4, 2)}, "severity = "),
        ({"kinds": ()}, "kinds = "),
        ({"kinds": (Kind("crack", 0.0),)}, "crack: weight = 0.0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(settings: dict, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        Placing(**{"kinds": (Kind("crack"),), **settings})


def test_kinds_are_looked_up_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'scratch'"):
        chosen_kinds([("scrach", 1.0)])
    with pytest.raises(ConfigError, match="twice: dent"):
        chosen_kinds([("dent", 1.0), ("dent", 2.0)])
    with pytest.raises(ConfigError, match="'defect-bank' needs --bank"):
        chosen_kinds([("defect-bank", 1.0)], bank_key="--bank")
    with pytest.raises(ConfigError, match="--bank is given, and 'defect-bank' is not among the kinds"):
        chosen_kinds([("dent", 1.0)], bank=str(tmp_path), bank_key="--bank")
    assert "defect-bank" not in [kind.name for kind in chosen_kinds([])]


@pytest.mark.parametrize(
    ("settings", "key", "message"),
    [
        (['synthetic_defects=["scrach"]'], "synthetic_defects", "unknown kind of defect 'scrach'"),
        (["synthetic_defects=scratch"], "synthetic_defects", "a list of kinds"),
        (["synthetic_defects=[]"], "synthetic_defects", "a list of kinds"),
        (['synthetic_defects=["defect-bank"]'], "synthetic_defects", "needs defect_bank"),
        (["defect_bank=crops"], "defect_bank", "is not used"),
        (['synthetic_defects=["dent"]', "defect_bank=crops"], "defect_bank", "not among the kinds"),
        (['synthetic_defects=["defect-bank"]', "defect_bank=crops"], "defect_bank", "no such folder"),
    ],
)
def test_a_training_refuses_kinds_that_there_are_not_at_their_key(
    tmp_path: Path, settings: list[str], key: str, message: str
) -> None:
    chosen = [f"recipe_params.{setting}" for setting in settings]
    with pytest.raises(ConfigError) as told:
        load_run_config(settings=["recipe=micro-finetune", *chosen], flags={"dataset.root": tmp_path})
    assert f"recipe_params.{key}: " in str(told.value)
    assert message in str(told.value)


def test_a_bank_in_a_config_file_is_relative_to_the_file(tmp_path: Path, brick: np.ndarray) -> None:
    (tmp_path / "crops").mkdir()
    write_png(brick[:20, :20], tmp_path / "crops" / "one.png")
    write_png(np.full((20, 20), 255, np.uint8), tmp_path / "crops" / "one_mask.png")
    (tmp_path / "run.toml").write_text(
        'recipe = "micro-finetune"\n[dataset]\nroot = "."\n[recipe_params]\n'
        'synthetic_defects = ["defect-bank", "oil"]\ndefect_bank = "crops"\n',
        encoding="utf-8",
    )
    config = load_run_config(tmp_path / "run.toml")
    assert Path(config.recipe_params["defect_bank"]) == tmp_path / "crops"
    kinds = TrainSettings(**config.recipe_params).synthetic_kinds()
    assert [kind.name for kind in kinds] == ["defect-bank", "oil"]


def test_training_and_its_measurement_use_the_chosen_kinds(tmp_path: Path, brick: np.ndarray) -> None:
    samples = []
    for number in range(3):
        write_png(brick[:64, 20 * number : 20 * number + 64], tmp_path / f"{number}.png")
        samples.append(Sample(f"{number}.png", tmp_path / f"{number}.png", "train", 0))
    kinds = TrainSettings(synthetic_defects=["tape"]).synthetic_kinds()
    placing = Placing(kinds, severity=(1, 3))
    images = ValidationImages(samples, 3, seed=5, kinds=kinds)
    chance = generator(5, "validation", "defects", "1.png", 1)
    chance.integers(3)  # which donor: drawn whether or not it is used
    assert np.array_equal(images[4], placing(images[1], chance).image)
    assert not np.array_equal(images[4], ValidationImages(samples, 3, seed=5)[4])
    learned = LearningImages(samples, seed=5, synthetic_share=0.999, kinds=kinds)
    (batch,) = learned.epoch(0, 0, 3)
    tapes = [mask for _, mask in batch if mask is not None]
    assert tapes
    chance, default = generator(1), generator(1)
    chosen = add_defect(brick, chance, donor=lambda: brick, kinds=kinds)[0]
    assert not np.array_equal(chosen, add_defect(brick, default, donor=lambda: brick)[0])
