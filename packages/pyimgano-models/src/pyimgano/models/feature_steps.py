"""Steps between features and a detector, fitted on the good images: standardise, principal components, projection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from pyimgano.core.errors import ParameterError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.parameters import check_parameters, require
from pyimgano.core.seeding import generator
from pyimgano.models.image_features import named_parts

__all__ = ["FeatureSteps", "PrincipalComponents", "RandomProjection", "Standardise"]


class Standardise:
    """Bring every feature to mean 0 and standard deviation 1, and every part of joined features to the same weight.

    A feature that is constant over the good images has its mean taken off and is otherwise left as it is, so that a
    change of it still counts. Parts (such as ``lbp`` beside ``hog``) are weighted so that each contributes the same sum
    of variances, the mean variance being 1.
    """

    def fit(self, rows: np.ndarray, blocks: Sequence[int], seed: int) -> None:
        """Learn from (n, D) rows whose columns are joined of ``blocks``."""
        values = rows.astype(np.float64)
        self.mean = values.mean(axis=0)
        spread = values.std(axis=0)
        constant = spread <= 1e-6 * np.abs(self.mean) + 1e-8
        weight = np.concatenate([np.full(size, np.sqrt(rows.shape[1] / (len(blocks) * size))) for size in blocks])
        self.scale = np.where(constant, 1.0, weight / np.where(constant, 1.0, spread))

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows, (n, D) float64, changed."""
        return (rows - self.mean) * self.scale

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned."""
        return {"mean": self.mean, "scale": self.scale}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`arrays` returned."""
        self.mean, self.scale = arrays["mean"], arrays["scale"]


class PrincipalComponents:
    """Keep the principal components of the good images.

    Parameters
    ----------
    components : int or float
        How many, at most as many as there are; or the share of the variance that they hold, in (0, 1).
    whiten : bool
        Bring each component to standard deviation 1.
    """

    def __init__(self, components: Union[int, float] = 0.99, whiten: bool = False) -> None:
        whole = isinstance(components, int) and not isinstance(components, bool)
        good = components >= 1 if whole else isinstance(components, float) and 0.0 < components < 1.0
        require(
            good, "components", components, "a number from 1, or a share of the variance in (0, 1)", where="step 'pca'"
        )
        self.components = components
        self.whiten = whiten

    def fit(self, rows: np.ndarray, blocks: Sequence[int], seed: int) -> None:
        """Learn from (n, D) rows."""
        values = rows.astype(np.float64)
        self.mean = values.mean(axis=0)
        _, singular, axes = np.linalg.svd(values - self.mean, full_matrices=False)
        variance = singular**2 / max(1, len(values) - 1)
        # Directions in which nothing varied beyond rounding are none.
        rank = max(1, int((variance > 1e-12 * variance[0]).sum())) if variance[0] > 0 else 1
        if isinstance(self.components, float):
            share = np.cumsum(variance) / max(variance.sum(), np.finfo(float).tiny)
            count = int(np.searchsorted(share, self.components) + 1)
        else:
            count = self.components
        count = min(count, rank)
        axes = axes[:count]
        # The sign of an axis is arbitrary; so that it is the same everywhere, its largest entry is positive.
        axes *= np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)])[:, None]
        scale = 1.0 / np.sqrt(np.maximum(variance[:count], 1e-12)) if self.whiten else np.ones(count)
        # Contiguous as it will be when it is loaded: a product of another layout has other last bits.
        self.matrix = np.ascontiguousarray((axes * scale[:, None]).T)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows' components, (n, count) float64."""
        found: np.ndarray = (rows - self.mean) @ self.matrix
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was learned."""
        return {"mean": self.mean, "matrix": self.matrix}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`arrays` returned."""
        self.mean, self.matrix = arrays["mean"], arrays["matrix"]


class RandomProjection:
    """Project by a Gaussian matrix, which keeps distances up to about ``1 / sqrt(dimension)`` (Johnson–Lindenstrauss).

    Unlike principal components it keeps what the good images have nothing of, which is where defects show.

    Parameters
    ----------
    dimension : int
        Of the result; fewer features than that are left as they are.
    """

    def __init__(self, dimension: int = 128) -> None:
        good = isinstance(dimension, int) and not isinstance(dimension, bool) and dimension >= 1
        require(good, "dimension", dimension, "a whole number, at least 1", where="step 'project'")
        self.dimension = dimension

    def fit(self, rows: np.ndarray, blocks: Sequence[int], seed: int) -> None:
        """Draw the matrix for (n, D) rows."""
        given = rows.shape[1]
        if given <= self.dimension:
            self.matrix = np.eye(given)
        else:
            drawn = generator(seed, "random-projection").normal(size=(given, self.dimension))
            self.matrix = drawn / np.sqrt(self.dimension)

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return the projected rows, (n, dimension) float64."""
        found: np.ndarray = rows @ self.matrix
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was drawn."""
        return {"matrix": self.matrix}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`arrays` returned."""
        self.matrix = arrays["matrix"]


STEPS: dict[str, Any] = {"pca": PrincipalComponents, "project": RandomProjection, "standardise": Standardise}


class FeatureSteps:
    """Steps one after the other.

    Parameters
    ----------
    given : sequence
        Names of :data:`STEPS` or ``{"name", "params"}``; may be empty.

    Raises
    ------
    ParameterError
        When a step or one of its parameters is unknown or out of range.
    """

    def __init__(self, given: Any) -> None:
        self._steps = []
        for name, params in named_parts(given, "steps"):
            if name not in STEPS:
                hint = unknown_name_hint(name, STEPS)
                raise ParameterError(f"unknown step {name!r}", where="steps", allowed=", ".join(STEPS), hint=hint)
            check_parameters(STEPS[name], params, where=f"step {name!r}")
            self._steps.append(STEPS[name](**params))

    def fit(self, rows: np.ndarray, blocks: Sequence[int], seed: int) -> np.ndarray:
        """Fit the steps on (n, D) rows and return what they make of them, (n, D') float64."""
        values = rows.astype(np.float64)
        for step in self._steps:
            sizes = blocks if values.shape[1] == sum(blocks) else (values.shape[1],)
            step.fit(values, sizes, seed)
            values = step.apply(values)
        return values

    def apply(self, rows: np.ndarray) -> np.ndarray:
        """Return what the steps make of (n, D) rows: (n, D') float64."""
        values = rows.astype(np.float64)
        for step in self._steps:
            values = step.apply(values)
        return values

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what the steps learned."""
        return {f"step{i}.{name}": array for i, step in enumerate(self._steps) for name, array in step.arrays().items()}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take back what :meth:`arrays` returned; other arrays are ignored."""
        for index, step in enumerate(self._steps):
            head = f"step{index}."
            step.restore({name[len(head) :]: array for name, array in arrays.items() if name.startswith(head)})
