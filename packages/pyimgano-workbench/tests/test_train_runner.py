"""The loop that trains: exact resume, early stopping, budgets, what goes wrong, and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import torch

from pyimgano.core.contracts import Sample
from pyimgano.core.errors import DatasetError, ParameterError, PyimganoError
from pyimgano.core.images import ImageSequence, write_png
from pyimgano.models.stfpm import STFPM
from pyimgano.workbench.progress import Silent
from pyimgano.workbench.train import TrainingOutcome, TrainSettings, train_detector
from pyimgano.workbench.train.learning_images import LearningImages
from pyimgano.workbench.train.metric_log import read_log
from pyimgano.workbench.train.optimisation import LearningRate, make_optimizer
from pyimgano.workbench.train.runner import Plan
from pyimgano.workbench.train.validation import Measurement, ValidationImages


@pytest.fixture
def samples(cell_images: dict[str, list[np.ndarray]], tmp_path: Path) -> list[Sample]:
    """Ten good cells as files."""
    found = []
    for number, image in enumerate(cell_images["good"][:10]):
        path = tmp_path / "cells" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        write_png(image, path)
        found.append(Sample(path.name, path, "train", 0))
    return found


def stfpm(**parameters: Any) -> STFPM:
    return STFPM(**{"input_size": 64, "batch_size": 3, "device": "cpu", "learning_rate": 0.05, **parameters})


def trained(detector: Any, samples: list[Sample], folder: Path, **settings: Any) -> TrainingOutcome:
    """Train on eight of the cells, measured by the other two."""
    prepare = detector.prepare
    return train_detector(
        detector,
        LearningImages(samples[:8], seed=3, prepare=prepare),
        ImageSequence([sample.source for sample in samples[:8]]),
        ValidationImages(samples[8:], 6, seed=3, prepare=prepare),
        TrainSettings(**{"epochs": 3, **settings}),
        folder=folder,
        progress=Silent(),
    )


def losses(folder: Path) -> list[float]:
    return [row["loss"] for row in read_log(folder / "log.jsonl") if "loss" in row]


def state_of(detector: Any) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in detector.training_state().items()}


class Interrupt(Exception):
    """Stands for a process that is killed: nothing behind it runs."""


def interrupted_at(step: int) -> Callable[..., STFPM]:
    """Return a maker of detectors whose training step ``step`` (from 1) never returns."""

    class Interrupted(STFPM):
        def training_step(self, batch: Any, masks: Any = None) -> Any:
            if self._steps == step - 1:
                raise Interrupt
            return super().training_step(batch, masks)

    Interrupted.__name__ = "STFPM"  # seeds are derived from the class's name
    small = {"input_size": 64, "batch_size": 3, "device": "cpu", "learning_rate": 0.05}
    return lambda: Interrupted(**small)


def test_the_same_seed_trains_the_same_steps_and_leaves_global_random_states_alone(samples, tmp_path: Path) -> None:
    torch.manual_seed(5)
    first = stfpm()
    outcome = trained(first, samples, tmp_path / "a")
    torch.manual_seed(6)
    before = torch.get_rng_state()
    second = stfpm()
    trained(second, samples, tmp_path / "b")
    assert torch.equal(torch.get_rng_state(), before)
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert state_of(first) == state_of(second)
    facts = outcome.facts
    assert (facts["steps"], facts["epochs"], facts["ended"], facts["mode"]) == (9, 3.0, "planned length", "full")
    assert (facts["n_train"], facts["n_validation"], facts["n_validation_defects"]) == (8, 2, 6)


@pytest.mark.parametrize("step", [1, 3, 5, 9])
def test_a_training_that_was_interrupted_goes_on_as_if_it_had_not_been(
    samples, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"optimizer": "adamw", "lr": 0.01, "schedule": "cosine", "keep": "last"}
    whole = stfpm()
    expected = trained(whole, samples, tmp_path / "whole", **settings)
    monkeypatch.setattr("pyimgano.workbench.train.runner.SAVE_SECONDS", 0.0)  # a state after every step
    with pytest.raises(Interrupt):
        trained(interrupted_at(step)(), samples, tmp_path / "cut", **settings)
    again = stfpm()
    outcome = trained(again, samples, tmp_path / "cut", **settings)
    assert state_of(again) == state_of(whole)
    assert read_log(tmp_path / "cut" / "log.jsonl") == read_log(tmp_path / "whole" / "log.jsonl")
    same = ("steps", "epochs", "ended", "start", "best", "batch_size")
    assert {key: outcome.facts[key] for key in same} == {key: expected.facts[key] for key in same}
    assert [path.name for path in sorted((tmp_path / "cut").glob("last-*"))] == ["last-00000009"]


def test_the_best_state_is_kept_and_the_last_one_on_request(samples, tmp_path: Path) -> None:
    ruined = {"lr": 30.0, "epochs": 2}  # so great a rate that the untrained state stays the best
    kept = stfpm()
    outcome = trained(kept, samples, tmp_path / "best", **ruined)
    start = stfpm()
    start.trainable("full")
    best = outcome.facts["best"]
    assert outcome.facts["kept"] == best["step"]
    measured = [row for row in read_log(tmp_path / "best" / "log.jsonl") if row.get("kind") == "validation"]
    ranked = max(measured, key=lambda row: (row["auroc"], row["separation"]))
    assert (ranked["step"], ranked["auroc"], ranked["separation"]) == (best["step"], best["auroc"], best["separation"])
    last = stfpm()
    outcome = trained(last, samples, tmp_path / "last", keep="last", **ruined)
    assert outcome.facts["kept"] == outcome.facts["steps"] == 6
    if best["step"] != 6:
        assert state_of(last) != state_of(kept)


def test_training_ends_when_nothing_improves(samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.7, 0.7, 0.6, 0.6, 0.6, 0.6])

    def measure(self: Any, detector: Any, **options: Any) -> Measurement:
        return Measurement(next(scores), 1.0)

    monkeypatch.setattr(ValidationImages, "measure", measure)
    outcome = trained(stfpm(), samples, tmp_path, epochs=50, patience=3)
    assert outcome.facts["ended"] == "no improvement in 3 measurements"
    assert (outcome.facts["epochs"], outcome.facts["kept"]) == (4.0, 3)


def test_the_auroc_decides_and_the_separation_where_it_is_the_same() -> None:
    assert Measurement(0.9, 0.1).better_than(Measurement(0.8, 5.0))
    assert Measurement(0.9, 0.2).better_than(Measurement(0.9, 0.1))
    assert not Measurement(0.9, 0.1).better_than(Measurement(0.9, 0.1))
    assert Measurement(0.1, 0.0).better_than(None)


def test_a_time_budget_ends_it_and_an_earlier_process_counts(samples, tmp_path: Path) -> None:
    trained(stfpm(), samples, tmp_path / "warm", max_steps=1)  # what the first training imports is not the budget's
    outcome = trained(stfpm(), samples, tmp_path / "timed", epochs=10_000, max_minutes=0.1)
    assert outcome.facts["ended"] == "max_minutes = 0.1"
    assert 1 <= outcome.facts["steps"] < 30_000
    again = trained(stfpm(), samples, tmp_path / "timed", epochs=10_000, max_minutes=0.1)
    assert again.facts["steps"] == outcome.facts["steps"]


def test_steps_end_it_within_an_epoch(samples, tmp_path: Path) -> None:
    outcome = trained(stfpm(), samples, tmp_path, epochs=None, max_steps=4)
    assert (outcome.facts["steps"], outcome.facts["ended"]) == (4, "planned length")
    assert read_log(tmp_path / "log.jsonl")[-1]["kind"] == "validation"  # what is kept was measured


def test_a_loss_that_is_not_finite_stops_with_its_step_and_the_next_call_ends_with_the_best_state(
    samples, tmp_path: Path
) -> None:
    class Diverging(STFPM):
        def training_step(self, batch: Any, masks: Any = None) -> Any:
            loss = super().training_step(batch, masks)
            return loss * float("nan") if self._steps == 5 else loss

    Diverging.__name__ = "STFPM"
    detector = Diverging(input_size=64, batch_size=3, device="cpu", learning_rate=0.05)
    with pytest.raises(
        PyimganoError, match=r"the loss is nan at step 5 \(epoch 2\); the best state .* is kept"
    ) as told:
        trained(detector, samples, tmp_path)
    assert "recipe_params.lr" in (told.value.hint or "")
    resumed = Diverging(input_size=64, batch_size=3, device="cpu", learning_rate=0.05)
    outcome = trained(resumed, samples, tmp_path, keep="last")
    assert outcome.facts["ended"] == "the loss is nan at step 5"
    assert outcome.facts["kept"] == outcome.facts["best"]["step"] <= 3
    resumed.finish_training(ImageSequence([]), ())
    assert np.isfinite(resumed.decision_function([samples[0].source])).all()


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …")],
    ids=["python", "torch"],
)
def test_a_batch_that_the_memory_cannot_hold_is_halved_with_a_note(samples, tmp_path: Path, error: Exception) -> None:
    sizes: list[int] = []

    class Small(STFPM):
        def training_step(self, batch: Any, masks: Any = None) -> Any:
            if len(batch) > 2:
                raise error
            sizes.append(len(batch))
            return super().training_step(batch, masks)

    outcome = trained(Small(input_size=64, batch_size=8, device="cpu"), samples, tmp_path, epochs=1)
    assert sizes == [2, 2, 2, 2]
    assert outcome.facts["batch_size"] == 2
    assert outcome.facts["notes"] == [
        "step 1: the memory is not enough for 8 images, going on with 4",
        "step 1: the memory is not enough for 4 images, going on with 2",
    ]


def test_other_runtime_errors_are_not_taken_for_one_of_memory(samples, tmp_path: Path) -> None:
    class Broken(STFPM):
        def training_step(self, batch: Any, masks: Any = None) -> Any:
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        trained(Broken(input_size=64, batch_size=8, device="cpu"), samples, tmp_path)


def test_a_single_image_too_great_for_the_memory_is_an_error_that_says_what_to_do(samples, tmp_path: Path) -> None:
    class Huge(STFPM):
        def training_step(self, batch: Any, masks: Any = None) -> Any:
            raise MemoryError

    with pytest.raises(PyimganoError, match="not enough for a training step on a single image") as told:
        trained(Huge(input_size=64, batch_size=2, device="cpu"), samples, tmp_path)
    assert "input_size" in (told.value.hint or "")


def test_gradients_are_clipped_to_the_norm(samples, tmp_path: Path) -> None:
    trained(stfpm(), samples, tmp_path, epochs=1, clip=0.01, optimizer="sgd", lr=1.0, momentum=0.0)
    rows = [row for row in read_log(tmp_path / "log.jsonl") if "loss" in row]
    assert all(row["gradient_norm"] > 0.01 for row in rows)
    detector = stfpm()
    before = {name: array.copy() for name, array in detector.training_state().items()}
    trained(
        detector, samples, tmp_path / "one", max_steps=1, clip=0.01, optimizer="sgd", lr=1.0, momentum=0.0, keep="last"
    )
    after = detector.training_state()
    weights = [name for name in before if name.endswith((".weight", ".bias"))]
    moved = np.sqrt(sum(float(np.square(after[name].astype(float) - before[name]).sum()) for name in weights))
    assert moved == pytest.approx(0.01, rel=1e-3)


def test_the_log_has_a_row_per_step_and_drops_what_will_be_written_again(samples, tmp_path: Path) -> None:
    trained(stfpm(), samples, tmp_path, epochs=2)
    path = tmp_path / "log.jsonl"
    rows = read_log(path)
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in rows if row.get("kind") == "validation"] == [0, 3, 6]
    text = path.read_text(encoding="utf-8")
    path.write_text(text + '{"step": 7, "lo', encoding="utf-8")  # what a killed process was writing
    assert read_log(path) == rows
    path.write_text("nonsense\n" + text, encoding="utf-8")
    with pytest.raises(PyimganoError, match="training log") as told:
        read_log(path)
    assert told.value.where == f"{path}:1"


def test_tensorboard_is_given_the_same_numbers(samples, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained(stfpm(), samples, tmp_path, epochs=1)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = [event.value for event in events.Scalars("train/loss")]
    assert found == pytest.approx(losses(tmp_path), rel=1e-6)
    assert len(events.Scalars("validation/auroc")) == 2


def test_an_epoch_can_be_entered_anywhere(samples) -> None:
    images = LearningImages(samples, seed=1)
    whole = [[image.tobytes() for image, _ in batch] for batch in images.epoch(2, 0, 4)]
    assert [len(batch) for batch in whole] == [4, 3, 3]
    assert len({image for batch in whole for image in batch}) == 10
    for done in range(1, 3):
        seen = sum(len(batch) for batch in whole[:done])
        rest = [[image.tobytes() for image, _ in batch] for batch in images.epoch(2, seen, 4)]
        assert rest == whole[done:]
    assert [[i.tobytes() for i, _ in batch] for batch in images.epoch(3, 0, 4)] != whole


def test_a_share_of_the_images_is_given_a_defect_and_its_mask(samples) -> None:
    plain = {sample.id: image for sample, image in zip(samples, ImageSequence([s.source for s in samples]))}
    images = LearningImages(samples, seed=1, synthetic_share=0.5)
    seen = [item for epoch in range(6) for batch in images.epoch(epoch, 0, 4) for item in batch]
    changed = [(image, mask) for image, mask in seen if mask is not None]
    assert 15 <= len(changed) <= 45
    known = {image.tobytes() for image in plain.values()}
    assert all(mask.any() and mask.shape == image.shape[:2] and image.tobytes() not in known for image, mask in changed)
    assert all(image.tobytes() in known for image, mask in seen if mask is None)
    again = [item for batch in images.epoch(0, 0, 4) for item in batch]
    first = seen[: len(again)]
    assert [image.tobytes() for image, _ in again] == [image.tobytes() for image, _ in first]


def test_a_defective_image_without_a_mask_is_named(samples, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no mask to learn from") as told:
        LearningImages(samples[:2], [Sample("x.png", tmp_path / "x.png", "train", 1)], seed=0)
    assert "x.png" in (told.value.where or "")


def test_validation_images_are_the_same_each_time_and_half_of_them_defective(samples) -> None:
    images = ValidationImages(samples[:3], 7, seed=0)
    assert (len(images), images.n_defective) == (12, 9)
    first, again = [image.tobytes() for image in images], [image.tobytes() for image in images]
    assert first == again
    assert len(set(first)) == 12


def rate(done: float, **settings: Any) -> float:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    return LearningRate(optimizer, stfpm(), TrainSettings(**settings)).set(done)


def test_schedules_rise_and_fall_as_they_say() -> None:
    assert [rate(done, schedule="constant") for done in (0.0, 0.9)] == [2.0, 2.0]
    assert [rate(done, schedule="linear") for done in (0.0, 0.25, 1.0)] == [2.0, 1.5, 0.0]
    assert [rate(done, schedule="cosine") for done in (0.0, 0.5, 1.0)] == pytest.approx([2.0, 1.0, 0.0])
    warm = {"schedule": "linear", "warmup": 0.5}
    assert [rate(done, **warm) for done in (0.0, 0.25, 0.5, 0.75)] == [0.0, 1.0, 2.0, 1.0]


def test_a_rate_of_ones_own_keeps_the_ratios_of_a_papers_several() -> None:
    class Several(STFPM):
        def make_optimizer(self, parameters: Any) -> Any:
            first, second = parameters
            return torch.optim.Adam([{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.2}])

    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = make_optimizer(Several(), parameters, TrainSettings(lr=0.02))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.01, 0.02])


@pytest.mark.parametrize(("name", "kind"), [("adamw", "AdamW"), ("adam", "Adam"), ("sgd", "SGD"), ("model", "SGD")])
def test_the_optimiser_is_the_one_that_was_named(name: str, kind: str) -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1))]
    assert type(make_optimizer(stfpm(), parameters, TrainSettings(optimizer=name))).__name__ == kind


def test_a_plan_ends_with_what_comes_first() -> None:
    assert Plan(TrainSettings(), 10, 40).done(20, 0, 0) == 0.5
    assert Plan(TrainSettings(epochs=4), 10, 40).done(99, 1, 5) == 0.375
    both = Plan(TrainSettings(epochs=4, max_steps=10), 10, 40)
    assert (both.done(5, 1, 0), both.done(1, 2, 0), both.total(5)) == (0.5, 0.5, 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "epochs = 0"),
        ({"lr": 0.0}, "lr = 0.0"),
        ({"lr": "fast"}, "lr = 'fast'"),
        ({"optimizer": "lion"}, "optimizer = 'lion'"),
        ({"schedule": "step"}, "schedule = 'step'"),
        ({"weight_decay": 0.1}, "weight_decay = 0.1"),
        ({"validation": 0.0}, "validation = 0.0"),
        ({"validation": 1.5}, "validation = 1.5"),
        ({"amp": "yes"}, "amp = 'yes'"),
        ({"max_minutes": -1}, "max_minutes = -1"),
        ({"keep": "all"}, "keep = 'all'"),
        ({"patience": True}, "patience = True"),
    ],
)
def test_settings_out_of_range_are_refused_with_what_is_allowed(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message) as told:
        TrainSettings(**settings)
    assert told.value.allowed


def test_what_is_saved_is_strict_json(samples, tmp_path: Path) -> None:
    trained(stfpm(), samples, tmp_path, epochs=1)
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
