"""PyThresh's rules, which PyOD's own thresholds are: where among unlabelled scores the outliers begin."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.conformal import sorted_scores
from pyimgano.core.errors import CalibrationError, MissingDependencyError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.parameters import require

if TYPE_CHECKING:
    import numpy as np

__all__ = ["PyThresh"]

PACKAGE = "pythresh.thresholds"
INNER = ("base", "dummy", "thresh_utility")  # modules that hold no rule


class PyThresh:
    """One of PyThresh's rules on the held-out scores; ``alpha`` does not count.

    These rules suppose that some of the scores are outliers, and look for the place where these begin. Held-out good
    images have no defects among them, so most of the rules call more of them outliers than one would ever reject: of
    sixty normally distributed scores ``karch`` flags 12, ``aucp`` 33. They fit where the images that calibrate are
    unlabelled, and some of them are defective. How many of the images reach the threshold stands in the card.

    Parameters
    ----------
    rule : str
        Name of the rule, as in ``pythresh.thresholds``: ``"filter"``, ``"iqr"``, ``"karch"``, ``"mad"``, …
    params : mapping, optional
        Parameters of its constructor.
    seed : int
        Its ``random_state``.

    References
    ----------
    D. Kulik, *PyThresh*, https://github.com/KulikDM/pythresh, which names the paper of each rule.
    """

    uses_alpha = False

    def __init__(self, *, rule: str = "filter", params: Optional[Mapping[str, Any]] = None, seed: int = 0) -> None:
        require(isinstance(rule, str), "rule", rule, "the name of a module of pythresh.thresholds")
        require(params is None or isinstance(params, Mapping), "params", params, "parameters by name, or null")
        require(isinstance(seed, int) and seed >= 0, "seed", seed, "a whole number, at least 0")
        self.rule = rule
        self.params = dict(params or {})
        self.seed = seed
        self._made()  # what is wrong with it is wrong with the config

    def images_needed(self, alpha: float) -> int:
        """Return 3: fewer have no distribution."""
        return 3

    def details(self, scores: np.ndarray, alpha: float) -> dict[str, Any]:
        """Return ``rule``, ``n`` and ``reached_by``: how many of the n held-out images reach the threshold."""
        values = sorted_scores(scores, alpha)
        reached = int((values >= self.threshold(values, alpha)).sum())
        return {"rule": self.rule, "n": int(values.size), "reached_by": reached}

    def threshold(self, scores: np.ndarray, alpha: float) -> float:
        """Return where the rule says that outliers begin.

        Raises
        ------
        CalibrationError
            When the rule fails on these scores, or does not cut them at one place.
        """
        import numpy as np

        values = sorted_scores(scores, alpha)
        low, high = float(values[0]), float(values[-1])
        if values.size < self.images_needed(alpha) or low == high:
            raise CalibrationError(
                f"PyThresh's rule {self.rule!r} needs at least {self.images_needed(alpha)} scores that are not all "
                f"equal, there are {values.size}",
                hint="use calibration.method=conformal or quantile",
            )
        made = self._made()
        state = np.random.get_state()  # the rules seed NumPy's global generator
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                labels = np.asarray(made.eval(values.copy()), dtype=bool)
                cut = made.thresh_
        except (ArithmeticError, IndexError, TypeError, ValueError, np.linalg.LinAlgError) as error:
            raise CalibrationError(
                f"PyThresh's rule {self.rule!r} fails on these n = {values.size} scores: "
                f"{type(error).__name__}: {error}",
                hint="choose another rule, or calibration.method=conformal",
            ) from error
        finally:
            np.random.set_state(state)
        if cut is not None and np.isfinite(cut):  # of the scores brought to [0, 1]
            return low + float(cut) * (high - low)
        if not labels.any() or not (np.diff(labels.astype(int)) >= 0).all():
            raise CalibrationError(
                f"PyThresh's rule {self.rule!r} does not cut these scores at one place",
                hint="choose a rule that has a threshold, such as filter, iqr, karch or mad",
            )
        return float(values[int(labels.argmax())])

    def guarantee(self, alpha: float, n: int) -> str:
        """Say what it is not."""
        return (
            f"None: PyThresh's rule {self.rule!r} says where outliers begin among n = {n} scores, as if some of them "
            "were defective; alpha was not used."
        )

    def _made(self) -> Any:
        """Return the rule's object.

        Raises
        ------
        MissingDependencyError, UnknownNameError, ParameterError
            When PyThresh or what the rule needs is not installed, or there is no such rule or parameter.
        """
        import numpy as np

        known = _rules()
        if self.rule not in known:
            raise UnknownNameError(
                f"PyThresh has no rule {self.rule!r}",
                where="rule",
                allowed=", ".join(known),
                hint=unknown_name_hint(self.rule, known),
            )
        state = np.random.get_state()
        try:
            factory = getattr(importlib.import_module(f"{PACKAGE}.{self.rule}"), self.rule.upper())
            made = factory(random_state=self.seed, **self.params)
        except ImportError as error:
            raise MissingDependencyError(
                f"PyThresh's rule {self.rule!r} needs {error.name or error}", hint=f"pip install {error.name}"
            ) from error
        except TypeError as error:
            require(False, "params", self.params, f"what PyThresh's {self.rule.upper()} takes: {error}")
        finally:
            np.random.set_state(state)
        return made


def _rules() -> tuple[str, ...]:
    import pkgutil

    try:
        package = importlib.import_module(PACKAGE)
    except ImportError as error:
        raise MissingDependencyError("the threshold 'pythresh' needs PyThresh", hint="pip install pythresh") from error
    return tuple(sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name not in INNER))
