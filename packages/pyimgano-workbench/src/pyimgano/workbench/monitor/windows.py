"""The running comparison: images are gathered in windows that do not overlap, and each full window is compared once."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping
from typing import Any, Optional

from pyimgano.core.errors import ParameterError
from pyimgano.workbench.evaluate.intervals import clopper_pearson
from pyimgano.workbench.monitor.reference import SCORE, Reference
from pyimgano.workbench.monitor.two_samples import binomial_p_value, ks_two_sample, stability_index

__all__ = [
    "LEAST_WINDOW",
    "DriftMonitor",
    "DriftSettings",
    "ImageWindow",
    "StatisticReport",
    "WindowReport",
    "compare_window",
    "compared",
]

LEAST_WINDOW = 20
"""Fewer images say nothing of a distribution."""


@dataclasses.dataclass(frozen=True)
class DriftSettings:
    """How drift is looked for.

    Attributes
    ----------
    window : int
        Images of one comparison, ≥ 20.
    alpha : float
        Probability of a false alarm in one window, over all of its statistics, in (0, 1): see :class:`DriftMonitor`.
    least_psi : float
        Differences that are certain but smaller than this population stability index are no drift.
    expected_rejects : float or None
        Share of images that the line usually rejects, good and defective ones together, in (0, 1). With it, another
        share is drift, too; without, the share is told and not judged.
    """

    window: int = 200
    alpha: float = 0.01
    least_psi: float = 0.1
    expected_rejects: Optional[float] = None

    def __post_init__(self) -> None:
        if self.window < LEAST_WINDOW:
            raise ParameterError(f"window = {self.window}", where="drift", allowed=f"≥ {LEAST_WINDOW} images")
        if not 0.0 < self.alpha < 1.0:
            raise ParameterError(f"alpha = {self.alpha}", where="drift", allowed="between 0 and 1, e.g. 0.01")
        if not 0.0 <= self.least_psi < float("inf"):
            raise ParameterError(f"least PSI = {self.least_psi}", where="drift", allowed="≥ 0, e.g. 0.1")
        if self.expected_rejects is not None and not 0.0 < self.expected_rejects < 1.0:
            raise ParameterError(
                f"expected rejects = {self.expected_rejects}", where="drift", allowed="between 0 and 1, e.g. 0.03"
            )


@dataclasses.dataclass(frozen=True)
class StatisticReport:
    """One statistic of a window beside that of the calibration images.

    Attributes
    ----------
    name : str
        ``"score"`` or one of :data:`~pyimgano.workbench.monitor.STATISTICS`.
    ks, p_value, psi : float
        Of :func:`~pyimgano.workbench.monitor.two_samples.ks_two_sample` and ``stability_index``.
    reference_median, window_median : float
        Where they lie.
    drift : bool
        p-value at most its share of alpha, and PSI at least the least one.
    """

    name: str
    ks: float
    p_value: float
    psi: float
    reference_median: float
    window_median: float
    drift: bool


@dataclasses.dataclass(frozen=True)
class WindowReport:
    """What one comparison found.

    Attributes
    ----------
    number : int
        Of the window, from 1.
    n : int
        Images in it.
    first, last : str
        Names of its first and last image.
    alpha_each : float
        What each test may have falsely: alpha over the number of tests.
    statistics : tuple of StatisticReport
    rejected : int
        Images that were said to be defective.
    interval : (float, float)
        Clopper–Pearson interval of their share, confidence 0.95.
    expected_rejects : float or None
        What it was compared with.
    rejects_p_value : float or None
        Exact binomial, two-sided; None where nothing was expected.
    rejects_drift : bool
        Whether the share is another one.
    """

    number: int
    n: int
    first: str
    last: str
    alpha_each: float
    statistics: tuple[StatisticReport, ...]
    rejected: int
    interval: tuple[float, float]
    expected_rejects: Optional[float] = None
    rejects_p_value: Optional[float] = None
    rejects_drift: bool = False

    @property
    def drift(self) -> bool:
        """Whether anything drifted."""
        return self.rejects_drift or any(one.drift for one in self.statistics)

    def reasons(self) -> list[str]:
        """Return what drifted, in a few words each."""
        found = [
            f"{one.name}: median {one.window_median:.4g} instead of {one.reference_median:.4g} "
            f"(PSI {one.psi:.2f}, p = {one.p_value:.2g})"
            for one in self.statistics
            if one.drift
        ]
        if self.rejects_drift:
            found.append(
                f"rejects: {self.rejected} of {self.n} ({self.rejected / self.n:.1%}) where "
                f"{self.expected_rejects:.1%} are expected (p = {self.rejects_p_value:.2g})"
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "window": self.number,
            "n": self.n,
            "first": self.first,
            "last": self.last,
            "drift": self.drift,
            "alpha_each": self.alpha_each,
            "statistics": [dataclasses.asdict(one) for one in self.statistics],
            "rejects": {
                "count": self.rejected,
                "share": self.rejected / self.n,
                "interval": list(self.interval),
                "expected": self.expected_rejects,
                "p_value": self.rejects_p_value,
                "drift": self.rejects_drift,
            },
        }


class ImageWindow:
    """Images of one comparison, as they are gathered.

    Attributes
    ----------
    n, rejected : int
        Images, and those of them that were said to be defective.
    first, last : str
        Names.
    values : dict of str to list of float
        Statistic → its values.
    """

    def __init__(self) -> None:
        self.n = 0
        self.rejected = 0
        self.first = self.last = ""
        self.values: dict[str, list[float]] = {}

    def add(self, name: str, decision: Optional[str], values: Mapping[str, float]) -> None:
        """Take one image."""
        self.first = self.first or name
        self.last = name
        self.n += 1
        self.rejected += decision == "defective"
        for key, value in values.items():
            self.values.setdefault(key, []).append(value)


def compare_window(
    reference: Reference, window: ImageWindow, settings: DriftSettings, *, number: int, tests: int
) -> WindowReport:
    """Compare one window with the reference.

    Parameters
    ----------
    tests : int
        Among how many tests alpha is shared.
    """
    import numpy as np

    each = settings.alpha / tests
    found = []
    for name in compared(reference, window.values, window.n):
        ks, p_value = ks_two_sample(reference.values[name], window.values[name])
        psi = stability_index(reference.values[name], window.values[name])
        medians = float(np.median(reference.values[name])), float(np.median(window.values[name]))
        found.append(
            StatisticReport(name, ks, p_value, psi, *medians, drift=p_value <= each and psi >= settings.least_psi)
        )
    expected = settings.expected_rejects
    rare = None if expected is None else binomial_p_value(window.rejected, window.n, expected)
    return WindowReport(
        number,
        window.n,
        window.first,
        window.last,
        each,
        tuple(found),
        window.rejected,
        clopper_pearson(window.rejected, window.n),
        expected,
        rare,
        rare is not None and rare <= each,
    )


def compared(reference: Reference, values: Mapping[str, Any], n: int) -> list[str]:
    """Return the statistics that reference and window both have, of every image of the window."""
    return [name for name in reference.values if len(values.get(name, ())) == n]


class DriftMonitor:
    """Compares each full window of images of one category with its calibration images. Safe to use from threads.

    Parameters
    ----------
    reference : Reference
        The calibration images.
    settings : DriftSettings
        Size of the windows, and what is promised.

    Notes
    -----
    *What is promised.* Where images come independently from the distribution of the calibration's good images, any one
    window raises an alarm with probability at most ``alpha``: windows do not overlap, each is looked at once, when it
    is full, and its statistics share alpha equally (Bonferroni), so their dependence on each other does not matter; the
    tests are exact (see :mod:`~pyimgano.workbench.monitor.two_samples`), and PSI only takes alarms back. Among N
    windows at most N alpha false alarms are expected. This is over calibration and windows together: all windows are
    compared with the same calibration images, so a calibration that happens to be unlike the line makes its alarms come
    together, and one that is like it none at all. The probability of no false alarm ever is *not* bounded: it tends to
    0 with the number of windows, as of any test that is repeated without end.

    Defective images are not like good ones: a line on which they are frequent (more than about one in ten) drifts in
    this sense, and should.
    """

    def __init__(self, reference: Reference, settings: Optional[DriftSettings] = None) -> None:
        self.reference = reference
        self.settings = settings or DriftSettings()
        self._window = ImageWindow()
        self._lock = threading.Lock()
        self._latest: Optional[WindowReport] = None
        self._windows = 0
        self._alarms = 0

    def add(
        self, name: str, score: float, decision: Optional[str], statistics: Optional[Mapping[str, float]] = None
    ) -> Optional[WindowReport]:
        """Take one image that was scored; return the comparison when it is the last of its window, else None.

        Parameters
        ----------
        name : str
            Of the image.
        score : float
            Its score.
        decision : str or None
            ``"defective"`` counts as rejected.
        statistics : mapping, optional
            Of :func:`~pyimgano.workbench.monitor.image_statistics`. A window in which an image lacks one is compared
            without it.
        """
        with self._lock:
            self._window.add(name, decision, {SCORE: score, **(statistics or {})})
            if self._window.n < self.settings.window:
                return None
            window, self._window = self._window, ImageWindow()
            self._windows += 1
            tests = len(compared(self.reference, window.values, window.n))
            tests += self.settings.expected_rejects is not None
            report = compare_window(self.reference, window, self.settings, number=self._windows, tests=tests)
            self._latest = report
            self._alarms += report.drift
            return report

    def state(self) -> dict[str, Any]:
        """Return what is known so far, JSON-friendly."""
        with self._lock:
            return {
                "window": self.settings.window,
                "alpha": self.settings.alpha,
                "gathered": self._window.n,
                "windows": self._windows,
                "alarms": self._alarms,
                "expected_false_alarms": self._windows * self.settings.alpha,
                "latest": None if self._latest is None else self._latest.to_json(),
            }
