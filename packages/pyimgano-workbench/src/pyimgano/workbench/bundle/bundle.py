"""A bundle in use: opened, verified, and ready to say of an image what the run would have said."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.errors import ConfigError
from pyimgano.core.files import sha256_file
from pyimgano.workbench.bundle.contents import BundleContents, open_contents
from pyimgano.workbench.bundle.models import BundleModels
from pyimgano.workbench.bundle.names import MANIFEST

if TYPE_CHECKING:
    import numpy as np

    from pyimgano.workbench.bundle.inspection import Inspection
    from pyimgano.workbench.bundle.manifest import Manifest

__all__ = ["Bundle", "load_bundle"]


class Bundle:
    """What ``pyimgano export`` made of a run; see :func:`load_bundle`. Usable as a context manager.

    Attributes
    ----------
    contents : BundleContents
        Its verified files.
    models : BundleModels
        Its detectors: a :class:`~pyimgano.workbench.inference.models.FittedModels`.
    """

    def __init__(self, contents: BundleContents, *, category: Optional[str] = None) -> None:
        self.contents = contents
        self.models = BundleModels(contents, category=category)
        self._category = category

    @property
    def path(self) -> Path:
        """The bundle as it was given."""
        return self.contents.path

    @property
    def manifest(self) -> Manifest:
        """What it is, needs, and comes from."""
        return self.contents.manifest

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the manifest, and so of all files: the same for the same bundle, wherever it lies."""
        return sha256_file(self.contents.folder / MANIFEST)

    @property
    def categories(self) -> tuple[str, ...]:
        """Its categories; ``("default",)`` where the dataset had none."""
        return self.models.categories

    def inspect(
        self,
        image: np.ndarray,
        *,
        color: str = "rgb",
        layout: str = "hwc",
        value_range: Optional[tuple[float, float]] = None,
        category: Optional[str] = None,
    ) -> Inspection:
        """Say what is found on one image.

        Parameters
        ----------
        image : ndarray
            (H, W, 3), (3, H, W) or a grey image, of uint8, uint16 or floats.
        color : {"rgb", "bgr", "gray"}
            Order of the channels; OpenCV's is ``"bgr"``.
        layout : {"hwc", "chw"}
            Where the channels stand.
        value_range : (float, float), optional
            The values that are black and white. Default: those that the run read its images with; where it had none
            either, 0 to the largest value of uint8 and uint16, 0 to 1 of floats.
        category : str, optional
            What the image shows; may be left out where there is only one category.

        Returns
        -------
        Inspection

        Raises
        ------
        ParameterError
            When ``color`` or ``layout`` is another.
        ImageError
            When the array is none of these images, or does not fit to the region of interest.
        ConfigError, UnknownNameError
            When it is not clear which category is meant, or there is no such category.
        """
        from pyimgano.workbench.bundle.inspection import inspect_image, rgb8_of

        fitted = self.models.fitted_category(self._chosen(category))
        low_high = value_range if value_range is not None else self.models.value_range
        return inspect_image(fitted, rgb8_of(image, color=color, layout=layout, value_range=low_high))

    def _chosen(self, category: Optional[str]) -> str:
        chosen = category if category is not None else self._category
        if chosen is None and len(self.categories) > 1:
            raise ConfigError(
                f"which category does the image show? The bundle has {len(self.categories)}",
                allowed=", ".join(self.categories),
                hint=f"inspect(image, category={self.categories[0]!r})",
            )
        return self.categories[0] if chosen is None else chosen

    def close(self) -> None:
        """Remove what a zip was unpacked to; the bundle cannot be used then."""
        self.contents.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        facts: Any = self.manifest
        return f"Bundle({str(self.path)!r}: {facts.model}, {facts.kind}, {facts.precision}, {len(self.categories)})"


def load_bundle(path: Union[str, os.PathLike[str]], *, category: Optional[str] = None) -> Bundle:
    """Open what ``pyimgano export`` made, a folder or a zip, after all of it was verified.

    The bundle need not be trusted: nothing in it is run but operators of the ONNX standard, nothing is unpickled, and
    no path leads out of it. Detectors are loaded at the first image of their category.

    Parameters
    ----------
    path : path-like
        The bundle.
    category : str, optional
        Use this one for all images.

    Raises
    ------
    CheckpointError
        When there is no bundle, or anything about it is not as its manifest states; it names the file.
    MissingDependencyError
        When it needs something that is not installed; the hint is what to install.
    UnknownNameError
        When it has no such category; it lists those it has.

    Examples
    --------
    >>> from pyimgano.workbench import load_bundle  # doctest: +SKIP
    >>> bundle = load_bundle("bundle.zip")  # doctest: +SKIP
    >>> bundle.inspect(frame, color="bgr").decision  # doctest: +SKIP
    'good'
    """
    with contextlib.ExitStack() as opened:
        contents = open_contents(path)
        opened.callback(contents.close)
        contents.manifest.require_installed(where=str(contents.path))
        bundle = Bundle(contents, category=category)
        opened.pop_all()  # from now on its user closes it
    return bundle
