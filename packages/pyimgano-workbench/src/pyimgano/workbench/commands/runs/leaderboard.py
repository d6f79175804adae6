"""``pyimgano runs leaderboard``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, List, Optional  # noqa: UP035 - typer evaluates the annotations, also on 3.9

import typer

if TYPE_CHECKING:
    from pyimgano.workbench.compare.ranking import Ranking

__all__ = ["leaderboard"]


def leaderboard(
    folders: Optional[List[Path]] = typer.Argument(  # noqa: UP006
        None, metavar="[DIR]…", help="Folders that runs lie in, at any depth. Default: runs."
    ),
    metric: str = typer.Option(
        "image_auroc", "--metric", help="What to rank by; for overkill and escape less is better."
    ),
    as_json: bool = typer.Option(False, "--json", help="Give it as JSON."),
    as_csv: bool = typer.Option(False, "--csv", help="Give it as CSV."),
    seed: int = typer.Option(
        0, "--seed", metavar="N", min=0, help="Seed of the bootstrap that compares each run with the best."
    ),
    resamples: int = typer.Option(2000, "--resamples", metavar="N", min=200, help="Resamples of it."),
) -> None:
    """Rank complete runs. Only runs that were tested on the same images stand in one table.

    A run that the test images do not tell from the best (paired comparison, 95 %) is marked with =.

    Example: pyimgano runs leaderboard runs --metric pixel_aupro
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_json
    from pyimgano.workbench.compare.ranking import find_runs, rank_runs

    if as_json and as_csv:
        raise ConfigError("exclude each other", where="--json and --csv", allowed="one of them")
    places = list(folders or [Path("runs")])
    runs, left_out = find_runs(places)
    for line in left_out:
        say(f"left out: {line}")
    if not runs:
        say(f"no complete runs in {', '.join(map(str, places))}")
    found = rank_runs(runs, metric, seed=seed, resamples=resamples)
    if as_json:
        print_json({"schema_version": 1, "groups": [ranking.to_json() for ranking in found], "left_out": left_out})
    elif as_csv:
        _print_csv(found)
    else:
        _print(found)


def _print(found: list[Ranking]) -> None:
    from pyimgano.workbench.commands.printing import print_table, print_text
    from pyimgano.workbench.compare.text import short

    for number, ranking in enumerate(found):
        if number:
            print_text()
        first = ranking.rows[0]
        names = ", ".join(ranking.categories)
        print_text(
            f"{ranking.dataset}: {names}; {first.n_good} good + {first.n_defective} defective test images, "
            f"{ranking.better} {ranking.metric} is better"
        )
        rows = []
        for row in ranking.rows:
            interval = "-" if row.interval is None else f"{row.interval[0]:.3f}–{row.interval[1]:.3f}"
            mark = {True: "=", False: "", None: "?"}[row.as_good_as_best]
            rows.append(
                (
                    str(row.rank) if row.rank is not None else "-",
                    mark if row.value is not None else "",
                    row.run,
                    row.model or "-",
                    row.preset or "-",
                    str(row.seed) if row.seed is not None else "-",
                    short(row.value),
                    interval,
                    short(row.overkill),
                    short(row.escape),
                    row.reason or "",
                )
            )
        titles = ("rank", "", "run", "model", "preset", "seed", ranking.metric, "95 %", "overkill", "escape", "")
        print_table(titles, rows, titles=True)
    if any(len(ranking.rows) > 1 for ranking in found):
        print_text()
        print_text("= not told from the best by these test images (95 %); ? not tested: a run keeps no per-pixel data")


def _print_csv(found: list[Ranking]) -> None:
    import csv
    import io

    from pyimgano.workbench.commands.printing import print_text
    from pyimgano.workbench.compare.ranking import LEADERBOARD_COLUMNS

    stream = io.StringIO()
    writer = csv.DictWriter(stream, LEADERBOARD_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for number, ranking in enumerate(found, 1):
        for row in ranking.rows:
            low, high = row.interval if row.interval is not None else (None, None)
            writer.writerow({**row.to_json(), "group": number, "metric": ranking.metric, "low": low, "high": high})
    print_text(stream.getvalue().rstrip("\n"))
