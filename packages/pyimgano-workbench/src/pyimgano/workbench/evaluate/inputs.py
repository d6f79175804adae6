"""What the metrics of images accept: finite scores, and a label of 0 or 1 for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["checked_labels", "checked_scores", "scores_and_labels"]


def checked_scores(scores: Any, *, name: str = "scores") -> np.ndarray:
    """Return (N,) float32 or float64 scores, in which every value that came in is exact.

    Parameters
    ----------
    scores : array-like, (N,)
        Any float or integer type.
    name : str
        For the message.

    Raises
    ------
    ParameterError
        When they are not one row of numbers, or one of them is NaN or infinite; it names the first one's position.
    """
    import numpy as np

    values = np.asarray(scores)
    if values.ndim != 1:
        raise ParameterError(f"shape {values.shape}", where=name, allowed="(N,): one score per image")
    if values.size and values.dtype.kind not in "fiub":
        raise ParameterError(f"dtype {values.dtype}", where=name, allowed="numbers")
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    elif values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        first = int(np.argmin(finite))
        raise ParameterError(
            f"{values[first]} at position {first}",
            where=name,
            allowed="finite scores",
            hint="an image without a score is an error of its own: leave it out, and say how many there are",
        )
    return values


def checked_labels(labels: Any, n: Optional[int] = None, *, name: str = "labels") -> np.ndarray:
    """Return (N,) bool: True is defective.

    Raises
    ------
    ParameterError
        When there are not ``n`` of them, or one is neither 0 nor 1.
    """
    import numpy as np

    values = np.asarray(labels)
    if values.ndim != 1 or (n is not None and values.size != n):
        expected = "(N,)" if n is None else f"({n},): one label per score"
        raise ParameterError(f"shape {values.shape}", where=name, allowed=expected)
    if values.dtype == np.bool_:
        return values
    defective = values == 1
    if values.size and (values.dtype.kind not in "fiu" or not bool((defective | (values == 0)).all())):
        wrong = next(value for value in values.tolist() if isinstance(value, str) or value not in (0, 1))
        raise ParameterError(
            f"the label {wrong!r}",
            where=name,
            allowed="0 (good) or 1 (defective)",
            hint="leave out images whose label is not known",
        )
    return np.asarray(defective, dtype=np.bool_)


def scores_and_labels(scores: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return (N,) float scores and (N,) bool labels, True is defective.

    Raises
    ------
    ParameterError
        When there are not as many labels as scores, a score is not finite, or a label is neither 0 nor 1.
    """
    values = checked_scores(scores)
    return values, checked_labels(labels, values.size)
