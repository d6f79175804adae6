"""What ``infer`` and ``bundle run`` share: the summary of what became of the images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyimgano.workbench.inference.stream import Summary

__all__ = ["tell"]


def tell(
    summary: Summary,
    seconds: float,
    place: str,
    left_out: Sequence[str],
    max_errors: int,
    *,
    as_json: bool,
    earlier: int = 0,
) -> None:
    """Say what became of the images, and end with exit code 4 where more failed than are tolerated.

    Parameters
    ----------
    earlier : int
        Images that an earlier process has scored.
    """
    import typer

    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_json

    for sentence in left_out:
        say(sentence)
    rate = (summary.images - earlier) / seconds if seconds > 0 else 0.0
    review = f"{summary.review} to review, " if summary.review else ""
    before = f" ({earlier} of them before)" if earlier else ""
    say(
        f"{summary.images} images{before}: {summary.good} good, {review}{summary.defective} defective, "
        f"{summary.errors} unscored ({rate:.1f} images/s); records: {place}"
    )
    if summary.errors:
        verdict = "tolerated by" if summary.errors <= max_errors else "more than"
        say(f"{summary.errors} without a score, {verdict} --max-errors {max_errors}: see the records with 'error'")
    if as_json:
        print_json({**summary.to_json(), "seconds": seconds, "records": place, "left_out": list(left_out)})
    if summary.errors > max_errors:
        raise typer.Exit(4)
