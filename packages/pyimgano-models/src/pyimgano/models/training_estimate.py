"""What a training will need: two of its steps, taken and extrapolated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyimgano.core.batching import ImageBatches
from pyimgano.core.estimates import ResourceEstimate
from pyimgano.models.estimating import array_bytes, kept_for_gradients, timed

if TYPE_CHECKING:
    from pyimgano.models.trained import TrainedDetector

__all__ = ["estimate_training"]


def estimate_training(detector: TrainedDetector, sample: Sequence[Any], n_images: int) -> ResourceEstimate:
    """Return what a fit on so many images needs; see :class:`pyimgano.core.estimates.Estimable`.

    Two steps are taken on two images each. The values that the first one keeps for the gradients, and the time of the
    second one, are taken to be linear in the size of a batch; what is learned before and after the steps, in the number
    of images.

    Parameters
    ----------
    detector : TrainedDetector
        A fresh copy, which is thrown away afterwards.
    sample : sequence
        Good images, as in ``fit``.
    n_images : int
        How many the fit will have.
    """
    steps = detector.planned_steps(n_images)
    parameters = detector.trainable("full")
    optimizer = detector.make_optimizer(parameters)
    before, _ = timed(lambda: detector.begin_training(sample))
    batch = next(iter(ImageBatches(sample, min(2, int(detector.batch_size)), prepare=detector.prepare)))
    times = min(int(detector.batch_size), n_images) / len(batch)

    def step() -> None:
        loss = detector.training_step(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    kept, _ = kept_for_gradients(step)
    stepping, _ = timed(step)
    after, _ = timed(lambda: detector.finish_training(sample))
    detector.infer(sample[:1])
    scoring, _ = timed(lambda: detector.infer(sample))
    weights = sum(int(one.numel()) * int(one.element_size()) for one in parameters)
    return ResourceEstimate(
        state_bytes=array_bytes(detector._get_state()[0]) + 8 * steps,
        # Beside the weights: their gradients, two moments of an optimiser, and what the gradients are made from.
        working_bytes=int(3 * weights + times * kept) + 8 * steps,
        fit_seconds=steps * stepping * times + (before + after) * n_images / len(sample),
        image_seconds=scoring / len(sample),
        steps=steps,
        assumptions=("A step's time and memory are linear in the size of a batch.",),
    )
