"""Datasets: from a folder or a manifest to samples with labels, splits and masks; nothing is decoded on the way.

:func:`read_dataset` finds out what lies in a folder; :mod:`pyimgano.datasets.splits` makes the hold-out that a
threshold is fitted on; :mod:`pyimgano.datasets.load` decodes images and masks; :mod:`pyimgano.datasets.inspection`
looks at a whole dataset before it is used. A listing imports only :mod:`pyimgano.datasets.specs`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyimgano.datasets.folds import split_folds
    from pyimgano.datasets.hashing import ContentHashes
    from pyimgano.datasets.inspection import inspect_samples
    from pyimgano.datasets.load import load_image, load_mask
    from pyimgano.datasets.reading import read_dataset
    from pyimgano.datasets.saturation import defects_config, load_regions, read_defects_config
    from pyimgano.datasets.shares import take_share
    from pyimgano.datasets.splits import (
        GoodSplit,
        assign_splits,
        check_disjoint,
        fingerprint,
        limit_samples,
        split_good,
    )

__all__ = [
    "ContentHashes",
    "GoodSplit",
    "assign_splits",
    "check_disjoint",
    "defects_config",
    "fingerprint",
    "inspect_samples",
    "limit_samples",
    "load_image",
    "load_mask",
    "load_regions",
    "read_dataset",
    "read_defects_config",
    "split_folds",
    "split_good",
    "take_share",
]

# Name → module: a listing comes by here for the specs, and shall not pay for the readers.
_HOMES = {
    "ContentHashes": "hashing",
    "GoodSplit": "splits",
    "assign_splits": "splits",
    "check_disjoint": "splits",
    "defects_config": "saturation",
    "fingerprint": "splits",
    "inspect_samples": "inspection",
    "limit_samples": "splits",
    "load_image": "load",
    "load_mask": "load",
    "load_regions": "saturation",
    "read_dataset": "reading",
    "read_defects_config": "saturation",
    "split_folds": "folds",
    "split_good": "splits",
    "take_share": "shares",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
