"""A training step, and one image, of trained models."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.measure import alternate, median, run_child
from benchmarks.results import Options, Outcome, Row

STEP_GOAL = 1.0
IMAGE_GOAL = 1.5
MODELS = {"stfpm": ("STFPM", 8), "efficient-ad": ("EfficientAD-S", 1), "supersimplenet": ("SuperSimpleNet", 8)}
"""Model → its name and the images of a step."""


def measure(options: Options) -> Outcome:
    """Measure the group.

    Parameters
    ----------
    options : Options
        The run's options.

    Returns
    -------
    Outcome
        Two rows per model.
    """
    steps, repeats = (3, 3) if options.quick else (8, 20)
    rows: list[Row] = []
    raw = {}
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-photographs-") as place:
        _photographs(Path(place) / "anything")
        for model, (name, batch) in MODELS.items():
            given = {
                "model": model,
                "batch_size": batch,
                "steps": steps,
                "repeats": repeats,
                "threads": options.threads,
            }

            def task(module: str, given: dict[str, object] = given) -> dict[str, object]:
                extra = {"folder": place, "threads": options.threads}
                return run_child(module, "train", {**given, **extra}, threads=options.threads)

            answers = alternate(
                {
                    "ours": lambda task=task: task("benchmarks.training_ours"),
                    "peer": lambda task=task: task("benchmarks.training_peer"),
                },
                1 if options.quick else options.rounds,
            )
            raw[model] = answers
            # The first step allocates; it is left out on both sides.
            step = {side: median([median(a["step_seconds"][1:]) for a in found]) for side, found in answers.items()}
            image = {side: median([median(a["latency_ms"]) for a in found]) for side, found in answers.items()}
            rows += [
                _row(f"{name}: a training step of {batch}", step, STEP_GOAL, "s", options.quick, batch),
                _row(f"{name}: one image", image, IMAGE_GOAL, "ms", options.quick, batch),
            ]
    return Outcome(rows, raw)


def _row(name: str, found: dict[str, float], goal: float, unit: str, quick: bool, batch: int) -> Row:
    ratio = found["peer"] / found["ours"]
    digits = 2 if unit == "s" else 0
    what = (
        f"256 × 256, batches of {batch}, the papers' networks with random weights of the frozen part, from the start of"
        " a step to the start of the next: reading, loss, gradients and optimiser; medians without the first step."
        " anomalib: `Engine.fit`, no loading processes. pyimgano: `fit` on files."
        if unit == "s"
        else "a 300 × 300 uint8 RGB array in, resized, score and map out as numpy arrays, after the training above."
        " anomalib: its module with its own pre-processing, `inference_mode`. pyimgano: `infer([array])`."
    )
    return Row(
        name=name,
        ours=f"{found['ours']:.{digits}f} {unit}",
        other=f"{found['peer']:.{digits}f} {unit}",
        ratio=f"{ratio:.2f}× faster",
        goal=f"≥ {goal:g}×",
        passed=None if quick else ratio >= goal,
        method=what,
    )


def _photographs(folder: Path) -> None:
    """Lay out scikit-image's photographs as a class of ImageNet, which EfficientAD's penalty takes."""
    import shutil

    spec = find_spec("skimage")
    assert spec is not None
    assert spec.origin is not None
    folder.mkdir(parents=True)
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg"):
        source = Path(spec.origin).parent / "data" / name
        if source.is_file():
            shutil.copyfile(source, folder / name)
