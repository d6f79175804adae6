"""The drift monitors of several categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from pyimgano.workbench.monitor.reference import Reference
from pyimgano.workbench.monitor.windows import DriftMonitor, DriftSettings, WindowReport

if TYPE_CHECKING:
    from pyimgano.workbench.inference.inspecting import Inspected
    from pyimgano.workbench.inference.models import FittedModels

__all__ = ["DriftMonitors"]


class DriftMonitors:
    """Watches the images of every category that come by.

    Parameters
    ----------
    models : FittedModels
        Whose calibration is compared with.
    settings : DriftSettings, optional
        For each category: alpha holds for any one window of any one category.
    """

    def __init__(self, models: FittedModels, settings: Optional[DriftSettings] = None) -> None:
        self.settings = settings or DriftSettings()
        self._monitors = {
            name: DriftMonitor(Reference.from_card(models.card(name), models.image_statistics(name)), self.settings)
            for name in models.categories
        }

    def add(self, inspected: Inspected) -> Optional[WindowReport]:
        """Take an image that was inspected; return the comparison where it is the last of its window."""
        record = inspected.record
        if record.score is None or inspected.category is None:
            return None
        monitor = self._monitors[inspected.category]
        return monitor.add(record.image, record.score, record.decision, inspected.statistics)

    def state(self) -> dict[str, Any]:
        """Return category → what is known of it, JSON-friendly."""
        return {name: monitor.state() for name, monitor in self._monitors.items()}
