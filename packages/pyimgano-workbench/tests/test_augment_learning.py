"""What models learn from with drifts: by lot, the same for a seed, never kept, and never held-out or test images.

Takes some 20 seconds: a fit and two short trainings on 64-pixel cells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import ImageError, ParameterError, UnknownNameError
from pyimgano.core.images import read_image, write_png
from pyimgano.core.seeding import generator
from pyimgano.models.patchcore import PatchCore
from pyimgano.models.pixel_gaussian import PixelGaussian
from pyimgano.models.stfpm import STFPM
from pyimgano.workbench.augment.copies import DriftedCopies
from pyimgano.workbench.augment.random_drifts import DEFAULT_DRIFTS, DriftChoice, RandomDrifts
from pyimgano.workbench.config import load_run_config
from pyimgano.workbench.schemas import json_schema
from pyimgano.workbench.summary import run_summary
from pyimgano.workbench.train.learning_images import LearningImages
from pyimgano.workbench.train.metric_log import read_log
from pyimgano.workbench.training import run_recipe

Make = Callable[..., Path]


@pytest.fixture
def samples(cell_images: dict[str, list[np.ndarray]], tmp_path: Path) -> list[Sample]:
    """Six good cells as files."""
    found = []
    for number, image in enumerate(cell_images["good"][:6]):
        write_png(image, tmp_path / f"{number}.png")
        found.append(Sample(f"{number}.png", tmp_path / f"{number}.png", "train", 0))
    return found


def always(*names: str) -> RandomDrifts:
    return RandomDrifts([DriftChoice(name, severity=(2, 2), probability=1.0) for name in names])


# -- by lot ----------------------------------------------------------------------------------------------------------


def test_drifts_come_with_their_probabilities_and_severities(cell_images: dict[str, list[np.ndarray]]) -> None:
    cell = cell_images["good"][0]
    drifts = RandomDrifts([DriftChoice("gamma", severity=(2, 3), probability=0.25)])
    exponents = (1.25, 1.45)
    possible = {
        np.rint(255 * (cell / 255.0) ** (exponent**side)).astype(np.uint8).tobytes(): exponent
        for exponent in exponents
        for side in (1, -1)
    }
    seen = [drifts(cell, generator(seed))[0].tobytes() for seed in range(400)]
    drifted = [possible[one] for one in seen if one != cell.tobytes()]
    assert len(drifted) / 400 == pytest.approx(0.25, abs=0.07)
    assert drifted.count(1.25) / len(drifted) == pytest.approx(0.5, abs=0.15)


def test_drifts_are_applied_in_their_order(cell_images: dict[str, list[np.ndarray]]) -> None:
    cell = cell_images["good"][0]
    blurred_noise = always("sensor-noise", "defocus")(cell, generator(0))[0]
    noisy_blur = always("defocus", "sensor-noise")(cell, generator(0))[0]

    def roughness(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image[..., 0].astype(float), axis=1)).mean())

    assert roughness(noisy_blur) > 1.2 * roughness(blurred_noise)


def test_the_default_drifts_leave_one_in_eight_images_alone_and_copies_none(
    cell_images: dict[str, list[np.ndarray]],
) -> None:
    cell = cell_images["good"][0]
    drifts = RandomDrifts()
    assert [choice.name for choice in drifts.choices] == [choice.name for choice in DEFAULT_DRIFTS]
    untouched = [drifts(cell, generator(seed))[0] is cell for seed in range(300)]
    assert np.mean(untouched) == pytest.approx(0.7**6, abs=0.06)
    assert not any(drifts(cell, generator(seed), always=True)[0] is cell for seed in range(300))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ParameterError, match="severity"):
        DriftChoice("gamma", severity=(3, 2))
    with pytest.raises(ParameterError, match="probability"):
        DriftChoice("gamma", probability=0.0)
    with pytest.raises(ParameterError, match="choices"):
        RandomDrifts([])
    with pytest.raises(UnknownNameError, match="gama"):
        RandomDrifts([DriftChoice("gama")])


# -- copies for a fit ------------------------------------------------------------------------------------------------


def test_copies_follow_the_images_and_are_made_anew_each_time_alike(samples: list[Sample]) -> None:
    told: list[int] = []
    images = DriftedCopies(samples, RandomDrifts(), copies=2, seed=7, advance=told.append)
    assert len(images) == 18
    first, second = list(images), list(images)
    assert sum(told) == 36
    for place, sample in enumerate(samples):
        assert np.array_equal(first[place], read_image(sample.source))
        for copy in (6 + place, 12 + place):
            assert not np.array_equal(first[copy], first[place])
            assert np.array_equal(first[copy], second[copy])
        assert not np.array_equal(first[6 + place], first[12 + place])
    other = DriftedCopies(samples, RandomDrifts(), copies=2, seed=8)
    assert not np.array_equal(other[6], first[6])


def test_a_copy_does_not_depend_on_the_other_images(samples: list[Sample]) -> None:
    images = DriftedCopies(samples, RandomDrifts(), copies=2, seed=7)
    fewer = DriftedCopies(samples[3:][::-1], RandomDrifts(), copies=3, seed=7)
    assert np.array_equal(fewer[3 + 2], images[6 + 3])
    assert np.array_equal(images[-1], images[17])
    part = images[5:8]
    assert len(part) == 3
    assert np.array_equal(part[2], images[7])
    with pytest.raises(IndexError):
        images[18]


def test_an_unreadable_image_is_an_error_that_names_its_file(samples: list[Sample]) -> None:
    Path(samples[2].source).write_bytes(b"no image")
    images = DriftedCopies(samples, RandomDrifts(), copies=1, seed=0)
    for place in (2, 8):
        with pytest.raises(ImageError, match=r"2\.png"):
            images[place]


# -- the images of a training ----------------------------------------------------------------------------------------


def drawn(images: LearningImages, epoch: int, seen: int = 0) -> list[Any]:
    return [item for batch in images.epoch(epoch, seen, 4) for item in batch]


def test_every_image_gets_new_drifts_each_epoch_and_the_same_for_a_seed(samples: list[Sample]) -> None:
    def images(**options: Any) -> LearningImages:
        return LearningImages(samples, seed=3, drifts=always("sensor-noise"), **options)

    first, again, next_epoch = drawn(images(), 0), drawn(images(), 0), drawn(images(), 1)
    as_bytes = [image.tobytes() for image, _ in first]
    assert as_bytes == [image.tobytes() for image, _ in again]
    assert not set(as_bytes) & {image.tobytes() for image, _ in next_epoch}
    assert not set(as_bytes) & {image.tobytes() for image, _ in drawn(LearningImages(samples, seed=3), 0)}
    assert all(mask is None for _, mask in first)
    # An epoch that is entered behind its third image goes on with the same ones.
    assert as_bytes[3:] == [image.tobytes() for image, _ in drawn(images(), 0, seen=3)]


def test_the_drift_of_an_image_does_not_depend_on_how_many_others_there_are(samples: list[Sample]) -> None:
    drifts = always("gamma", "sensor-noise")
    all_of_them = {image.tobytes() for image, _ in drawn(LearningImages(samples, seed=3, drifts=drifts), 0)}
    some = {image.tobytes() for image, _ in drawn(LearningImages(samples[1:3], seed=3, drifts=drifts), 0)}
    assert some < all_of_them


def test_a_synthetic_defect_lies_below_the_drift_and_its_mask_follows(samples: list[Sample]) -> None:
    options: dict[str, Any] = {"seed": 3, "synthetic_share": 0.99}
    plain = drawn(LearningImages(samples, **options), 0)
    shifted = drawn(LearningImages(samples, **options, drifts=always("shift")), 0)
    moved = 0
    for (image, mask), (drifted, drifted_mask) in zip(plain, shifted):
        if mask is None or drifted_mask is None:
            continue
        # A shift by 2 % of 64 pixels: by one, in a direction that image and mask share.
        steps = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
        fits = [s for s in steps if np.array_equal(np.roll(image, s, (0, 1))[2:-2, 2:-2], drifted[2:-2, 2:-2])]
        assert any(np.array_equal(np.roll(mask, s, (0, 1))[2:-2, 2:-2], drifted_mask[2:-2, 2:-2]) for s in fits)
        moved += int(not np.array_equal(mask, drifted_mask))
    assert moved >= 2


def test_labelled_defective_images_drift_too_and_one_whose_defect_leaves_the_image_is_good(
    samples: list[Sample], tmp_path: Path
) -> None:
    # Were only good images drifted, the drift would tell them from the others.
    for name, place in (("middle", (30, 30)), ("corner", (63, 63))):
        mask = np.zeros((64, 64), dtype=np.uint8)
        mask[place] = 255
        write_png(mask, tmp_path / f"{name}.png")
    defective = [
        Sample("middle", samples[0].source, "train", 1, masks=(tmp_path / "middle.png",)),
        Sample("corner", samples[1].source, "train", 1, masks=(tmp_path / "corner.png",)),
    ]
    enlarged = RandomDrifts([DriftChoice("scale", severity=(5, 5), probability=1.0)])
    images = LearningImages(samples[2:], defective, seed=1, drifts=enlarged)
    masks: list[int] = []
    for epoch in range(6):
        for _, mask in drawn(images, epoch):
            if mask is not None:
                assert mask.any()
                masks.append(int(mask.sum()))
    assert 6 <= len(masks) < 12  # the middle one always; the corner only where the image became smaller


# -- runs ------------------------------------------------------------------------------------------------------------


def run_of(root: Path, runs: Path, name: str, *settings: str, **flags: Any) -> Any:
    config = load_run_config(
        settings=settings,
        flags={
            "dataset.root": root,
            "calibration.alpha": 0.2,
            "output.dir": runs,
            "output.name": name,
            "output.report": False,
            "output.thumbnails": 0,
            **flags,
        },
    )
    return run_recipe(config)


def test_a_fit_sees_copies_and_calibration_and_test_do_not(
    make_cells: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int] = []
    scored: list[bytes] = []
    fit, infer = PixelGaussian.fit, PixelGaussian.infer

    def watched_fit(self: Any, X: Any, y: Any = None) -> Any:
        fitted.append(len(X))
        return fit(self, X, y)

    def watched_infer(self: Any, X: Any, **options: Any) -> Any:
        scored.extend(np.asarray(image).tobytes() for image in X)
        return infer(self, X, **options)

    monkeypatch.setattr(PixelGaussian, "fit", watched_fit)
    monkeypatch.setattr(PixelGaussian, "infer", watched_infer)
    root = make_cells(tmp_path / "cells", train=20)
    # Images of the model's own size: what it is given to score is what lies in the files.
    flags = {"model.name": "pixel-gaussian", "model.params": {"input_size": 64}}
    on = ("adapt.drift_augment=true", "adapt.copies=3")
    plain = run_of(root, tmp_path / "runs", "plain", **flags).category("cells")
    drifted = run_of(root, tmp_path / "runs", "drifted", *on, **flags).category("cells")
    again = run_of(root, tmp_path / "runs", "again", *on, **flags).category("cells")
    n = plain.report()["data"]["n_fit"]
    assert fitted == [n, 4 * n, 4 * n]
    assert len(scored) == 3 * (20 - n + 10)
    assert set(scored) <= {read_image(path).tobytes() for path in root.rglob("*.png")}
    assert drifted.per_image.read_bytes() == again.per_image.read_bytes()
    assert drifted.per_image.read_bytes() != plain.per_image.read_bytes()
    assert "adapt" not in plain.report()
    report = drifted.report()
    Draft202012Validator(json_schema("category-report")).validate(report)
    assert report["adapt"]["copies"] == 3
    assert [drift["name"] for drift in report["adapt"]["drifts"]] == [choice.name for choice in DEFAULT_DRIFTS]


def test_the_models_of_the_folds_see_copies_of_their_own_images_only(
    make_cells: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int] = []
    fit = PixelGaussian.fit

    def watched(self: Any, X: Any, y: Any = None) -> Any:
        fitted.append(len(X))
        return fit(self, X, y)

    monkeypatch.setattr(PixelGaussian, "fit", watched)
    root = make_cells(tmp_path / "cells", train=20)
    flags = {"model.name": "pixel-gaussian", "model.params": {"input_size": 64}}
    ways = ("calibration.method=cross-conformal", "calibration.params.folds=4", "adapt.drift_augment=true")
    run_of(root, tmp_path / "runs", "folds", *ways, **flags)
    assert fitted == [60, 45, 45, 45, 45]


@pytest.mark.parametrize(("model", "copies"), [("stfpm", 0), ("patchcore", 2)])
def test_a_training_sees_drifts_and_a_memory_is_filled_from_copies_too(
    make_cells: Make, tmp_path: Path, model: str, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished: list[int] = []
    detector = {"stfpm": STFPM, "patchcore": PatchCore}[model]
    finish = detector.finish_training

    def watched(self: Any, images: Any, held_out: Any = ()) -> None:
        finished.append(len(images))
        finish(self, images, held_out)

    monkeypatch.setattr(detector, "finish_training", watched)
    root = make_cells(tmp_path / "cells", train=20)
    settings = (
        "recipe=micro-finetune",
        "recipe_params.epochs=1",
        "recipe_params.validation_defects=4",
        "recipe_params.keep=last",
        "model.params.input_size=64",
        "model.params.backbone=efficientnet-lite0",
        "model.params.batch_size=8",
    )
    runs = {
        name: run_of(root, tmp_path / "runs", name, *settings, *more, **{"model.name": model})
        for name, more in (("plain", ()), ("drifted", ("adapt.drift_augment=true",)))
    }
    reports = {name: run.category("cells").report() for name, run in runs.items()}
    n = reports["plain"]["data"]["n_fit"]
    # Before the first step and at the end; the measurements between them fit on the images that are trained on.
    frozen, *measured, last = finished[len(finished) // 2 :]
    assert frozen == last == n * (1 + copies)
    assert all(count < n for count in measured)
    losses = {
        name: [row["loss"] for row in read_log(run.path / "training/cells/log.jsonl") if "loss" in row]
        for name, run in runs.items()
    }
    assert len(losses["plain"]) == len(losses["drifted"]) > 0
    assert losses["plain"] != losses["drifted"]
    assert "adapt" not in reports["plain"]
    assert reports["drifted"]["adapt"]["copies"] == copies
    Draft202012Validator(json_schema("category-report")).validate(reports["drifted"])
    said = "\n".join(run_summary(runs["drifted"]))
    assert "drifts while it learned: rotation, shift, exposure, light-gradient, defocus, sensor-noise" in said
    assert ("2 drifted copies of each image" in said) == bool(copies)
