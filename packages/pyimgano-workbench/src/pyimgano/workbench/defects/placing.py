"""Several defects on one image, of kinds and severities drawn by lot, with a record of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.creation import create_component
from pyimgano.core.errors import ConfigError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.parameters import require
from pyimgano.core.registry import COMPONENTS
from pyimgano.workbench.defects.defect import SEVERITIES, Defect, check_severity
from pyimgano.workbench.defects.donors import out_of_place
from pyimgano.workbench.defects.footprint import bounds_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["BANK", "Kind", "PlacedDefect", "Placing", "PlacingResult", "chosen_kinds", "kind_names", "make_kind"]

BANK = "defect-bank"
"""The kind that needs a folder."""


def kind_names() -> tuple[str, ...]:
    """Return the names of all registered kinds, sorted."""
    return tuple(sorted(entry.spec.name for entry in COMPONENTS.entries() if entry.spec.kind == "defects"))


def make_kind(name: str, params: Optional[Mapping[str, Any]] = None) -> Defect:
    """Return a kind of defect.

    Raises
    ------
    UnknownNameError
        When no kind has that name; it says which are nearest.
    ParameterError, DatasetError
        When its parameters are not valid.
    """
    try:
        kind: Defect = create_component("defects", name, params)
    except UnknownNameError as error:
        names = kind_names()
        if name in names:  # known, and something else is
            raise
        raise UnknownNameError(
            f"unknown kind of defect {name!r}",
            allowed=", ".join(names),
            hint=unknown_name_hint(name, names, listing="pyimgano components list --tag defects"),
        ) from error
    return kind


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind that may be drawn.

    Parameters
    ----------
    name : str
        A component of kind ``defects``.
    weight : float
        How often, beside the weights of the others; above 0.
    params : mapping
        Its parameters. With ``severity`` among them, that is taken; otherwise it is drawn.
    """

    name: str
    weight: float = 1.0
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def made(self, severity: int) -> tuple[Defect, int]:
        """Return the kind at a severity, or at its own, and which one that is."""
        params = {"severity": severity, **self.params}
        return make_kind(self.name, params), int(params["severity"])


def chosen_kinds(
    names: Sequence[tuple[str, float]], *, bank: Optional[str] = None, bank_key: str = "bank"
) -> tuple[Kind, ...]:
    """Return kinds by name, each made once to see that it can be.

    Parameters
    ----------
    names : sequence of (str, float)
        Names and weights; none: all kinds that are registered, with equal weights, the bank's only with a bank.
    bank : str, optional
        Folder of crops and masks of the kind ``"defect-bank"``.
    bank_key : str
        What sets the bank, for messages.

    Raises
    ------
    UnknownNameError
        When there is no such kind.
    ConfigError
        When a kind is named twice, or the bank is missing or not used.
    DatasetError
        When the bank is none, or a crop of it has no mask.
    """
    chosen = list(names) or [(name, 1.0) for name in kind_names() if name != BANK or bank is not None]
    twice = {name for name, _ in chosen if [other for other, _ in chosen].count(name) > 1}
    if twice:
        raise ConfigError(f"kinds of defects are named twice: {', '.join(sorted(twice))}", hint="name each once")
    banked = BANK in [name for name, _ in chosen]
    if banked and bank is None:
        raise ConfigError(f"the kind {BANK!r} needs {bank_key}", allowed="a folder of defect crops with masks")
    if bank is not None and not banked:
        raise ConfigError(f"{bank_key} is given, and {BANK!r} is not among the kinds", hint=f"name the kind {BANK!r}")
    kinds = tuple(Kind(name, weight, {"folder": bank} if name == BANK else {}) for name, weight in chosen)
    for kind in kinds:
        kind.made(SEVERITIES[0])
    return kinds


@dataclasses.dataclass(frozen=True)
class PlacedDefect:
    """One defect that was put on an image.

    Attributes
    ----------
    kind : str
        Its name.
    severity : int
        1 to 5.
    box : (int, int, int, int)
        x, y, width and height of the box around its mask, in pixels.
    area : int
        Pixels of its mask.
    """

    kind: str
    severity: int
    box: tuple[int, int, int, int]
    area: int

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {"kind": self.kind, "severity": self.severity, "box": list(self.box), "area": self.area}


@dataclasses.dataclass(frozen=True)
class PlacingResult:
    """An image with defects.

    Attributes
    ----------
    image : ndarray, (H, W, 3) uint8
        RGB.
    mask : ndarray, (H, W) bool
        The union of the defects' masks; never empty.
    defects : tuple of PlacedDefect
        In the order in which they were put on. A later one may cover an earlier one.
    """

    image: np.ndarray
    mask: np.ndarray
    defects: tuple[PlacedDefect, ...]


@dataclasses.dataclass(frozen=True)
class Placing:
    """What is put on an image: how many defects, of which kinds, how severe.

    Parameters
    ----------
    kinds : sequence of Kind
        At least one.
    count : (int, int)
        Least and largest number of defects on an image, at least 1.
    severity : (int, int)
        Least and largest severity, of 1 to 5.

    Raises
    ------
    ParameterError
        When a range is not one, or a weight not above 0.
    UnknownNameError
        When there is no such kind.
    """

    kinds: Sequence[Kind]
    count: tuple[int, int] = (1, 1)
    severity: tuple[int, int] = (SEVERITIES[0], SEVERITIES[-1])

    def __post_init__(self) -> None:
        require(len(self.kinds) > 0, "kinds", list(self.kinds), "at least one kind")
        least, most = self.count
        require(1 <= least <= most, "count", self.count, "two whole numbers, at least 1, the smaller first")
        for value in self.severity:
            check_severity(value)
        require(self.severity[0] <= self.severity[1], "severity", self.severity, "the smaller one first")
        for kind in self.kinds:
            require(kind.weight > 0, "weight", kind.weight, "above 0", where=kind.name)
            kind.made(self.severity[0])

    def __call__(
        self,
        image: np.ndarray,
        rng: np.random.Generator,
        *,
        donor: Optional[Callable[[], np.ndarray]] = None,
        roi: Optional[np.ndarray] = None,
    ) -> PlacingResult:
        """Put defects on ``image``, (H, W, 3) uint8, which is not changed.

        Parameters
        ----------
        rng : Generator
            The same state gives the same bytes.
        donor : callable, optional
            Returns another image, of any size, for the kinds that paste; called once per defect of such a kind. Without
            it, they paste of the image itself, turned.
        roi : ndarray, (H, W) bool, optional
            Where the image may change; not empty.

        Raises
        ------
        ParameterError
            When the ROI is empty or of another size.
        """
        import numpy as np

        weights = np.array([kind.weight for kind in self.kinds], dtype=np.float64)
        changed, union, placed = image, np.zeros(image.shape[:2], dtype=bool), []
        for _ in range(int(rng.integers(self.count[0], self.count[1], endpoint=True))):
            choice = self.kinds[int(rng.choice(len(self.kinds), p=weights / weights.sum()))]
            defect, severity = choice.made(int(rng.integers(self.severity[0], self.severity[1], endpoint=True)))
            other = None
            if getattr(defect, "pastes", False):
                other = out_of_place(image if donor is None else donor(), image.shape, rng)
            changed, mask = defect(changed, rng, donor=other, roi=roi)
            rows, columns = bounds_of(mask)
            box = (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
            placed.append(PlacedDefect(choice.name, severity, box, int(mask.sum())))
            union |= mask
        return PlacingResult(changed, union, tuple(placed))
