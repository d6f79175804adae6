"""Features of images by name: looked up, joined side by side, and taken from the cache where they lie in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional, Union

import numpy as np

from pyimgano.core.creation import create_component
from pyimgano.core.errors import ImageError, ParameterError
from pyimgano.core.feature_cache import FeatureCache, feature_cache_limit, image_key, open_feature_cache
from pyimgano.core.parameters import check_parameters, require
from pyimgano.core.registry import COMPONENTS

__all__ = ["FeatureNames", "ImageFeatures", "check_features", "check_finite", "named_parts"]

FeatureNames = Union[str, Mapping[str, Any], Sequence[Union[str, Mapping[str, Any]]]]
"""A name, ``{"name": …, "params": {…}}``, or a list of these."""


def named_parts(given: Any, parameter: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (name, params) of each part of a parameter such as ``features`` or ``steps``.

    Raises
    ------
    ParameterError
        When it is neither a name, nor ``{"name", "params"}``, nor a list of these.
    """
    parts = [given] if isinstance(given, (str, Mapping)) else given
    allowed = 'a name, {"name": "…", "params": {…}}, or a list of these'
    require(isinstance(parts, (list, tuple)), parameter, given, allowed)
    found: list[tuple[str, dict[str, Any]]] = []
    for part in parts:
        if isinstance(part, str):
            found.append((part, {}))
            continue
        known = isinstance(part, Mapping) and set(part) <= {"name", "params"} and isinstance(part.get("name"), str)
        require(known and isinstance(part.get("params", {}), Mapping), parameter, part, allowed)
        found.append((part["name"], dict(part.get("params", {}))))
    return found


def check_features(given: Any) -> None:
    """Check the parameter ``features``; no deep learning library is imported.

    Raises
    ------
    ParameterError, UnknownNameError, MissingDependencyError
        When a name or one of its parameters is unknown or out of range.
    """
    parts = named_parts(given, "features")
    require(len(parts) > 0, "features", given, "at least one name")
    for name, params in parts:
        factory = COMPONENTS.load(f"features/{name}")
        check_parameters(factory, params, where=f"features {name!r}")
        if hasattr(factory, "describe_batch"):  # others may load weights when they are made
            factory(**params)


class ImageFeatures:
    """Features side by side: one vector an image, or one a patch.

    Parameters
    ----------
    given : str, mapping or sequence
        See :data:`FeatureNames`; components of the kind ``features``. An extractor of feature maps is pooled.

    Attributes
    ----------
    blocks : tuple of int
        How many features each part gives; known once an image was described.
    """

    def __init__(self, given: FeatureNames) -> None:
        self._parts = [_describing(create_component("features", n, p)) for n, p in named_parts(given, "features")]
        self.blocks: tuple[int, ...] = ()
        self._caches: dict[tuple[int, str], Optional[FeatureCache]] = {}

    @property
    def facts(self) -> list[dict[str, Any]]:
        """What decides the features, part by part."""
        return [part.facts for part in self._parts]

    def describe(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features of prepared images of one size, (N, D) float32; a row depends on its image alone."""
        keys: list[str] = []
        found = [self._cached(part, "image", part.describe_batch, batch, keys) for part in self._parts]
        self.blocks = tuple(rows.shape[1] for rows in found)
        joined: np.ndarray = np.concatenate(found, axis=1)
        return joined

    def describe_patches(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Return the features of every patch of prepared images, (N, h, w, D) float32.

        Raises
        ------
        ParameterError
            When a part does not describe patches, or their grids differ.
        """
        found: list[np.ndarray] = []
        keys: list[str] = []
        for part in self._parts:
            describe = _patch_describer(part)
            if describe is None:
                raise ParameterError(
                    f"the features {part.name!r} describe whole images, and level = 'patch' needs features of patches",
                    allowed="embedding, patches",
                )
            found.append(self._cached(part, "patch", describe, batch, keys))
        if len({rows.shape[:3] for rows in found}) > 1:
            grids = ", ".join(f"{p.name}: {r.shape[1]} × {r.shape[2]}" for p, r in zip(self._parts, found))
            raise ParameterError(f"the features have different grids of patches ({grids})", allowed="one grid for all")
        self.blocks = tuple(rows.shape[-1] for rows in found)
        return found[0] if len(found) == 1 else np.concatenate(found, axis=-1)

    def _cached(
        self,
        part: Any,
        level: str,
        describe: Callable[[Sequence[np.ndarray]], np.ndarray],
        batch: Sequence[np.ndarray],
        keys: list[str],
    ) -> np.ndarray:
        """Return rows out of the cache, or as ``describe`` gives them; ``keys`` of the batch are filled in once."""
        place = (id(part), level)
        if place not in self._caches:  # the facts of a backbone take reading its weights
            on = feature_cache_limit() > 0
            self._caches[place] = open_feature_cache({**part.facts, "level": level}) if on else None
        cache = self._caches[place]
        if cache is None:
            return describe(batch)
        if not keys:
            keys += map(image_key, batch)
        rows = [cache.get(key) for key in keys]
        missing = [index for index, row in enumerate(rows) if row is None]
        if missing:
            for index, row in zip(missing, describe([batch[index] for index in missing])):
                rows[index] = row
                if np.isfinite(row).all():
                    cache.put(keys[index], row)
        return np.stack([row for row in rows if row is not None])


def _describing(component: Any) -> Any:
    if hasattr(component, "describe_batch"):
        return component
    if hasattr(component, "extract"):
        from pyimgano.models.embedding import ExtractorFeatures

        return ExtractorFeatures(component)
    raise ParameterError(
        f"the features {type(component).__name__} have neither describe_batch(images) nor extract(images)",
        hint="see pyimgano.core.contracts.ImageDescriber",
    )


def _patch_describer(part: Any) -> Optional[Callable[[Sequence[np.ndarray]], np.ndarray]]:
    if hasattr(part, "describe_patches_batch"):
        describe: Callable[[Sequence[np.ndarray]], np.ndarray] = part.describe_patches_batch
        return describe
    if hasattr(part, "describe_patches"):
        return lambda batch: np.stack([part.describe_patches(image) for image in batch])
    return None


def check_finite(rows: np.ndarray, sources: Sequence[Any], first: int) -> None:
    """Refuse features that are not finite, and name the image.

    Parameters
    ----------
    rows : ndarray, (n, …)
        Features of images ``first``, ``first + 1``, … of ``sources``.

    Raises
    ------
    ImageError
        With the first image whose features are not finite.
    """
    finite = np.isfinite(rows.reshape(len(rows), -1)).all(axis=1)
    if not finite.all():
        index = first + int(np.argmin(finite))
        source = sources[index]
        where = f"image {index}" if hasattr(source, "shape") else str(source)
        raise ImageError("its features are not finite (NaN or infinite)", where=where)
