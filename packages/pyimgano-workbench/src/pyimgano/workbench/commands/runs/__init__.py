"""``pyimgano runs``: which runs there are, what they found, and how they compare. A file per command."""

from __future__ import annotations

import typer

from pyimgano.workbench.commands.runs.compare import compare
from pyimgano.workbench.commands.runs.drift import drift
from pyimgano.workbench.commands.runs.gate import gate
from pyimgano.workbench.commands.runs.import_anomalib import import_anomalib
from pyimgano.workbench.commands.runs.leaderboard import leaderboard
from pyimgano.workbench.commands.runs.listing import list_all
from pyimgano.workbench.commands.runs.report import report
from pyimgano.workbench.commands.runs.show import show
from pyimgano.workbench.commands.runs.submission import submission
from pyimgano.workbench.commands.runs.verify import verify

__all__ = ["app"]

app = typer.Typer(
    help="The runs that there are, what they found, and how they compare.\n\nExample: pyimgano runs list",
    no_args_is_help=True,
)
app.command("list")(list_all)
app.command("show")(show)
app.command("report")(report)
app.command("compare")(compare)
app.command("leaderboard")(leaderboard)
app.command("gate")(gate)
app.command("verify")(verify)
app.command("submission")(submission)
app.command("import-anomalib")(import_anomalib)
app.command("drift")(drift)
