"""The schema of what a category's report says of its training."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.compare.schema import difference_schema
from pyimgano.workbench.schemas.building import NUMBER, TEXT, TEXTS, WHOLE, object_of, value

__all__ = ["finetune_schema"]


def finetune_schema() -> dict[str, Any]:
    """Return the schema of ``finetune``, which a category's report has where the recipe trains."""
    state = object_of(
        {
            "step": WHOLE,
            "auroc": value("number", "Of held-out good images against synthetic defects on them."),
            "separation": value("number", "Difference of their mean scores over the good ones' standard deviation."),
        }
    )
    return object_of(
        {
            "mode": TEXT,
            "steps": WHOLE,
            "epochs": NUMBER,
            "ended": value("string", "Why the training ended."),
            "kept": value("integer", "Step of the state that was kept.", minimum=0),
            "seconds": value("number", "Of training, those of interrupted processes included."),
            "batch_size": WHOLE,
            "n_train": WHOLE,
            "n_train_defects": WHOLE,
            "n_validation": WHOLE,
            "n_validation_defects": WHOLE,
            "n_trainable": value("integer", "Trained parameters.", minimum=1),
            "start": state,
            "best": state,
            "notes": TEXTS,
            "verdict": value(
                "string",
                "Whether training helped, by the image AUROC of the test images.",
                enum=["helped", "harmed", "no difference is shown", "unchanged", "not tested"],
            ),
            "differences": value("object", "Metric -> trained minus frozen.", additionalProperties=difference_schema()),
        }
    )
