"""A process that measures conditions."""

from __future__ import annotations

from typing import Any

from pyimgano.workbench.processes import serve_requests

__all__ = ["main"]


def main() -> None:
    """Serve standard input."""
    serve_requests(_answer)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    from pyimgano.workbench.robust.conditions import Condition
    from pyimgano.workbench.robust.measuring import measure_condition
    from pyimgano.workbench.robust.subject import Subject

    return {"found": measure_condition(Subject.of_request(request["subject"]), Condition(**request["condition"]))}


if __name__ == "__main__":
    main()
