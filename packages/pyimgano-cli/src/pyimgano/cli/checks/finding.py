"""One thing that a check found, and the run of all checks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional

__all__ = ["OK", "PROBLEM", "WARNING", "Check", "Finding", "run_checks", "setting"]

OK = "ok"
WARNING = "warning"
PROBLEM = "problem"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes
    ----------
    topic : str
        What was looked at, e.g. ``"opencv"``.
    status : {"ok", "warning", "problem"}
        A warning is something that works but may surprise; a problem is something that does not work.
    message : str
        What was found.
    fix : str or None
        The command that mends it.
    """

    topic: str
    status: str
    message: str
    fix: Optional[str] = None

    def to_json(self) -> dict[str, Any]:
        """Return the finding as a JSON-friendly mapping."""
        return dataclasses.asdict(self)


def setting(name: str, value: str) -> str:
    """Return the command that sets an environment variable."""
    return f'setx {name} "{value}"' if os.name == "nt" else f'export {name}="{value}"'


Check = Callable[[], Iterable[Finding]]


def run_checks(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Yield the findings of (topic, check) pairs, each check on its own."""
    for topic, check in checks:
        try:
            yield from check()
        except Exception as error:  # whatever is broken on this machine is what the doctor is asked to tell
            yield Finding(topic, PROBLEM, f"the check failed: {type(error).__name__}: {error}")
