"""What inference needs of fitted models, wherever they come from: a run, or a bundle that was exported from one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Optional, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pyimgano.workbench.calibrate.card import CalibrationCard
    from pyimgano.workbench.inference.fitted import FittedCategory
    from pyimgano.workbench.inference.sources import Source

__all__ = ["FittedModels"]


@runtime_checkable
class FittedModels(Protocol):
    """The fitted detectors of some categories, with their thresholds.

    :class:`~pyimgano.workbench.inference.fitted.RunModels` is those of a run,
    :class:`~pyimgano.workbench.bundle.models.BundleModels` those of a bundle. Detectors are loaded at the first image
    of their category; everything else is known at once.
    """

    @property
    def model(self) -> str:
        """Name of the model that was fitted."""

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories, at least one; a dataset without categories has one, too."""

    @property
    def value_range(self) -> Optional[tuple[float, float]]:
        """How images are read, see :func:`pyimgano.core.images.to_rgb8`."""

    @property
    def has_maps(self) -> bool:
        """Whether every category that may be asked for has anomaly maps, and so a pixel threshold."""

    @property
    def decided_by_regions(self) -> bool:
        """Whether regions decide about images, so that no decision can be made without them."""

    def card(self, category: str) -> CalibrationCard:
        """Return the calibration card of one category.

        Raises
        ------
        UnknownNameError
            When there is no such category; it lists those that there are.
        """

    def image_statistics(self, category: str) -> Mapping[str, tuple[float, ...]]:
        """Return the statistics of a category's calibration images; empty where none were recorded.

        Raises
        ------
        UnknownNameError
            When there is no such category.
        PyimganoError
            When their file is damaged.
        """

    def choose(self, source: Source) -> str:
        """Return the category of an image.

        Raises
        ------
        ConfigError
            When several could be meant; it lists them.
        UnknownNameError
            When the image's manifest names one that there is not.
        """

    def fitted(self, source: Source) -> FittedCategory:
        """Return what scores an image; loads it at its first use.

        Raises
        ------
        ConfigError, UnknownNameError
            See :meth:`choose`.
        CheckpointError
            When the detector cannot be loaded.
        """
