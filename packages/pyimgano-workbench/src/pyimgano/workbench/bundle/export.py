"""From a run to a bundle: every category's detector exported, compared with the trained one, and packed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import ConfigError, PyimganoError, StorageError
from pyimgano.core.files import dump_json
from pyimgano.core.plugins import find_distribution_version
from pyimgano.core.registry import COMPONENTS, MODELS
from pyimgano.core.specs import Requirement
from pyimgano.workbench.bundle.archive import write_manifest, write_zip
from pyimgano.workbench.bundle.bundle import Bundle, load_bundle
from pyimgano.workbench.bundle.category_export import CategoryExport, write_category
from pyimgano.workbench.bundle.fingerprint import run_fingerprint
from pyimgano.workbench.bundle.graph_runtimes import GRAPH_RUNTIMES
from pyimgano.workbench.bundle.held_out import HeldOutImages
from pyimgano.workbench.bundle.manifest import GRAPH, STATE, Manifest
from pyimgano.workbench.bundle.model_card import write_model_card
from pyimgano.workbench.bundle.models import BUNDLE_SCHEMA
from pyimgano.workbench.bundle.names import BUNDLE_JSON, CALIBRATION_CARD, MANIFEST, PARITY_JSON
from pyimgano.workbench.bundle.parity import CategoryParity, MovedThreshold, compare_category, moved_thresholds
from pyimgano.workbench.bundle.parity_report import parity_json
from pyimgano.workbench.bundle.samples import write_sample
from pyimgano.workbench.bundle.validation import validate_bundle
from pyimgano.workbench.calibrate.card import CALIBRATION_SCHEMA, CalibrationCard
from pyimgano.workbench.inference.fitted import RunModels
from pyimgano.workbench.monitor.reference import IMAGE_STATISTICS, statistics_json
from pyimgano.workbench.pipeline import Pipeline
from pyimgano.workbench.runs.directory import RunDirectory
from pyimgano.workbench.runs.naming import category_folders

if TYPE_CHECKING:
    from pyimgano.workbench.progress import Progress

__all__ = ["RUNTIMES", "ExportOptions", "Exported", "export_run"]

RUNTIMES = ("auto", "onnx", "openvino", "torch")
PRECISIONS = ("fp32", "fp16", "int8")
IMAGES = 100
"""Images of each category that the exported detector is compared on, unless told otherwise."""


@dataclass(frozen=True)
class ExportOptions:
    """What is asked for.

    Attributes
    ----------
    runtime : {"auto", "onnx", "openvino", "torch"}
        A graph for onnxruntime or for OpenVINO; or the state that the run saved, for the model's own code. Auto: a
        graph for onnxruntime where the model has one.
    precision : {"fp32", "fp16", "int8"}
        Of graphs.
    categories : sequence of str, optional
        Default: all.
    parity_images : Path, optional
        A folder of images to compare on; default: the run's held-out ones.
    parity_limit : int
        Images of each category to compare on.
    allow_changed_decisions : bool
        Whether less precision may change decisions.
    force : bool
        Whether a bundle that is there is replaced.
    """

    runtime: str = "auto"
    precision: str = "fp32"
    categories: Optional[Sequence[str]] = None
    parity_images: Optional[Path] = None
    parity_limit: int = IMAGES
    allow_changed_decisions: bool = False
    force: bool = False


@dataclass(frozen=True)
class Exported:
    """What was made.

    Attributes
    ----------
    path : Path
        The bundle.
    manifest : Manifest
    parity : tuple of CategoryParity
    size : int
        Of the zip, or of all files together, in bytes.
    """

    path: Path
    manifest: Manifest
    parity: tuple[CategoryParity, ...]
    size: int


def export_run(
    run: RunDirectory, target: Path, options: Optional[ExportOptions] = None, *, progress: Progress
) -> Exported:
    """Make a bundle of a run. It appears under its name when it is whole and gives the run's scores, or not at all.

    Parameters
    ----------
    run : RunDirectory
        A complete run.
    target : Path
        A name that ends in ``.zip``, or a folder.

    Raises
    ------
    ConfigError
        When an option does not fit to the model, the target is there already, or there are no images to compare on.
    PyimganoError
        When the exported detector does not give the trained one's scores and decisions; it names the image.
    """
    return _Export(run, target, options or ExportOptions(), progress).make()


class _Export:
    def __init__(self, run: RunDirectory, target: Path, options: ExportOptions, progress: Progress) -> None:
        self.run, self.target, self.options, self.progress = run, target, options, progress
        self.models = RunModels(run)
        self.names = _chosen(self.models, options.categories)
        self.kind = _kind(self.models.model, options)
        self.graph_runtime = "openvino" if options.runtime == "openvino" else "onnxruntime"
        self.zipped = target.suffix.lower() == ".zip"
        _check_target(target, zipped=self.zipped, force=options.force)
        self.images = HeldOutImages(run, options.parity_images)
        self.cards = {name: self.models.card(name) for name in self.names}
        self.categories: list[CategoryExport] = []

    def make(self) -> Exported:
        with _workshop(self.target) as folder:
            draft = folder / "bundle"
            draft.mkdir()
            folders = category_folders(self.names)
            for name in self.names:
                with self.progress.stage(f"{name}: export"):
                    exported = write_category(
                        self.models.fitted_category(name),
                        name,
                        folders[name],
                        draft,
                        kind=self.kind,
                        graph_runtime=self.graph_runtime,
                        precision=self.options.precision,
                        images=self.images,
                    )
                self.categories.append(exported)
            self._describe(draft)
            parity = self._compare(draft)
            self._describe(draft, parity)
            manifest = self._finish(draft, parity)
            size = self._place(folder, draft)
        return Exported(self.target, manifest, parity, size)

    # -- the files -----------------------------------------------------------------------------------------------

    def _describe(self, draft: Path, parity: Sequence[CategoryParity] = ()) -> Manifest:
        """Write (again) all that describes the detectors, and the manifest."""
        config = self.run.infer_config()
        bundle = {
            "schema_version": BUNDLE_SCHEMA,
            "model": self.models.model,
            "params": config["params"],
            "value_range": config["value_range"],
            "regions": config["regions"],
            **({"postprocess": config["postprocess"]} if config.get("postprocess") is not None else {}),
            "categories": [one.to_json(self.cards[one.name]) for one in self.categories],
        }
        dump_json(bundle, draft / BUNDLE_JSON)
        cards = {name: card.to_json() for name, card in self.cards.items()}
        dump_json({"schema_version": CALIBRATION_SCHEMA, "categories": cards}, draft / CALIBRATION_CARD)
        statistics = {name: self.models.image_statistics(name) for name in self.names}
        if any(statistics.values()):
            dump_json(statistics_json(statistics), draft / IMAGE_STATISTICS)
        if parity:
            dump_json(parity_json(parity, self.cards, self.options.precision), draft / PARITY_JSON)
            write_model_card(draft, self.run, self.kind, self.graph_runtime, self.options.precision, parity, self.cards)
        requires = _requires(self.kind, self.graph_runtime, self.models, self.names)
        return write_manifest(
            draft,
            kind=self.kind,
            precision=self.options.precision,
            model=self.models.model,
            created_with=_versions(self.kind, requires),
            requires=requires,
            source={
                "run": self.run.name,
                "fingerprint": run_fingerprint(self.run),
                "dataset": str(self.run.report().get("dataset", "")),
            },
        )

    def _finish(self, draft: Path, parity: Sequence[CategoryParity]) -> Manifest:
        """Add a sample of each category with what the bundle says of it, and write the last manifest."""
        with load_bundle(draft) as bundle:
            for one, compared in zip(self.categories, parity):
                paths = {named.id: named.path for named in self._images(one.name)}
                write_sample(draft, one.folder, bundle.models.fitted_category(one.name), compared, paths)
        return self._describe(draft, parity)

    def _place(self, folder: Path, draft: Path) -> int:
        """Give the bundle its name, after it was opened and run once more as a user will."""
        made = draft
        if self.zipped:
            made = folder / "bundle.zip"
            with open(made, "wb") as stream:
                write_zip(draft, stream)
                stream.flush()
                os.fsync(stream.fileno())
        with self.progress.stage("Validate the bundle"):
            validate_bundle(made).require_valid()
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) or made.stat().st_size
        if self.target.is_dir() and not self.zipped:
            os.replace(self.target, folder / "replaced")  # is gone with the workshop, and not before
        os.replace(made, self.target)
        return size

    # -- parity --------------------------------------------------------------------------------------------------

    def _images(self, name: str) -> Any:
        return self.images.for_parity(name, self.options.parity_limit)

    def _compare(self, draft: Path) -> tuple[CategoryParity, ...]:
        found = []
        with load_bundle(draft) as bundle:
            for name in self.names:
                compared = self._compare_category(name, bundle)
                if self.options.precision == "fp32":
                    compared.require_equal()
                elif not self.options.allow_changed_decisions:
                    _require_decisions(compared, self.options.precision)
                found.append(compared)
        return tuple(found)

    def _compare_category(self, name: str, bundle: Bundle) -> CategoryParity:
        trained, exported = self.models.fitted_category(name), bundle.models.fitted_category(name)
        images = self._images(name)

        def compare(card: CalibrationCard) -> CategoryParity:
            with self.progress.stage(f"{name}: compare with the trained detector", len(images)) as advance:
                return compare_category(
                    name,
                    trained,
                    dataclasses.replace(exported, card=card),
                    images,
                    source=self.images.source,
                    advance=advance,
                )

        compared = compare(self.cards[name])
        if not compared.changed or self.options.precision != "fp32":
            return compared
        moved = moved_thresholds(compared, self.cards[name])
        if not moved:
            return compared
        self.cards[name] = dataclasses.replace(self.cards[name], **_fields(moved))
        return dataclasses.replace(compare(self.cards[name]), moved=moved)


def _fields(moved: Sequence[MovedThreshold]) -> dict[str, Any]:
    return {one.name: one.bundle for one in moved}


def _require_decisions(compared: CategoryParity, precision: str) -> None:
    try:
        compared.require_decisions()
    except PyimganoError as error:
        error.message = f"{precision}: {error.message}"
        error.hint = "--allow-changed-decisions exports it, with the list in parity.json; fp32 changes none"
        raise


def _chosen(models: RunModels, categories: Optional[Sequence[str]]) -> tuple[str, ...]:
    if not categories:
        return models.categories
    for name in categories:
        models.card(name)  # refuses unknown ones
    return tuple(name for name in models.categories if name in categories)


def _kind(model: str, options: ExportOptions) -> str:
    """Return what kind of bundle the options and the model make.

    Raises
    ------
    ConfigError
        When they do not fit.
    """
    runtimes = RUNTIMES[1:] if "onnx" in MODELS.get(model).spec.export else ("torch",)
    for name, value, allowed in (
        ("--runtime", options.runtime, ("auto", *runtimes)),
        ("--precision", options.precision, PRECISIONS),
    ):
        if value not in allowed:
            raise ConfigError(f"{value!r}, for the model {model!r}", where=name, allowed=", ".join(allowed))
    kind = GRAPH if options.runtime != "torch" and "onnx" in runtimes else STATE
    if kind == STATE and options.precision != "fp32":
        raise ConfigError(
            f"{options.precision} is for graphs; this bundle holds the state of {model!r}",
            where="--precision",
            allowed="fp32",
            hint="--runtime onnx" if "onnx" in runtimes else None,
        )
    if options.parity_limit < 1:
        raise ConfigError(f"{options.parity_limit}", where="--parity-limit", allowed="1 or more")
    return kind


def _check_target(target: Path, *, zipped: bool, force: bool) -> None:
    """Refuse a name that is taken; what is no bundle is never replaced."""
    if target.is_dir() and not any(target.iterdir()) and not zipped:
        return
    if not (target.exists() or target.is_symlink()):
        return
    ours = target.is_file() if zipped else (target / MANIFEST).is_file()
    if not (ours and force):
        hint = "choose another one" + (", or replace it with --force" if ours else "")
        raise ConfigError("is there already", where=str(target), hint=hint)


@contextlib.contextmanager
def _workshop(target: Path) -> Iterator[Path]:
    """Yield a folder beside the target, on its disk, that is gone at the end."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        yield folder
    except OSError as error:
        raise _cannot_write(target, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cannot_write(target: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot write: {error.strerror or error}", where=str(target), hint="choose another place with --to BUNDLE"
    )


def _requires(kind: str, graph_runtime: str, models: RunModels, names: Iterable[str]) -> tuple[Requirement, ...]:
    """Return what the bundle needs beside the workbench: a runtime or the model's own code, and plugins' components."""
    needs = {}
    if kind == GRAPH:
        need = GRAPH_RUNTIMES[graph_runtime]
        needs[need.module] = need
    else:
        entry = MODELS.get(models.model)
        needs.update({need.module: need for need in entry.spec.requires})
        own = entry.spec.factory.partition(":")[0]
        root = ".".join(own.split(".")[:2]) if own.startswith("pyimgano.") else own.partition(".")[0]
        needs[root] = Requirement(root, entry.distribution)
    for name in names:
        fitted = models.fitted_category(name)
        # A model may have steps of its own: those of its features.
        before = fitted.detector.steps if isinstance(fitted.detector, Pipeline) else ()
        steps = [f"preprocess/{step[0]}" for step in before]
        for key in [*steps, *(f"postprocess/{rule}" for rule in _rules(models))]:
            component = COMPONENTS.get(key)
            if component.distribution != "pyimgano-workbench":
                root = component.spec.factory.partition(":")[0].partition(".")[0]
                needs[root] = Requirement(root, component.distribution)
                needs.update({need.module: need for need in component.spec.requires})
    return tuple(needs[module] for module in sorted(needs))


def _rules(models: RunModels) -> list[str]:
    settings = models.run.infer_config().get("postprocess") or {}
    return [str(rule["name"]) for rule in settings.get("maps", ())]


def _versions(kind: str, requires: Iterable[Requirement]) -> dict[str, str]:
    names = {"pyimgano-core", "pyimgano-workbench", "pyimgano-models", "numpy", "opencv-python"}
    names.update(need.distribution for need in requires)
    if kind == GRAPH:
        names.update(("onnx", "torch", *(need.module for need in requires)))
    found = {name: find_distribution_version(name) for name in sorted(names)}
    return {name: version for name, version in found.items() if version is not None}
