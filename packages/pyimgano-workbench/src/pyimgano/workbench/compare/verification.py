"""Does a run's config still give the run? It is carried out again elsewhere and compared file by file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from pyimgano.core.errors import PyimganoError
from pyimgano.core.files import load_json
from pyimgano.workbench.compare.differing import ABSENT, environment_differences, json_differences
from pyimgano.workbench.compare.measured import MeasuredRun
from pyimgano.workbench.progress import Progress

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["Disparity", "Verification", "verify_run"]

_ARTIFACTS = ("split.json", "calibration_card.json", "infer_config.json")
_OWN = frozenset({"run", "finished"})
"""Keys of ``report.json`` that are another run's own."""


@dataclass(frozen=True)
class Disparity:
    """One value that is not the same.

    Attributes
    ----------
    file : str
        Relative to the run.
    place : str
        Key or record in it.
    run, again
        The two values; null where one has none.
    """

    file: str
    place: str
    run: Any
    again: Any

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {"file": self.file, "place": self.place, "run": self.run, "again": self.again}


@dataclass(frozen=True)
class Verification:
    """What came of running a config again.

    Attributes
    ----------
    run : str
        The run's name.
    disparities : list of Disparity
        Empty where everything is the same.
    n_records, n_values : int
        What was compared: images, and values in all files.
    tolerance : float
        By how much numbers were allowed to differ.
    environment : dict
        Name → [then, now] of versions and the like that differ: what may explain a difference.
    """

    run: str
    disparities: list[Disparity]
    n_records: int
    n_values: int
    tolerance: float
    environment: dict[str, list[Any]]

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return not self.disparities

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON-friendly mapping."""
        return {
            "schema_version": 1,
            "run": self.run,
            "identical": self.identical,
            "tolerance": self.tolerance,
            "n_records": self.n_records,
            "n_values": self.n_values,
            "disparities": [one.to_json() for one in self.disparities],
            "environment": self.environment,
        }


def verify_run(
    run: MeasuredRun,
    config: RunConfig,
    *,
    keep: Optional[Path] = None,
    tolerance: float = 0.0,
    progress: Optional[Progress] = None,
) -> Verification:
    """Carry out a run's config again and compare everything but times, names and the environment.

    The run itself is only read. Pictures, thumbnails and the page are not compared; what they show is.

    Parameters
    ----------
    config : RunConfig
        The run's, with its dataset in reach (see :meth:`~pyimgano.workbench.runs.RunDirectory.config`).
    keep : Path, optional
        Folder that the second run is kept in; by default it is made in a temporary one and removed.
    tolerance : float
        By how much numbers may differ; 0 asks for the same bits.

    Raises
    ------
    PyimganoError
        When the config cannot be carried out any more.
    """
    if keep is not None:
        return _verify(run, config, keep, tolerance, progress)
    with tempfile.TemporaryDirectory(prefix="pyimgano-verify-") as folder:
        try:
            return _verify(run, config, Path(folder), tolerance, progress)
        except PyimganoError as error:
            # What could be resumed lay in the folder that is removed now.
            lines = [line for line in (error.hint or "").splitlines() if "--resume" not in line]
            error.hint = "\n".join(lines) or None
            raise


def _verify(
    run: MeasuredRun, config: RunConfig, folder: Path, tolerance: float, progress: Optional[Progress]
) -> Verification:
    from pyimgano.workbench.training import run_recipe

    output = config.output.model_copy(
        update={"dir": str(folder), "name": None, "report": False, "thumbnails": 0, "maps": False, "masks": False}
        | {"overlays": False}
    )
    again = run_recipe(config.model_copy(update={"output": output}), entrypoint="verify", progress=progress)
    then, now = _Files(run.path), _Files(again.path)
    disparities = [
        Disparity(file, place, _plain(a), _plain(b))
        for file in sorted({*then.values, *now.values})
        for place, a, b in json_differences(
            then.values.get(file, ABSENT), now.values.get(file, ABSENT), tolerance=tolerance
        )
    ]
    return Verification(
        run=run.name,
        disparities=disparities,
        n_records=then.n_records,
        n_values=sum(_leaves(value) for value in then.values.values()),
        tolerance=tolerance,
        environment=environment_differences(run.environment, _read(again.path / "environment.json")),
    )


class _Files:
    """All that a run says, by file, without what is bound to differ."""

    def __init__(self, path: Path) -> None:
        self.n_records = 0
        report = _read(path / "report.json")
        self.values: dict[str, Any] = {
            "report.json": {key: value for key, value in report.items() if key not in _OWN},
        }
        for name in _ARTIFACTS:
            if (path / "artifacts" / name).is_file():
                self.values[f"artifacts/{name}"] = _read(path / "artifacts" / name)
        for entry in report["categories"]:
            folder = path / "categories" / entry["folder"]
            start = f"categories/{entry['folder']}"
            category = _read(folder / "report.json")
            self.values[f"{start}/report.json"] = {key: value for key, value in category.items() if key != "timing"}
            if (folder / "curves.json").is_file():
                self.values[f"{start}/curves.json"] = _read(folder / "curves.json")
            records = {}
            for line in _lines(folder / "per_image.jsonl"):
                record = json.loads(line)
                records[record["image"]] = {key: value for key, value in record.items() if key not in _PICTURES}
            self.n_records += len(records)
            self.values[f"{start}/per_image.jsonl"] = records


_PICTURES = ("map", "mask", "overlay")


def _lines(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8") as stream:
        yield from stream


def _read(path: Path) -> Mapping[str, Any]:
    data: Mapping[str, Any] = load_json(path)
    return data


def _plain(value: Any) -> Any:
    return None if value is ABSENT else value


def _leaves(value: Any) -> int:
    if isinstance(value, Mapping):
        return sum(_leaves(inner) for inner in value.values())
    if isinstance(value, list):
        return sum(_leaves(inner) for inner in value)
    return 1
