"""``pyimgano runs drift``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

if TYPE_CHECKING:
    from pyimgano.workbench.monitor.past_records import PastDrift

__all__ = ["drift"]


def drift(
    run: Path = typer.Argument(metavar="RUN", help="A complete run, or a bundle."),
    records: Path = typer.Argument(metavar="RECORDS.jsonl", help="Records of earlier inference, in their order."),
    window: int = typer.Option(
        200, "--window", metavar="N", min=20, help="Least number of images that are compared at once."
    ),
    alpha: float = typer.Option(
        0.01, "--alpha", metavar="X", help="Probability of any false alarm in all windows together."
    ),
    least_psi: float = typer.Option(
        0.1,
        "--least-psi",
        metavar="X",
        min=0.0,
        help="Certain differences with a smaller population stability index are no drift.",
    ),
    expected_rejects: Optional[float] = typer.Option(
        None, "--expected-rejects", metavar="SHARE", help="Share of images that the line usually rejects."
    ),
    images: Optional[Path] = typer.Option(
        None, "--images", metavar="DIR", help="Folder of the records' images: compare light, focus and size, too."
    ),
    as_json: bool = typer.Option(False, "--json", help="Give everything as JSON."),
) -> None:
    """Compare the scores of records with those that the threshold was calibrated on; exit code 1 when they drifted.

    A category's records are cut into windows, each compared once by exact Kolmogorov-Smirnov tests. With --images, the
    images' brightness, contrast, sharpness, saturation and size are compared as well.

    Example: pyimgano runs drift runs/new records.jsonl --images done/
    """
    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.commands.printing import print_json
    from pyimgano.workbench.inference.opening import open_models
    from pyimgano.workbench.monitor import DriftSettings, Reference
    from pyimgano.workbench.monitor.past_records import compare_records
    from pyimgano.workbench.records import read_records

    settings = DriftSettings(window, alpha, least_psi, expected_rejects)
    models = open_models(run)
    references = {
        name: Reference.from_card(models.card(name), models.image_statistics(name)) for name in models.categories
    }
    if images is not None and not images.is_dir():
        raise ConfigError("there is no such folder", where=str(images))
    found = compare_records(read_records(records), references, settings, images=images, value_range=models.value_range)
    if as_json:
        print_json(found.to_json())
    else:
        _print(found, images is not None and not all(len(one.values) > 1 for one in references.values()))
    if found.drift:
        raise typer.Exit(1)


def _print(found: PastDrift, unmeasured: bool) -> None:
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.commands.printing import print_table, print_text

    rows = []
    for name, windows in found.categories.items():
        for window in windows:
            for one in window.statistics:
                numbers = (f"{one.reference_median:.5g}", f"{one.window_median:.5g}", f"{one.psi:.3f}")
                verdict = "DRIFT" if one.drift else "-"
                rows.append((verdict, name, str(window.number), one.name, *numbers, f"{one.p_value:.3g}"))
            low, high = window.interval
            expected = "-" if window.expected_rejects is None else f"{window.expected_rejects:.5g}"
            p_value = "-" if window.rejects_p_value is None else f"{window.rejects_p_value:.3g}"
            share = f"{window.rejected / window.n:.5g} ({low:.3g} to {high:.3g})"
            verdict = "DRIFT" if window.rejects_drift else "-"
            rows.append((verdict, name, str(window.number), "rejects", expected, share, "-", p_value))
    print_table(("", "category", "window", "statistic", "calibration", "now", "PSI", "p-value"), rows, titles=True)
    every = [window for part in found.categories.values() for window in part]
    drifted = sum(window.drift for window in every)
    print_text(
        f"{drifted} of {len(every)} windows drifted; with good images as at calibration, any would with "
        f"probability at most {found.alpha:g} ({found.tests} exact tests)"
    )
    if found.errors:
        say(f"{found.errors} records without a score are left out")
    if found.too_few:
        say(f"{found.too_few} records are of categories that have too few to be compared")
    if unmeasured:
        say("the run has no image_statistics.json: only scores are compared; a new run will have it")
