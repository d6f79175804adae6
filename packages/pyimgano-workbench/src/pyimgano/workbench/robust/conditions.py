"""The conditions of a robustness benchmark: no drift, and each drift in each severity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Optional

from pyimgano.core.creation import create_component
from pyimgano.core.errors import ConfigError, ImageError, PyimganoError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.seeding import generator
from pyimgano.workbench.augment import SEVERITIES
from pyimgano.workbench.config.components import component_names
from pyimgano.workbench.runs.naming import safe_name

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CLEAN", "Condition", "change_of", "plan_conditions"]


@dataclass(frozen=True)
class Condition:
    """A drift in one severity.

    Attributes
    ----------
    drift : str or None
        A component of kind ``augment``; None is the images as they are.
    severity : int
        1 to 5; 0 without a drift.
    """

    drift: Optional[str]
    severity: int

    @property
    def name(self) -> str:
        """What people call it, e.g. ``glare 3``."""
        return "clean" if self.drift is None else f"{self.drift} {self.severity}"

    @property
    def file_name(self) -> str:
        """A file name for it, without an ending."""
        return "clean" if self.drift is None else f"{safe_name(self.drift)}-{self.severity}"

    def to_json(self) -> dict[str, Any]:
        """Return ``{"drift", "severity"}``."""
        return {"drift": self.drift, "severity": self.severity}


CLEAN = Condition(None, 0)


def plan_conditions(
    drifts: Optional[Sequence[str]] = None, severities: Optional[Sequence[int]] = None
) -> list[Condition]:
    """Return all drifts × severities, without :data:`CLEAN`; what cannot be made is refused now.

    Parameters
    ----------
    drifts : sequence of str, optional
        Components of kind ``augment``; default: all, sorted.
    severities : sequence of int, optional
        Of 1 to 5; default: all. They are taken in ascending order.

    Raises
    ------
    UnknownNameError
        When there is no such drift; it names the nearest.
    ConfigError
        When there is no such severity, or something is asked for twice.
    """
    known = component_names("augment")
    names = list(known if drifts is None else drifts)
    for name in names:
        if name not in known:
            raise UnknownNameError(
                f"unknown drift {name!r}",
                where="--drifts",
                allowed=known,
                hint=unknown_name_hint(name, known, listing="pyimgano augment list"),
            )
    levels = sorted(SEVERITIES if severities is None else severities)
    for level in levels:
        if level not in SEVERITIES:
            allowed = ", ".join(map(str, SEVERITIES))
            raise ConfigError(f"there is no severity {level}", where="--severities", allowed=allowed)
    for where, given in (("--drifts", [*map(str, names)]), ("--severities", [*map(str, levels)])):
        twice = sorted({item for item in given if given.count(item) > 1})
        if twice:
            raise ConfigError(f"given twice: {', '.join(twice)}", where=where)
        if not given:
            raise ConfigError("nothing is asked for", where=where)
    conditions = [Condition(name, level) for name in names for level in levels]
    for condition in conditions:
        create_component("augment", str(condition.drift), {"severity": condition.severity})
    return conditions


def change_of(condition: Condition, seed: int) -> Optional[Callable[[np.ndarray, Any], np.ndarray]]:
    """Return what a condition does to the image of a sample; None where it does nothing.

    What is drawn by lot depends on the seed, the drift, its severity and the sample's id only: the same images drift in
    the same way for every model, whatever others there are.

    Parameters
    ----------
    condition : Condition
        What happens.
    seed : int
        Of all drifts.

    Returns
    -------
    callable or None
        ``change(image, sample) -> image`` on (H, W, 3) uint8; for
        :func:`~pyimgano.workbench.scoring.score_stream`. It raises an ImageError where the drift fails, or gives an
        image of another size.
    """
    if condition.drift is None:
        return None
    drift, severity = condition.drift, condition.severity
    component = create_component("augment", drift, {"severity": severity})

    def change(image: np.ndarray, sample: Any) -> np.ndarray:
        try:
            changed, _ = component(image, generator(seed, "drift", drift, severity, sample.id))
        except PyimganoError as error:
            raise ImageError(f"{condition.name}: {error.message}", where=sample.id) from error
        except Exception as error:  # whatever a plugin's drift raises: this image has no score
            raise ImageError(f"{condition.name} failed: {type(error).__name__}: {error}", where=sample.id) from error
        if changed.shape != image.shape or changed.dtype != image.dtype:
            raise ImageError(
                f"{condition.name} made shape {changed.shape}, dtype {changed.dtype} of {image.shape}, {image.dtype}",
                where=sample.id,
            )
        return changed

    return change
