"""The cells of a benchmark: which runs it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from pyimgano.core.creation import create_model
from pyimgano.core.errors import ConfigError, DatasetError, UnknownNameError
from pyimgano.core.files import dumps_json, sha256_bytes
from pyimgano.core.names import unknown_name_hint
from pyimgano.workbench.bench.suites import SuiteEntry
from pyimgano.workbench.runs.naming import DEFAULT_CATEGORY, category_folders, safe_name

if TYPE_CHECKING:
    from pyimgano.workbench.config import RunConfig

__all__ = ["Cell", "plan_cells"]


@dataclass(frozen=True)
class Cell:
    """One run of the matrix.

    Attributes
    ----------
    model, category, seed
        Its place; the model is a name, or the label of a suite's entry, and the category ``"default"`` for a dataset
        without categories.
    config : RunConfig
        What it runs.
    folder : str
        The category as a part of file names, which no other category of the dataset has on any file system.
    """

    model: str
    category: str
    seed: int
    config: RunConfig
    folder: str

    @property
    def name(self) -> str:
        """A file name for it."""
        return f"{safe_name(self.model)}__{self.folder}__seed{self.seed}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what decides its result: the config without its output."""
        data = self.config.to_json()
        data.pop("output")
        data["dataset"]["root"] = Path(data["dataset"]["root"]).name  # the dataset may be moved
        return sha256_bytes(dumps_json(data).encode("utf-8"))


def plan_cells(
    folder: Path,
    *,
    models: Sequence[Union[str, SuiteEntry]],
    categories: Optional[Sequence[str]] = None,
    seeds: Sequence[int] = (0,),
    file: Optional[Path] = None,
    settings: Sequence[str] = (),
    dataset: Optional[Path] = None,
    preset: Optional[str] = None,
) -> list[Cell]:
    """Return the cells, by model, then category, then seed; everything that can be checked before a fit is checked.

    Parameters
    ----------
    folder : Path
        The benchmark's folder; the runs go into its ``runs``.
    models : sequence of str or SuiteEntry
        Registered models, or entries of a suite with parameters of their own. A config's ``model.params`` belong to
        the config's own model (or the preset's); every other one runs with its defaults.
    categories : sequence of str, optional
        Default: those of the config, else all.
    seeds : sequence of int
        Of split and fit.
    file, settings, dataset, preset
        The config that all cells share, as for ``train``.

    Raises
    ------
    RunConfigError
        When the config is not valid, or a model is unknown.
    UnknownNameError
        When the dataset has no such category.
    ConfigError
        When a model, category or seed is given twice.
    """
    from pyimgano.workbench.config import load_run_config

    for noun, given in (
        ("model", [str(getattr(model, "label", model)) for model in models]),
        ("category", categories or ()),
        ("seed", seeds),
    ):
        twice = sorted({str(item) for item in given if list(given).count(item) > 1})
        if twice:
            raise ConfigError(f"{noun} given twice: {', '.join(twice)}")
    entries = [SuiteEntry(model, model) if isinstance(model, str) else model for model in models]
    flags: dict[str, Any] = {"dataset.root": dataset, "preset": preset, "output.dir": folder / "runs"}
    chosen = any(text.startswith("model") for text in settings) and not any(isinstance(m, SuiteEntry) for m in models)
    if file is None and preset is None and not chosen:
        flags["model.name"] = entries[0].model  # the default one may need what is not installed
    base = load_run_config(file, settings=settings, flags=flags)
    same = {"dataset.root": base.dataset.root, "recipe": base.recipe, "preset": base.preset}
    configs = {}
    for entry in entries:
        # An entry under the model's own name is that model; under another label it starts from its defaults.
        own = entry.model == base.model.name and (not entry.params or entry.label == entry.model)
        model = base.model if own else load_run_config(flags={**same, "model.name": entry.model}).model
        if entry.params:
            create_model(entry.model, **entry.params)  # refuses what it does not take
            model = model.model_copy(update={"params": {**model.params, **entry.params}})
        configs[entry.label] = model
    cells = []
    known = _known_categories(base)
    folders = category_folders(known or [DEFAULT_CATEGORY])  # of all, so that a choice of them changes no name
    for name in configs:
        for category in _choose(known, categories or base.dataset.categories, base.dataset.root):
            for seed in seeds:
                place = category or DEFAULT_CATEGORY
                cell = Cell(name, place, seed, base, folders[place])
                config = base.model_copy(
                    update={
                        "model": configs[name],
                        "seed": seed,
                        "dataset": base.dataset.model_copy(update={"categories": category and [category]}),
                        "output": base.output.model_copy(update={"name": cell.name}),
                    }
                )
                cells.append(replace(cell, config=config))
    return cells


def _known_categories(base: RunConfig) -> list[str]:
    from pyimgano.datasets import read_dataset

    dataset = base.dataset
    samples = read_dataset(dataset.root, format=dataset.format, seed=base.seed)
    if not len(samples):
        raise DatasetError("no images", where=dataset.root, hint=f"pyimgano datasets inspect {dataset.root}")
    return list(samples.categories())


def _choose(known: Sequence[str], wanted: Optional[Sequence[str]], root: str) -> list[Optional[str]]:
    chosen = list(wanted or known)
    for name in chosen:
        if name not in known:
            raise UnknownNameError(
                f"the dataset has no category {name!r}",
                where=root,
                allowed=", ".join(known) or "it has no categories: leave --categories out",
                hint=unknown_name_hint(name, known),
            )
    return [*chosen] if chosen else [None]
