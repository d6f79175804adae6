"""The audit of a dataset: one pass over all files, then one model per fold over the good images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.contracts import Sample, Samples
from pyimgano.core.errors import DatasetError, PyimganoError
from pyimgano.core.parameters import require
from pyimgano.workbench.audit.duplicates import DuplicateSet, find_duplicates
from pyimgano.workbench.audit.oddities import Oddity, find_oddities
from pyimgano.workbench.audit.outliers import OutlierRanking, folds_for, rank_outliers
from pyimgano.workbench.audit.signatures import ImageFacts, read_signatures
from pyimgano.workbench.audit.unions import Unions
from pyimgano.workbench.progress import Progress

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["AUDIT_SCHEMA", "Audit", "AuditSettings", "audit_samples", "default_model"]

AUDIT_SCHEMA = 1


@dataclass(frozen=True)
class AuditSettings:
    """How an audit looks.

    Attributes
    ----------
    likeness : float
        See :func:`pyimgano.workbench.audit.near.join_alike`. 0.99 was chosen on ELPV mono cells, the hardest of what
        was tried: among 400 different cells no pair reaches it (0.9892 is the highest, of textures 0.82), and copies
        that were resized to 0.35, JPEG-coded at quality 40, given noise or another gamma have 0.990 to 1.000. Copies
        that were made so bright that large parts saturate, or moved by more than a pixel, are not found.
    outliers : bool
        Whether good images are ranked.
    folds : int
        Models per category.
    most : int
        Images that a model is fitted on at most.
    top : int
        Images per category that are listed.
    """

    likeness: float = 0.99
    outliers: bool = True
    folds: int = 5
    most: int = 500
    top: int = 50

    def __post_init__(self) -> None:
        require(0.5 <= self.likeness < 1.0, "likeness", self.likeness, "at least 0.5, below 1")
        require(self.folds >= 2, "folds", self.folds, "at least 2")
        require(self.most >= 1, "most", self.most, "at least 1")
        require(self.top >= 1, "top", self.top, "at least 1")

    def to_json(self) -> dict[str, Any]:
        """Return them as a JSON-friendly mapping."""
        return {"likeness": self.likeness, "folds": self.folds, "most": self.most, "top": self.top}


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes
    ----------
    name : str
        Of the dataset's folder or manifest.
    samples : Samples
        What was looked at.
    settings : AuditSettings
    model : mapping
        ``name``, ``params`` and ``seed`` of what ranked the good images.
    duplicates : tuple of DuplicateSet
        The most dangerous first.
    oddities : tuple of Oddity
    rankings : tuple of OutlierRanking
        Of each category that could be ranked.
    notes : tuple of str
        What was left out, in sentences.
    value_range : (float, float) or None
        How the images were read, see :func:`pyimgano.core.images.to_rgb8`.
    """

    name: str
    samples: Samples
    settings: AuditSettings
    model: Mapping[str, Any]
    duplicates: tuple[DuplicateSet, ...]
    oddities: tuple[Oddity, ...]
    rankings: tuple[OutlierRanking, ...]
    notes: tuple[str, ...] = field(default=())
    value_range: Optional[tuple[float, float]] = None

    @property
    def leaks(self) -> int:
        """Number of sets that stand in two splits."""
        return sum(found.leak for found in self.duplicates)

    @property
    def problems(self) -> int:
        """Number of findings that need no judgement: leaks, contradicting labels, unreadable images."""
        doubtful = sum(found.leak or found.conflict for found in self.duplicates)
        return doubtful + sum(odd.kind == "unreadable" for odd in self.oddities)

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping: ``audit.json``."""
        return {
            "schema_version": AUDIT_SCHEMA,
            "dataset": self.name,
            "images": len(self.samples),
            "settings": self.settings.to_json(),
            "model": dict(self.model) if self.rankings else None,
            "counts": {
                "exact_sets": sum(found.kind == "exact" for found in self.duplicates),
                "near_sets": sum(found.kind == "near" for found in self.duplicates),
                "leaks": self.leaks,
                "label_conflicts": sum(found.conflict for found in self.duplicates),
                "odd": len(self.oddities),
            },
            "duplicates": [found.to_json() for found in self.duplicates],
            "odd": [odd.to_json() for odd in self.oddities],
            "outliers": [ranking.to_json(self.settings.top) for ranking in self.rankings],
            "notes": list(self.notes),
        }


def audit_samples(
    samples: Samples, config: RunConfig, progress: Progress, settings: Optional[AuditSettings] = None
) -> Audit:
    """Look at all images of a dataset, and rank its good training images.

    Parameters
    ----------
    samples : Samples
        What :func:`pyimgano.datasets.read_dataset` returned.
    config : RunConfig
        Names the model that ranks, the seed and the value range.
    progress : Progress
        Who listens.
    settings : AuditSettings, optional
        How to look.

    Notes
    -----
    Images are read by threads and not kept; a signature of 2 kB is. An unreadable image is a finding.
    """
    from pathlib import Path

    wanted = settings or AuditSettings()
    with progress.stage("Reading images", len(samples)) as advance:
        facts, signatures = read_signatures(samples.samples, value_range=config.dataset.value_range, advance=advance)
    duplicates, links = find_duplicates(samples.samples, facts, signatures, wanted.likeness)
    rankings: list[OutlierRanking] = []
    notes = list(samples.notes)
    if wanted.outliers:
        for category in samples.categories() or (None,):
            ranking, note = _rank(samples, facts, links, config, progress, wanted, category)
            rankings += [ranking] if ranking is not None else []
            notes += [note] if note else []
    return Audit(
        name=Path(config.dataset.root).name,
        samples=samples,
        settings=wanted,
        model={"name": config.model.name, "params": dict(config.model.params), "seed": config.seed},
        duplicates=tuple(duplicates),
        oddities=tuple(find_oddities(samples.samples, facts)),
        rankings=tuple(rankings),
        notes=tuple(notes),
        value_range=config.dataset.value_range,
    )


def _rank(
    samples: Samples,
    facts: Sequence[ImageFacts],
    links: Unions,
    config: RunConfig,
    progress: Progress,
    settings: AuditSettings,
    category: Optional[str],
) -> tuple[Optional[OutlierRanking], Optional[str]]:
    """Rank the good images of a category that show something, or say why they cannot be ranked."""
    from pyimgano.datasets import ContentHashes

    chosen = [
        index
        for index, sample in enumerate(samples.samples)
        if sample.category == category
        and sample.split in ("train", "validation")
        and sample.label == 0
        and facts[index].error is None
        and facts[index].low < facts[index].high
    ]
    images = [samples.samples[index] for index in chosen]
    linked = _linked(images, [f"copies {links.root(index)}" for index in chosen], settings.folds)
    try:
        folds = folds_for(images, linked, settings.folds)
        ranking = rank_outliers(
            config,
            images,
            linked,
            progress,
            category=category,
            folds=folds,
            most=settings.most,
            top=settings.top,
            hashes=ContentHashes(),
        )
    except DatasetError as error:
        where = f"category {category!r}" if category else "the good images"
        return None, f"Not ranked: {where}: {error.message}."
    return ranking, None


def _linked(images: Sequence[Sample], copies: Sequence[str], folds: int) -> list[str]:
    """Return what each image stays together with: its copies, and its group where there are enough groups."""
    unions = Unions(len(images))
    first: dict[str, int] = {}
    for index, link in enumerate(copies):
        unions.join(index, first.setdefault(link, index))
    together = [str(root) for root in unions.roots()]
    for index, sample in enumerate(images):
        if sample.group is not None:
            unions.join(index, first.setdefault(f"group {sample.group}", index))
    grouped = [str(root) for root in unions.roots()]
    return grouped if len(set(grouped)) >= max(folds, 4) else together


def default_model() -> tuple[str, dict[str, Any]]:
    """Return the model that ranks unless another is named, and its parameters.

    That of the recipe's preset ``fast`` where what it needs is installed, else ``pixel-gaussian``, which needs nothing
    but is for images in which every part stands at its place.
    """
    from pyimgano.core.registry import MODELS
    from pyimgano.workbench.recipe import preset_defaults

    try:
        model = preset_defaults("industrial-adapt", "fast")["model"]
        if not MODELS.get(model["name"]).missing:
            return str(model["name"]), dict(model["params"])
    except PyimganoError:
        pass
    return "pixel-gaussian", {}
