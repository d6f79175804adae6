"""Experiment trackers: the contract between a finished run and who is told of it.

A tracker is a component of the kind ``sink``; ``output.sinks`` of a run config names those that are told. It gets a run
once, when it is complete, so that no server that is slow, full or gone can disturb what is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

__all__ = ["FinishedRun", "LoggedStep", "TrackingSink"]


@dataclass(frozen=True)
class LoggedStep:
    """What was measured at one step of a training.

    Attributes
    ----------
    category : str
        Whose training.
    step : int
        Of the optimiser, from 1; 0 is before the first.
    values : mapping
        Name (``"train/loss"``, ``"validation/auroc"``, …) → finite number.
    """

    category: str
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class FinishedRun:
    """A complete run, as a tracker sees it.

    Attributes
    ----------
    name : str
        Of its folder.
    folder : Path
        Where it lies, complete; ``report.json`` and, where it was asked for, ``report.html`` are in it.
    config : mapping
        Key (``"model.name"``, ``"calibration.alpha"``, …) → number, text, boolean or None; what is a list is JSON text.
        Paths are relative to the run's folder, and of the dataset there is its name alone.
    metrics : mapping
        ``"<category>/<metric>"`` → finite number; of several categories also ``"mean/<metric>"``. What is not defined
        is left out.
    steps : tuple of LoggedStep
        Of its trainings, by category, then step; empty for models that are not trained in steps.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, float]
    steps: tuple[LoggedStep, ...] = ()


@runtime_checkable
class TrackingSink(Protocol):
    """A component of the kind ``sink``. Its constructor only stores parameters: it is called to check a config."""

    def record(self, run: FinishedRun) -> None:
        """Take a run. Whatever this raises is told to the user as a warning; the run is not touched by it."""
