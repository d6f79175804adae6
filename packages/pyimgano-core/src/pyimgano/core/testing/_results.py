"""What a check of an installed plugin found: the rule, whether it is kept, and how to mend it where it is not."""

from __future__ import annotations

import inspect
import re
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Optional

from pyimgano.core.errors import MissingDependencyError, WeightsError
from pyimgano.core.testing._remedies import REMEDIES

__all__ = ["BrokenRule", "CheckResult", "NotChecked", "PluginCase", "own_line"]


class NotChecked(Exception):
    """A rule cannot be checked here: something is not installed, or there is nothing to check it with.

    Parameters
    ----------
    message : str
        Why.
    hint : str, optional
        What to type so that it can be.
    """

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BrokenRule(AssertionError):
    """A rule is broken in a way that has a remedy of its own.

    Parameters
    ----------
    message : str
        What is wrong.
    remedy : str
        How to mend it.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


def own_line(text: str, value: str) -> str:
    """Return the last line of a traceback that lies in a stranger's own package, on a line of its own, or ``""``.

    Parameters
    ----------
    text : str
        What holds the traceback.
    value : str
        Import string of something in the package.
    """
    package = re.escape(re.split(r"[.:]", value)[0])
    frames = re.findall(rf'^  (File ".*[/\\]{package}(?:[/\\].*|\.py)", line \d+.*)$', text, re.MULTILINE)
    return f"\n{frames[-1]}" if frames else ""


@dataclass(frozen=True)
class CheckResult:
    """What became of one rule.

    Attributes
    ----------
    subject : str
        What was checked, e.g. ``"model acme-mean-colour"``.
    check : str
        Name of the rule, e.g. ``"check_save_and_load"``.
    rule : str
        The rule in a sentence.
    status : {"ok", "failed", "not-checked"}
        ``"not-checked"`` where something is not installed, or a rule that this one builds on is broken.
    message : str or None
        What is wrong, or why it was not checked.
    remedy : str or None
        How to mend it.
    """

    subject: str
    check: str
    rule: str
    status: str
    message: Optional[str] = None
    remedy: Optional[str] = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as a JSON-friendly mapping."""
        return dict(vars(self))


@dataclass(frozen=True)
class PluginCase:
    """One rule and what it is asked of.

    Attributes
    ----------
    subject, check : str
        See :class:`CheckResult`.
    rule : str
        The rule in a sentence.
    run : callable
        Raises ``AssertionError`` (or anything else) when the rule is broken, :class:`NotChecked` when it cannot tell.
    source : str
        Import string of something in the package that is checked: an unexpected error is told with its line there.
    """

    subject: str
    check: str
    rule: str
    run: Callable[[], None]
    source: str = ""

    @classmethod
    def of(cls, subject: str, check: Callable[..., Any], *arguments: Any) -> PluginCase:
        """Return the case of a check function, whose name and first line of documentation say what the rule is."""
        rule = " ".join((inspect.getdoc(check) or check.__name__).split("\n\n")[0].split())
        return cls(subject, check.__name__, rule, lambda: check(*arguments))

    def result(self) -> CheckResult:
        """Run the check and return what it found; nothing is raised."""
        try:
            self.run()
        except NotChecked as reason:
            return self._result("not-checked", reason.message, reason.hint)
        except (MissingDependencyError, WeightsError) as error:  # of an extra, or to be fetched first
            return self._result("not-checked", _located(error), error.hint)
        except (Exception, SystemExit) as error:  # a stranger's code may raise anything; each rule gets its verdict
            message = str(error)
            if not isinstance(error, AssertionError):
                trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
                message = f"{type(error).__name__}: {message}{own_line(trace, self.source) if self.source else ''}"
            return self._result("failed", message, getattr(error, "remedy", None) or REMEDIES.get(self.check))
        return self._result("ok")

    def _result(self, status: str, message: Optional[str] = None, remedy: Optional[str] = None) -> CheckResult:
        return CheckResult(self.subject, self.check, self.rule, status, message, remedy)


def _located(error: MissingDependencyError | WeightsError) -> str:
    return f"{error.where}: {error.message}" if error.where else error.message
