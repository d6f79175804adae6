"""The augmentation row: epochs of a micro-finetune with and without drifts, in turn, in one process."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.elpv import mono_split
from benchmarks.measure import serve


def epochs(images: int, rounds: int, threads: int) -> dict[str, Any]:
    """Time epochs of adapting PatchCore's backbone: reading, drifts, synthetic defects, steps.

    Parameters
    ----------
    images : int
        Of an epoch.
    rounds : int
        Epochs of either kind.
    threads : int
        Number of threads.

    Returns
    -------
    dict
        ``plain`` and ``drifted``: seconds of each epoch but the first.
    """
    import torch

    from pyimgano.core.contracts import Sample
    from pyimgano.core.creation import create_model
    from pyimgano.workbench.augment.random_drifts import RandomDrifts
    from pyimgano.workbench.train.learning_images import LearningImages

    torch.set_num_threads(threads)
    samples = [Sample(path.name, path) for path in mono_split(0).train[:images]]
    model = create_model("patchcore", input_size=224, device="cpu", batch_size=8)
    parameters = model.trainable("backbone-adapt")
    optimizer = model.make_optimizer(parameters)
    model.begin_training([sample.source for sample in samples])
    seen = {
        name: LearningImages(samples, seed=0, prepare=model.prepare, synthetic_share=0.5, drifts=drifts)
        for name, drifts in (("plain", None), ("drifted", RandomDrifts()))
    }
    found: dict[str, list[float]] = {name: [] for name in seen}
    for epoch in range(rounds + 1):
        for name in ("plain", "drifted") if epoch % 2 else ("drifted", "plain"):
            start = time.perf_counter()
            for batch in seen[name].epoch(epoch, 0, 8):
                loss = model.training_step([image for image, _ in batch], [mask for _, mask in batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
            if epoch:  # the first allocates
                found[name].append(time.perf_counter() - start)
    return found


if __name__ == "__main__":
    serve({"epochs": epochs})
