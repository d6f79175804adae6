"""``anomalib-checkpoint``: what anomalib trained or exported, as a detector."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from pyimgano.core.batching import ImageBatches
from pyimgano.core.detector import BaseDetector
from pyimgano.core.errors import CheckpointError, PyimganoError
from pyimgano.core.files import atomic_open, sha256_file
from pyimgano.core.parameters import require
from pyimgano.core.plugins import find_distribution_version
from pyimgano.core.resizing import resize_image

__all__ = ["AnomalibCheckpoint"]

SUFFIXES = (".ckpt", ".pt", ".pth", ".onnx", ".xml")


class AnomalibCheckpoint(BaseDetector):
    """A model that anomalib 2 trained, from its checkpoint or from one of its exports.

    It is fitted already: :meth:`fit` opens the file, reads the good images and scores one of them, to find out early
    what would fail later, and learns nothing. Scores and maps are raw: anomalib's normalisation, which clamps them, and
    its thresholds are bypassed, also within exported graphs; of OpenVINO's, where the normalisation is folded into the
    weights, its limits are. A saved detector holds all it needs; the file is not asked for again.

    Parameters
    ----------
    path : str
        ``.ckpt`` of a training (``results/<Model>/<dataset>/…/weights/lightning/model.ckpt``), ``.pt``, ``.onnx``, or
        ``.xml`` of OpenVINO, with its ``.bin`` beside it.
    model : str, optional
        Which model a ``.ckpt`` is of, e.g. ``"patchcore"``; the file does not say it. Default: as the folder above it
        that is named after one.
    trust : bool
        Whether code that the file names may run. Not needed for ``.ckpt`` of anomalib 2.7, ``.onnx`` and ``.xml``;
        always for ``.pt``, which is a pickled model.
    input_size : int or (int, int), optional
        Side, or (height, width), that images are resized to. Default: what the checkpoint says, else (of older ones)
        the model's own. Of a graph that takes any size it is the size that its images are brought to.
    pixel_mean, pixel_std : sequence of float, optional
        As ``input_size``; not for graphs, which hold theirs.
    device : {"auto", "cpu", "cuda"}
        Where a ``.ckpt`` or ``.pt`` scores.

    Attributes
    ----------
    source_sha256_ : str
        Of the file.
    """

    source_sha256_: str

    def __init__(
        self,
        path: str,
        *,
        model: Optional[str] = None,
        trust: bool = False,
        input_size: Union[int, Sequence[int], None] = None,
        pixel_mean: Optional[Sequence[float]] = None,
        pixel_std: Optional[Sequence[float]] = None,
        device: str = "auto",
    ) -> None:
        self.path = path
        self.model = model
        self.trust = trust
        self.input_size = input_size
        self.pixel_mean = pixel_mean
        self.pixel_std = pixel_std
        self.device = device

    def validate(self) -> None:
        """Check the parameters; opens nothing."""
        suffix = Path(self.path).suffix.lower()
        require(suffix in SUFFIXES, "path", str(self.path), f"a file of anomalib: {', '.join(SUFFIXES)}")
        size = self.input_size
        sides = size if isinstance(size, (list, tuple)) else (size,)
        whole = len(sides) in (1, 2) and all(isinstance(side, int) and side >= 1 for side in sides)
        require(size is None or whole, "input_size", size, "a whole number of pixels, (height, width), or null")
        for name in ("pixel_mean", "pixel_std"):
            value = getattr(self, name)
            fits = value is None or (len(value) == 3 and suffix in (".ckpt", ".pt", ".pth"))
            require(fits, name, value, "three numbers, of a .ckpt or .pt, or null")
        require(isinstance(self.trust, bool), "trust", self.trust, "true, false")
        require(self.device in ("auto", "cpu", "cuda"), "device", self.device, "auto, cpu, cuda")

    def _size(self) -> Optional[tuple[int, int]]:
        if self.input_size is None:
            return None
        sides = [self.input_size] if isinstance(self.input_size, int) else list(self.input_size)
        return sides[0], sides[-1]

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Resize for a graph that takes one size, or that is to be given one; modules resize by themselves."""
        opened = getattr(self, "opened_", None)
        if opened is None or opened.kind == "module":
            return image
        size = opened.size or self._size()
        return image if size is None else resize_image(image, size)

    def _open(self) -> Any:
        path = Path(self.path)
        if not path.is_file():
            raise CheckpointError("there is no such file", where=str(path))
        suffix = path.suffix.lower()
        try:
            if suffix == ".onnx":
                from pyimgano.anomalib.graph_checkpoint import OnnxCheckpoint

                return OnnxCheckpoint.open(path)
            if suffix == ".xml":
                from pyimgano.anomalib.graph_checkpoint import OpenVinoCheckpoint

                return OpenVinoCheckpoint.open(path)
            from pyimgano.anomalib.making import import_anomalib

            import_anomalib()
            from pyimgano.anomalib.module_checkpoint import ModuleCheckpoint
            from pyimgano.anomalib.module_scoring import resolve_device

            return ModuleCheckpoint.open(
                path,
                model=self.model,
                trust=self.trust,
                input_size=self._size(),
                pixel_mean=self.pixel_mean,
                pixel_std=self.pixel_std,
                device=resolve_device(self.device),
            )
        except PyimganoError as error:
            error.where = error.where or str(path)
            raise

    def _fit(self, images: ImageBatches) -> None:
        self.opened_ = self._open()
        given, wanted = self._size(), self.opened_.size
        if given is not None and wanted is not None and given != wanted:
            raise CheckpointError(
                f"takes images of {wanted[0]} × {wanted[1]} pixels, not {given[0]} × {given[1]}",
                where=str(self.path),
                hint="leave input_size out",
            )
        self.source_sha256_ = sha256_file(self.path)
        tried = False
        for batch in images:
            if not tried:
                self.opened_(batch[0], maps=True)
                tried = True

    def _infer_batch(self, batch: list[np.ndarray], *, maps: bool) -> tuple[np.ndarray, Optional[np.ndarray]]:
        found = [self.opened_(image, maps=maps) for image in batch]
        planes = [plane for _, plane in found if plane is not None]
        if len({plane.shape for plane in planes}) > 1:
            raise CheckpointError(
                "its maps are as large as the images, and these differ",
                where=str(self.path),
                hint="set input_size (--set model.params.input_size=256)",
            )
        return np.asarray([score for score, _ in found]), np.stack(planes) if planes else None

    def export_onnx(self, directory: Union[str, os.PathLike[str]]) -> Path:
        """Write a checkpoint that is an ONNX graph as one of :class:`pyimgano.core.contracts.Exportable`.

        Raises
        ------
        CheckpointError
            When the checkpoint is of another kind, or its graph takes any size and ``input_size`` is not given.
        """
        self._check_fitted()
        if self.opened_.kind != "onnx":
            raise CheckpointError(
                f"only an ONNX graph can be exported as one, and this is a {Path(self.path).suffix}",
                where=str(self.path),
                hint="take `anomalib export --export_type onnx`, and name the .onnx file as the path; "
                "or a bundle for torch: pyimgano export --runtime torch",
            )
        size = self.opened_.size or self._size()
        if size is None:
            raise CheckpointError(
                "the graph takes images of any size, and a bundle states one",
                where=str(self.path),
                hint="set input_size (--set model.params.input_size=256) for the run",
            )
        target = Path(directory) / "model.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_open(target, "wb") as stream:
            stream.write(self.opened_.export(size))
        return target

    def _get_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        arrays, facts = self.opened_.state()
        return arrays, {
            **facts,
            "kind": self.opened_.kind,
            "file": Path(self.path).name,
            "sha256": self.source_sha256_,
            "anomalib": find_distribution_version("anomalib"),
        }

    def _set_state(self, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
        if facts["kind"] == "module":
            from pyimgano.anomalib.making import import_anomalib

            import_anomalib()
            from pyimgano.anomalib.module_checkpoint import ModuleCheckpoint
            from pyimgano.anomalib.module_scoring import resolve_device

            self.opened_ = ModuleCheckpoint.from_state(arrays, facts, resolve_device(self.device))
        else:
            from pyimgano.anomalib.graph_checkpoint import OnnxCheckpoint, OpenVinoCheckpoint

            graphs: dict[str, Any] = {OnnxCheckpoint.kind: OnnxCheckpoint, OpenVinoCheckpoint.kind: OpenVinoCheckpoint}
            self.opened_ = graphs[facts["kind"]].from_state(arrays, facts)
        self.source_sha256_ = facts["sha256"]
