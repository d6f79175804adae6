"""Do what a page of the documents tells its reader to do, and compare what is printed with what the page shows.

::

    python tools/run_page.py docs/tutorial.md --folder /tmp/empty

A fence of ``console`` holds commands behind ``$ `` (a line that ends in a backslash goes on) and what they print;
one of ``python`` is a program; one below ``<!-- file: NAME -->`` is a file. ``<!-- not run: REASON -->`` above a fence
leaves it out. Fences of other languages are text.

A line of ``…`` alone stands for any lines, ``…`` within a line for anything in it. Other versions of the libraries
round otherwise, so numbers may differ by a tenth of themselves, by 2 where they are whole and by 0.05 where not.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

Row = Optional[tuple[re.Pattern[str], list[float]]]
"""A line that is shown: its pattern, and the numbers in it; None for any lines."""
FENCE = re.compile(
    r"(?:<!-- (?P<word>file|not run): (?P<said>[^\n]+?) -->\n+)?"
    r"^```(?P<language>[\w-]+)\n(?P<text>.*?)^```$",
    re.S | re.M,
)


@dataclass
class Step:
    """One thing to do: a command line, a program or a file, and what a command prints (None: nothing is shown)."""

    kind: str
    line: int
    text: str
    output: Optional[str] = None
    name: str = ""


@dataclass
class Page:
    """The steps of a page, and the fences that are left out, with the reasons."""

    steps: list[Step]
    left_out: list[tuple[str, str]]


def read_page(path: Path) -> Page:
    """Return what the page at ``path`` tells to do."""
    source = path.read_text(encoding="utf-8")
    page = Page([], [])
    for fence in FENCE.finditer(source):
        line = source.count("\n", 0, fence.start("text")) + 1
        text, language = fence["text"], fence["language"]
        if fence["word"] == "not run":
            page.left_out.append((text, fence["said"]))
        elif fence["word"] == "file":
            page.steps.append(Step("file", line, text, name=fence["said"]))
        elif language == "console":
            page.steps += _commands(text, line)
        elif language in ("python", "bash", "sh"):
            page.steps.append(Step(language, line, text))
    return page


def _commands(text: str, line: int) -> list[Step]:
    steps: list[Step] = []
    goes_on = False
    for offset, row in enumerate(text.splitlines()):
        if goes_on:
            steps[-1].text += "\n" + row
        elif row.startswith("$ "):
            steps.append(Step("console", line + offset, row[2:]))
        else:
            assert steps, f"line {line + offset}: output without a command"
            steps[-1].output = (steps[-1].output or "") + row + "\n"
        goes_on = row.endswith("\\") and (goes_on or row.startswith("$ "))
    return steps


MARK = "\x1e"
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?")


def printed_as_shown(shown: str, printed: str) -> bool:
    """Return whether what was ``printed`` reads as the page shows it."""
    rows = [_pattern(row) for row in shown.splitlines()]
    return _lines(rows, [" ".join(row.split()) for row in printed.splitlines()])


def _pattern(row: str) -> Row:
    row = " ".join(row.split())
    if row == "…":
        return None
    parts, numbers, at = [], [], 0
    for number in NUMBER.finditer(row):
        parts += [_text(row[at : number.start()]), rf"({NUMBER.pattern})"]
        numbers.append(_number(number[0]))
        at = number.end()
    return re.compile("".join([*parts, _text(row[at:])])), numbers


def _text(text: str) -> str:
    return ".*?".join(re.escape(part) for part in text.split("…"))


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _lines(rows: list[Row], printed: list[str]) -> bool:
    if not rows:
        return not printed
    if rows[0] is None:
        return any(_lines(rows[1:], printed[skipped:]) for skipped in range(len(printed) + 1))
    return bool(printed) and _line(rows[0], printed[0]) and _lines(rows[1:], printed[1:])


def _line(row: Row, printed: str) -> bool:
    assert row is not None
    pattern, expected = row
    found = pattern.fullmatch(printed)
    if found is None:
        return False
    for want, text in zip(expected, found.groups()):
        slack = max(0.1 * abs(want), 0.05 if "." in text else 2.0)
        if abs(_number(text) - want) > slack:
            return False
    return True


def script(steps: list[Step]) -> str:
    """Return one program for the whole page, so that what one fence sets the next one has."""
    lines = ["exec 2>&1"]
    for number, step in enumerate(steps):
        lines.append(f"printf '{MARK}%d\\n' {number}")
        if step.kind == "file":
            lines.append(f"mkdir -p \"$(dirname '{step.name}')\" && cat > '{step.name}' <<'END-OF-FILE'")
            lines += [step.text.rstrip("\n"), "END-OF-FILE"]
        elif step.kind == "python":
            lines += ["python - <<'END-OF-PROGRAM' || exit 1", step.text.rstrip("\n"), "END-OF-PROGRAM"]
        else:
            lines.append(f"{{ {step.text}\n}} || exit 1")
    return "\n".join([*lines, f"printf '{MARK}done\\n'", ""])


def run_page(path: Path, folder: Path) -> list[str]:
    """Do all steps of the page in ``folder``; return what did not work, or printed something else."""
    steps = read_page(path).steps
    if not steps:
        return [f"{path}: nothing on the page is run"]
    # Third-party plugins are no part of what a reader has installed.
    env = {**os.environ, "PYIMGANO_PLUGINS": "none", "COLUMNS": "120", "PYTHONIOENCODING": "utf-8"}
    env["PATH"] = os.pathsep.join([os.fspath(Path(sys.executable).parent), env["PATH"]])
    ran = subprocess.run(["bash", "-c", script(steps)], cwd=folder, env=env, stdout=subprocess.PIPE, check=False)
    outputs = [part.partition("\n")[2] for part in ran.stdout.decode("utf-8", errors="replace").split(MARK)[1:]]
    wrong = []
    for step, printed in zip(steps, outputs[:-1]):  # what comes last is the step that failed, or the end
        if step.output is not None and not printed_as_shown(step.output, printed):
            wrong.append(f"{path}:{step.line}: {step.text}\nprints\n{printed}\nand the page shows\n{step.output}")
    if ran.returncode:
        step = steps[len(outputs) - 1]
        wrong.append(f"{path}:{step.line}: {step.text}\nfailed\n{outputs[-1]}")
    return wrong


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--folder", type=Path, help="where to do it, e.g. beside the data of tools/guide_data.py")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as elsewhere:
        wrong = run_page(options.page, options.folder or Path(elsewhere))
    print("\n\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
