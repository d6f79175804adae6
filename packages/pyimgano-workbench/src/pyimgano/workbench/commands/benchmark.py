"""``pyimgano benchmark``: models × categories × seeds, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import (  # noqa: UP035 - typer evaluates the annotations, also on 3.9
    TYPE_CHECKING,
    Any,
    List,
    Optional,
    Union,
)

import typer

from pyimgano.workbench.commands.completions import model_list, presets, suites
from pyimgano.workbench.commands.execution_options import EXECUTOR, SCHEDULER

if TYPE_CHECKING:
    from pyimgano.workbench.bench import Leaderboard, SuiteEntry
    from pyimgano.workbench.processes import Execution

__all__ = ["benchmark"]

SHARED_FEATURES = "4GiB"
"""What the models of a suite may keep of their features, together, unless the user has said otherwise."""


def benchmark(
    dataset: Optional[Path] = typer.Option(None, "--dataset", help="Folder or manifest of the dataset."),
    models: Optional[str] = typer.Option(
        None,
        "--models",
        metavar="A,B",
        help="Models to compare; default: the config's (or preset's) own.",
        autocompletion=model_list,
    ),
    suite: Optional[str] = typer.Option(
        None,
        "--suite",
        metavar="NAME",
        help="Instead of --models: classical (no deep learning), cpu (and deep models without training), all.",
        autocompletion=suites,
    ),
    categories: Optional[str] = typer.Option(None, "--categories", metavar="X,Y", help="Categories; default: all."),
    seeds: str = typer.Option("0", "--seeds", metavar="0,1,2", help="Seeds of split and fit."),
    config: Optional[Path] = typer.Option(None, "--config", "-c", help="Run config that all cells share."),
    settings: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--set", metavar="KEY=VALUE", help="Override a key of the config; repeatable."
    ),
    model_settings: Optional[List[str]] = typer.Option(  # noqa: UP006
        None, "--model-set", metavar="MODEL.KEY=VALUE", help="Set a parameter of one of the --models; repeatable."
    ),
    preset: Optional[str] = typer.Option(None, "--preset", help="Preset of the recipe.", autocompletion=presets),
    output: Path = typer.Option(
        Path("benchmark"), "--output", "-o", help="Folder for the table and the runs; the same one resumes."
    ),
    jobs: int = typer.Option(1, "--jobs", metavar="N", min=1, help="Processes; times are comparable with 1 only."),
    executor: str = EXECUTOR,
    scheduler: Optional[str] = SCHEDULER,
    list_models: bool = typer.Option(False, "--list-models", help="List the models and stop."),
    list_categories: bool = typer.Option(False, "--list-categories", help="List the dataset's categories and stop."),
    as_json: bool = typer.Option(False, "--json", help="Print rows and summary as JSON."),
) -> None:
    """Run every model on every category with every seed, and compare them.

    The table has mean ± standard deviation over the seeds. Each cell is a run, as `train` makes it, in a process of its
    own: one that fails is a row with its error, and the exit code is 1 at the end. Rows go into leaderboard.csv and
    leaderboard.json as they come; the same command again goes on where it was interrupted. A suite's models that need
    an extra which is not installed are told, and skipped; its models share their features through a cache on disk.

    Example: pyimgano benchmark --dataset parts/ --suite classical --output bench
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.bench import Leaderboard, Skipped, plan_cells, suite_entries
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_json, print_text
    from pyimgano.workbench.processes import choose_execution
    from pyimgano.workbench.report import write_benchmark_report

    if list_models:
        from pyimgano.core.registry import MODELS

        for name in MODELS.names():
            print_text(name)
        return
    if list_categories:
        from pyimgano.datasets import read_dataset

        if dataset is None:
            raise ConfigError("--list-categories needs --dataset PATH")
        for name in read_dataset(dataset).categories():
            print_text(name)
        return
    if dataset is None and config is None:
        raise ConfigError("no dataset", allowed="--dataset PATH, or --config FILE", hint="pyimgano benchmark --help")
    if suite is not None and models is not None:
        raise ConfigError("--suite and --models both say which models", hint="leave one of them out")
    execution = choose_execution(executor, scheduler, jobs)
    entries: list[SuiteEntry] = []
    skipped: list[Skipped] = []
    if suite is not None:
        entries, skipped = suite_entries(suite)
        for one in skipped:
            say(f"skipped: {one.model}: {one.reason}")
    chosen = _with_parameters(_split(models, "--models"), model_settings or ())
    common: dict[str, Any] = {"file": config, "settings": settings or (), "dataset": dataset, "preset": preset}
    cells = plan_cells(
        output,
        models=entries or chosen or _own_model(common),
        categories=_split(categories, "--categories") or None,
        seeds=[_seed(text) for text in _split(seeds, "--seeds")],
        **common,
    )
    board = Leaderboard(output, cells, skipped)
    _work(board, len(cells), execution, shared=suite is not None)
    write_benchmark_report(board.folder, board.rows(), board.summary())
    rows = [row for row in board.rows() if row["status"] == "error"]
    if as_json:
        told = [one.to_json() for one in board.skipped]
        print_json({"rows": board.rows(), "summary": board.summary(), "skipped": told})
    else:
        _show(board)
    if rows:
        raise typer.Exit(1)


