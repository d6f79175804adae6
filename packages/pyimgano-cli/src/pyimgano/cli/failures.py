"""From an exception to what the user reads and the status that the process ends with.

====  ===========================================================================
code  meaning
====  ===========================================================================
0     done
1     the work itself failed; ``doctor`` found a problem
2     an option, argument or config is not valid
3     something is missing: a distribution, a plugin, weights
4     the data cannot be used: dataset, image, calibration
5     a run directory or checkpoint cannot be used
70    a bug: an exception that nobody expected
71    out of memory
74    reading or writing failed: disk full, no permission
130   interrupted (Ctrl-C)
141   the reader of stdout went away (``| head``)
====  ===========================================================================
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Optional

from pyimgano.cli.output import print_error, print_message, say
from pyimgano.core.errors import PyimganoError
from pyimgano.core.names import unknown_name_hint

__all__ = ["BROKEN_PIPE", "INTERRUPTED", "IO_FAILED", "NO_MEMORY", "UNEXPECTED", "USAGE", "report", "silence_stdout"]

USAGE = 2
UNEXPECTED = 70
NO_MEMORY = 71
IO_FAILED = 74
INTERRUPTED = 130
BROKEN_PIPE = 141


def report(error: BaseException, *, debug: bool) -> int:
    """Tell the user about an exception, and return the exit status; with ``debug`` the traceback comes first."""
    if isinstance(error, BrokenPipeError):
        silence_stdout()
        return BROKEN_PIPE
    if isinstance(error, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    if debug:
        import traceback

        traceback.print_exception(type(error), error, error.__traceback__)
    if isinstance(error, PyimganoError):
        print_error(error)
        return error.exit_code
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch has its own
        hint = "use smaller images, a smaller batch or a smaller coreset; `pyimgano doctor` shows the free memory"
        print_message("error", "out of memory", hint=hint)
        return NO_MEMORY
    if isinstance(error, OSError) and error.strerror:
        return _report_os_error(error)
    if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding() != "utf-8":
        name = error.object[error.start : error.end]
        print_message(
            "error",
            f"cannot name a file: the system's locale says that names are {error.encoding}, which has no {name!r}",
            hint="set PYTHONUTF8=1, or a locale such as LC_ALL=C.UTF-8, and run it again",
        )
        return IO_FAILED
    usage = _usage_message(error)
    if usage is not None:
        return usage
    text = str(error).strip().splitlines()
    what = f"unexpected {type(error).__name__}" + (f": {text[0]}" if text else "")
    print_message("error", what, hint=None if debug else "run it again with --debug for the traceback; this is a bug")
    return UNEXPECTED


def _report_os_error(error: OSError) -> int:
    hint = None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space, or choose another disk; `pyimgano doctor` shows the free space"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = "choose a folder that is readable and writable"
    where = error.filename if error.filename is None or isinstance(error.filename, int) else os.fsdecode(error.filename)
    print_message("error", str(error.strerror), where=None if where is None else str(where), hint=hint)
    silence_stdout_if_broken()
    return IO_FAILED


def _usage_message(error: BaseException) -> Optional[int]:
    """Print a typer usage error, told by its form: where typer keeps click's classes differs between releases."""
    format_message = getattr(error, "format_message", None)
    code = getattr(error, "exit_code", None)
    if format_message is None or not isinstance(code, int):
        return None
    message = str(format_message()).strip()
    if (
        type(error).__name__ == "NoArgsIsHelpError"
    ):  # the help was asked for by saying nothing; it may be printed already
        if message:
            say(message)
        return code
    context = getattr(error, "ctx", None)
    hint = f"see: {context.command_path} --help" if context is not None else None
    if type(error).__name__ == "NoSuchOption" and context is not None:
        option = str(getattr(error, "option_name", ""))
        known = [
            name for parameter in context.command.get_params(context) for name in parameter.opts if name[:1] == "-"
        ]
        message, hint = (
            f"no such option {option!r}",
            unknown_name_hint(option, known, listing=f"{context.command_path} --help"),
        )
    print_message("error", message[:1].lower() + message[1:].rstrip("."), hint=hint)
    return code


def silence_stdout() -> None:
    """Send what is left in stdout's buffer to nowhere, so that the interpreter's last flush cannot fail."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def silence_stdout_if_broken() -> None:
    """Silence stdout when it was what could not be written, e.g. a redirection to a full disk."""
    try:
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        silence_stdout()
