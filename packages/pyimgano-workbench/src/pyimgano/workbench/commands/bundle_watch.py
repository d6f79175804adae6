"""``pyimgano bundle watch``."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

__all__ = ["watch"]

SECRET = "PYIMGANO_WEBHOOK_SECRET"


def watch(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A bundle, or a complete run."),
    folder: Path = typer.Argument(metavar="IN_FOLDER", help="Where images arrive; folders below it are not looked at."),
    done: Path = typer.Option(..., "--done", metavar="DIR", help="Where inspected images go."),
    failed: Path = typer.Option(..., "--failed", metavar="DIR", help="Where the images go that failed."),
    output: Path = typer.Option(..., "--output", "-o", metavar="FILE.jsonl", help="Records; appended to."),
    category: Optional[str] = typer.Option(None, "--category", help="Of all images, if there are several."),
    settle: float = typer.Option(1.0, "--settle", min=0.0, metavar="S", help="Seconds that an image must not change."),
    poll: float = typer.Option(0.5, "--poll", metavar="S", help="Seconds between two looks there."),
    once: bool = typer.Option(False, "--once", help="End when no image is left."),
    regions: bool = typer.Option(True, "--regions/--no-regions", help="List defective regions."),
    max_pixels: int = typer.Option(2**26, "--max-pixels", metavar="N", min=1, help="Larger images are errors."),
    webhook: Optional[str] = typer.Option(
        None, "--webhook", metavar="URL", help=f"POST every record, signed with {SECRET}."
    ),
    webhook_secret: Optional[Path] = typer.Option(
        None, "--webhook-secret-file", metavar="FILE", help="File with the secret instead."
    ),
    webhook_wait: float = typer.Option(
        10.0,
        "--webhook-wait",
        min=0.0,
        metavar="S",
        help="Seconds to wait for it at the end.",
    ),
    drift_window: int = typer.Option(
        200, "--drift-window", metavar="N", min=20, help="Images that are compared at once."
    ),
    drift_alpha: float = typer.Option(0.01, "--drift-alpha", metavar="X", help="Chance of a false alarm in a window."),
    expected_rejects: Optional[float] = typer.Option(
        None, "--expected-rejects", metavar="SHARE", help="Share that the line usually rejects."
    ),
    drift_log: Optional[Path] = typer.Option(
        None, "--drift-log", metavar="FILE.jsonl", help="Append each comparison of a window."
    ),
) -> None:
    """Inspect the images that arrive in a folder, each exactly once: a record, then a move to DONE or FAILED.

    An image that cannot be read gets a record with `error`, and goes to FAILED. Ctrl-C and SIGTERM end it after the
    images in work; a watch that was killed goes on where it was, by the journal beside the records.

    Example: pyimgano bundle watch parts.zip in/ --done done/ --failed failed/ --output records.jsonl
    """
    import signal

    from pyimgano.core.errors import ConfigError
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.inference.inspecting import Inspector
    from pyimgano.workbench.inference.opening import open_models
    from pyimgano.workbench.inference.secret import read_secret
    from pyimgano.workbench.monitor import DriftSettings
    from pyimgano.workbench.monitor.monitors import DriftMonitors
    from pyimgano.workbench.watch import HotFolder, WatchSettings, Webhook

    if output.suffix.lower() != ".jsonl":
        raise ConfigError("records are appended as JSONL", where="--output", allowed="a file that ends in .jsonl")
    if not output.resolve().parent.is_dir():
        raise ConfigError("there is no such folder", where=str(output.parent), hint="make it first")
    drift_settings = DriftSettings(drift_window, drift_alpha, expected_rejects=expected_rejects)
    settings = WatchSettings(folder, done, failed, output, settle, poll, once, category, drift_log)
    models = open_models(bundle, category=category)
    hook = None
    if webhook is not None:
        secret = read_secret(SECRET, webhook_secret, "--webhook-secret-file")
        if secret is None:
            raise ConfigError(
                "messages are signed, and there is no secret", where="--webhook", hint=f"set {SECRET}, or give a file"
            )
        hook = Webhook(webhook, output, secret=secret, tell=say)
    inspector = Inspector(models, max_pixels=max_pixels, regions=regions)
    inspector.load()
    watched = HotFolder(
        inspector,
        settings,
        tell=say,
        drift=DriftMonitors(models, drift_settings),
        written=None if hook is None else hook.written,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: watched.stop.set())
    say(f"watching {folder}; records: {output}")
    try:
        summary = watched.run()
    finally:
        inspector.close()
        left = 0 if hook is None else hook.close(webhook_wait)
    if left:
        say(f"webhook: {left} bytes of records are not sent yet; the next start sends them")
    review = f"{summary.review} to review, " if summary.review else ""
    say(
        f"{summary.images} images: {summary.good} good, {review}{summary.defective} defective, "
        f"{summary.errors} unscored"
    )