def _with_parameters(models: Sequence[str], settings: Sequence[str]) -> list[Union[str, SuiteEntry]]:
    """Give models the parameters that ``--model-set`` names."""
    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.bench import SuiteEntry
    from pyimgano.workbench.config.layers import setting_value

    params: dict[str, dict[str, Any]] = {model: {} for model in models}
    for setting in settings:
        key, separator, text = setting.partition("=")
        # The longest label first: a name may hold a dot.
        label = next((one for one in sorted(params, key=len, reverse=True) if key.startswith(f"{one}.")), None)
        if not separator or label is None or not key[len(label) + 1 :]:
            given = ", ".join(params) or "none was given"
            raise ConfigError(
                f"{setting!r} is not MODEL.KEY=VALUE",
                where="--model-set",
                allowed=f"one of the --models ({given}), a dot, a parameter, '=', a value",
                hint="for example: --models patchcore,padim --model-set padim.n_features=50",
            )
        params[label][key[len(label) + 1 :]] = setting_value(text)
    return [SuiteEntry(model, model, params[model]) if params[model] else model for model in models]


def _split(text: Optional[str], option: str) -> list[str]:
    from pyimgano.core.errors import ConfigError

    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ConfigError(f"{text!r} has an empty part", where=option, allowed="names with commas between them")
    return parts


def _seed(text: str) -> int:
    from pyimgano.core.errors import ConfigError

    if not text.isdecimal():
        raise ConfigError(f"{text!r} is no seed", where="--seeds", allowed="whole numbers ≥ 0, e.g. 0,1,2")
    return int(text)


def _own_model(common: Mapping[str, Any]) -> list[str]:
    from pyimgano.workbench.config import load_run_config

    flags = {"dataset.root": common["dataset"], "preset": common["preset"]}
    return [load_run_config(common["file"], settings=common["settings"], flags=flags).model.name]


def _work(board: Leaderboard, total: int, execution: Execution, *, shared: bool) -> None:
    from pyimgano.core.feature_cache import FEATURE_CACHE
    from pyimgano.workbench.bench import Cell, run_cells
    from pyimgano.workbench.commands.console import ConsoleProgress, say

    found = total - len(board.waiting)
    if found:
        say(f"{found} of {total} cells are finished already in {board.folder}")
    if not board.waiting:
        board.write()
        return
    progress = ConsoleProgress()
    with progress.stage("Benchmark", len(board.waiting)) as advance:

        def done(cell: Cell, answer: dict[str, Any]) -> None:
            row = board.add(cell, answer)
            auroc = row.get("image_auroc")
            what = row["error"] if row["error"] else "image AUROC " + ("–" if auroc is None else f"{auroc:.3f}")
            progress.note(f"{cell.model} on {cell.category}, seed {cell.seed}: {what}")
            advance(1)

        environment = {FEATURE_CACHE: SHARED_FEATURES} if shared else None
        run_cells(board.waiting, done, execution=execution, environment=environment, note=progress.note)


def _show(board: Leaderboard) -> None:
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_table

    titles = (
        "model",
        "category",
        "seeds",
        "good/defective",
        "image AUROC",
        "pixel AUROC",
        "AUPRO",
        "overkill %",
        "escape %",
        "fit s",
        "latency ms",
    )
    rows = []
    for part in board.summary():
        percent = [_cell(part[name], 100.0, 1) for name in ("overkill", "escape")]
        rows.append(
            (
                part["model"],
                part["category"] or "(mean)",
                str(part["n_seeds"]),
                f"{part['n_test_good']}/{part['n_test_defective']}",
                *(_cell(part[name]) for name in ("image_auroc", "pixel_auroc", "pixel_aupro")),
                *percent,
                *(_cell(part[name], digits=1) for name in ("fit_seconds", "latency_ms")),
            )
        )
    print_table(titles, rows, titles=True)
    say("mean ± standard deviation over the seeds; good/defective: test images, summed over the seeds")
    for row in (row for row in board.rows() if row["status"] != "ok"):
        word = "failed" if row["status"] == "error" else "skipped"
        say(f"{word}: {row['model']} on {row['category']}, seed {row['seed']}: {row['error']}")
    places = {"table": "leaderboard.csv", "page": "report.html", "runs": "runs"}
    say("   ".join(f"{what}: {board.folder / name}" for what, name in places.items()))


def _cell(value: Mapping[str, Any], factor: float = 1.0, digits: int = 3) -> str:
    if value["mean"] is None:
        return "–"
    text = f"{factor * value['mean']:.{digits}f}"
    return text if value["sd"] is None else f"{text} ± {factor * value['sd']:.{digits}f}"
