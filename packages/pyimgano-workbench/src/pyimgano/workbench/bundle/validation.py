"""Whether a bundle is whole, and still says what it said when it was made."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from pyimgano.core.errors import PyimganoError
from pyimgano.workbench.bundle.bundle import load_bundle
from pyimgano.workbench.bundle.samples import SampleOutcome, run_sample

__all__ = ["Validation", "validate_bundle"]


@dataclass(frozen=True)
class Validation:
    """What was found.

    Attributes
    ----------
    path : Path
    n_files : int
        Files whose name, size and checksum are what the manifest states.
    samples : tuple of SampleOutcome
        One for each category.
    """

    path: Path
    n_files: int
    samples: tuple[SampleOutcome, ...]

    @property
    def valid(self) -> bool:
        """Whether every sample is as expected."""
        return all(sample.problem is None for sample in self.samples)

    def require_valid(self) -> None:
        """Refuse a bundle whose samples are not as expected.

        Raises
        ------
        PyimganoError
            It names the first.
        """
        for sample in self.samples:
            if sample.problem is not None:
                raise PyimganoError(
                    f"the sample of category {sample.category!r} is not as expected: {sample.problem}",
                    where=str(self.path),
                )

    def to_json(self) -> dict[str, Any]:
        """Return the findings as a JSON-friendly mapping."""
        return {
            "bundle": self.path.name,
            "valid": self.valid,
            "n_files": self.n_files,
            "samples": [sample.to_json() for sample in self.samples],
        }


def validate_bundle(path: Union[str, os.PathLike[str]]) -> Validation:
    """Verify a bundle's files, load every category's detector, and run its sample.

    Raises
    ------
    CheckpointError
        When it is not whole, or holds what it must not; see :func:`~pyimgano.workbench.bundle.bundle.load_bundle`.
    MissingDependencyError
        When it needs something that is not installed.
    """
    with load_bundle(path) as bundle:
        samples = []
        for name in bundle.categories:
            folder = bundle.models.folder_of(name)
            samples.append(run_sample(bundle.contents, folder, name, bundle.models.fitted_category(name)))
        return Validation(Path(path), len(bundle.manifest.files), tuple(samples))
