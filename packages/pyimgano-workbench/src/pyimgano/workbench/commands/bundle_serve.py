"""``pyimgano bundle serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

__all__ = ["serve"]

KEY = "PYIMGANO_API_KEY"


def serve(
    bundle: Path = typer.Argument(metavar="BUNDLE", help="A bundle, or a complete run."),
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on; put a TLS proxy before any other one."),
    port: int = typer.Option(8000, "--port", metavar="N", min=0, max=65535, help="0 takes one that is free."),
    category: Optional[str] = typer.Option(None, "--category", help="Serve this one only."),
    records: Optional[Path] = typer.Option(
        None,
        "--records",
        metavar="FILE.jsonl",
        help="Write each record there before it is answered; for ids.",
    ),
    queue: int = typer.Option(
        64, "--queue", metavar="N", min=1, help="Requests that may wait; one more is answered with 429."
    ),
    max_bytes: int = typer.Option(
        32 << 20, "--max-bytes", metavar="N", min=1, help="Of a request; more is answered with 413."
    ),
    max_pixels: int = typer.Option(
        2**26, "--max-pixels", metavar="N", min=1, help="Of an image, by its header; else 422."
    ),
    key_file: Optional[Path] = typer.Option(
        None, "--api-key-file", metavar="FILE", help=f"A key that clients must send; or set {KEY}."
    ),
    read_seconds: float = typer.Option(
        30.0, "--read-seconds", metavar="S", min=0.1, help="Seconds that a request's body may take; else 408."
    ),
    stop_seconds: float = typer.Option(
        30.0, "--stop-seconds", metavar="S", min=1.0, help="Seconds for accepted requests when told to stop."
    ),
    drift_window: int = typer.Option(
        200, "--drift-window", metavar="N", min=20, help="Images that are compared at once."
    ),
    drift_alpha: float = typer.Option(
        0.01, "--drift-alpha", metavar="X", help="Probability of a false alarm in a window."
    ),
    expected_rejects: Optional[float] = typer.Option(
        None, "--expected-rejects", metavar="SHARE", help="Share of images that the line usually rejects."
    ),
) -> None:
    """Inspect images over HTTP: POST /v1/inspect, with /healthz, /readyz, /metrics, /v1/drift and /docs.

    It speaks plain HTTP and belongs behind a proxy that does TLS. SIGTERM and Ctrl-C end it when what was accepted is
    answered.

    Example: pyimgano bundle serve parts.zip --port 8000 --records records.jsonl
    """
    import os

    # Before NumPy is loaded. The images of a batch are shared out to threads already; a BLAS with threads of its own
    # makes them wait for each other by spinning, and takes from the clients' connections what it wastes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pyimgano.core.errors import MissingDependencyError
    from pyimgano.workbench.commands.console import say
    from pyimgano.workbench.inference.inspecting import Inspector
    from pyimgano.workbench.inference.opening import open_models
    from pyimgano.workbench.inference.secret import read_secret
    from pyimgano.workbench.monitor import DriftSettings
    from pyimgano.workbench.monitor.monitors import DriftMonitors

    try:
        from pyimgano.workbench.serve.answers import AnswerBook
        from pyimgano.workbench.serve.application import make_application
        from pyimgano.workbench.serve.server import listen
        from pyimgano.workbench.serve.server import serve as run_server
        from pyimgano.workbench.serve.settings import ServeSettings
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("fastapi", "python_multipart", "starlette", "uvicorn"):
            raise
        raise MissingDependencyError(
            f"serving needs {error.name!r}", hint='pip install "pyimgano-workbench[serve]"'
        ) from error

    drift_settings = DriftSettings(drift_window, drift_alpha, expected_rejects=expected_rejects)
    settings = ServeSettings(
        host=host,
        port=port,
        queue=queue,
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        read_seconds=read_seconds,
        stop_seconds=stop_seconds,
        records=records,
        key=read_secret(KEY, key_file, "--api-key-file"),
    )
    models = open_models(bundle, category=category)
    inspector = Inspector(models, max_pixels=max_pixels)
    inspector.load()
    bound = listen(host, port)
    address, number = bound.getsockname()[:2]
    place = f"http://[{address}]:{number}" if ":" in address else f"http://{address}:{number}"
    if settings.key is None and not (address.startswith("127.") or address == "::1"):
        say(f"warning: anybody who reaches {place} can use it: set {KEY}, and put a TLS proxy before it")
    book = None if records is None else AnswerBook(records, tell=say)
    app = make_application(inspector, settings, drift=DriftMonitors(models, drift_settings), book=book)
    run_server(app, settings, bound, started=lambda: say(f"serving {models.model} on {place} (docs: {place}/docs)"))
    say("stopped")
