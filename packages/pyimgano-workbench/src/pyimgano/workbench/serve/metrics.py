"""What the service counts, in the text format of Prometheus (version 0.0.4)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[sum(value > bound for bound in _BOUNDS)] += 1
        self.total += value


class Metrics:
    """Counters and times. Safe to use from threads.

    Parameters
    ----------
    info : mapping of str to str
        Labels of ``pyimgano_service_info``.
    waiting : callable
        Returns how many requests are accepted and not answered.
    limit : int
        How many may be.
    drift : callable
        Returns category → state of its drift monitor.
    """

    def __init__(
        self,
        info: Mapping[str, str],
        *,
        waiting: Callable[[], int],
        limit: int,
        drift: Callable[[], Mapping[str, Mapping[str, Any]]],
    ) -> None:
        self._info = dict(info)
        self._waiting = waiting
        self._limit = limit
        self._drift = drift
        self._lock = threading.Lock()
        self._responses: dict[str, int] = {}
        self._images: dict[tuple[str, str], int] = {}
        self._request_seconds = _Histogram()
        self._batch_seconds = _Histogram()
        self._batch_images = 0

    def answered(self, status: int, seconds: float) -> None:
        """Count a request to inspect, and the time that it took."""
        with self._lock:
            self._responses[str(status)] = self._responses.get(str(status), 0) + 1
            self._request_seconds.add(seconds)

    def inspected(self, outcomes: Iterable[tuple[str, str]], seconds: float) -> None:
        """Count images that were inspected together, by category and outcome, and the time that it took."""
        with self._lock:
            for outcome in outcomes:
                self._images[outcome] = self._images.get(outcome, 0) + 1
                self._batch_images += 1
            self._batch_seconds.add(seconds)

    def text(self) -> str:
        """Return all of it."""
        with self._lock:
            lines = [*self._own()]
        lines += self._of_drift()
        return "\n".join(lines) + "\n"

    def _own(self) -> Iterator[str]:
        yield from _family("pyimgano_service_info", "gauge", "What is served.", [(tuple(self._info.items()), 1)])
        yield from _family(
            "pyimgano_requests_total",
            "counter",
            "Requests to inspect, by HTTP status.",
            [((("status", status),), count) for status, count in sorted(self._responses.items())],
        )
        yield from _family(
            "pyimgano_images_total",
            "counter",
            "Images that were inspected, by category and decision; those without a score as error.",
            [((("category", name), ("outcome", what)), n) for (name, what), n in sorted(self._images.items())],
        )
        yield from _family("pyimgano_queue", "gauge", "Requests that are not answered yet.", [((), self._waiting())])
        yield from _family("pyimgano_queue_limit", "gauge", "How many there may be.", [((), self._limit)])
        yield from _histogram("pyimgano_request_seconds", "Time of a request to inspect.", self._request_seconds)
        yield from _histogram("pyimgano_batch_seconds", "Time of images inspected together.", self._batch_seconds)
        yield from _family("pyimgano_batch_images_total", "counter", "Images in these.", [((), self._batch_images)])

    def _of_drift(self) -> Iterator[str]:
        states = self._drift()
        for key, kind, text in (
            ("windows", "counter", "Windows that were compared with the calibration."),
            ("alarms", "counter", "Windows that drifted."),
            ("expected_false_alarms", "counter", "Alarms that are expected where nothing drifts, at most."),
            ("gathered", "gauge", "Images in the window that is being filled."),
        ):
            values: list[tuple[_Labels, float]] = [
                ((("category", name),), state[key]) for name, state in states.items()
            ]
            ending = "_total" if kind == "counter" else ""
            yield from _family(f"pyimgano_drift_{key}{ending}", kind, text, values)
        for key, text in (
            ("drift", "Whether it drifted in the latest window."),
            ("psi", "Population stability index of the latest window."),
            ("p_value", "Of the Kolmogorov-Smirnov test of the latest window."),
        ):
            values = [
                ((("category", name), ("statistic", one["name"])), float(one[key]))
                for name, state in states.items()
                if state["latest"] is not None
                for one in state["latest"]["statistics"]
            ]
            name = "pyimgano_drift" if key == "drift" else f"pyimgano_drift_{key}"
            yield from _family(name, "gauge", text, values)


def _family(name: str, kind: str, text: str, values: Iterable[tuple[_Labels, float]]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values:
        yield f"{name}{_labels(labels)} {value:.10g}"


def _histogram(name: str, text: str, histogram: _Histogram) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} histogram"
    count = 0
    for bound, more in zip((*map(str, _BOUNDS), "+Inf"), histogram.counts):
        count += more
        yield f'{name}_bucket{{le="{bound}"}} {count}'
    yield f"{name}_sum {histogram.total:.10g}"
    yield f"{name}_count {count}"


def _labels(labels: _Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
