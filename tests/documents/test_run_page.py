"""The tool that runs pages notices what does not work, and what prints something else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_BASH = sys.platform == "win32" or shutil.which("bash") is None

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="the pages are written for bash"
)


def run(page: str, folder: Path) -> tuple[int, str]:
    path = folder / "page.md"
    path.write_text(page, encoding="utf-8")
    command = [sys.executable, str(ROOT / "tools" / "run_page.py"), str(path), "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.returncode, done.stderr


def console(*lines: str) -> str:
    return "\n".join(["Text.", "", "```console", *lines, "```", ""])


def test_files_programs_and_variables_reach_the_next_fence(tmp_path: Path) -> None:
    page = (
        "<!-- file: sub/run.toml -->\n```toml\nalpha = 0.05\n```\n\n"
        "```python\nopen('said', 'w').write(open('sub/run.toml').read())\n```\n\n"
        + console("$ NAME=said")
        + console("$ cat $NAME", "alpha = 0.05", "$ echo one \\", "    two", "one two")
    )
    assert run(page, tmp_path) == (0, "\n")


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("AUROC 0.957 of 100 cells", "AUROC 0.93 of 98 cells"),
        ("runs/20260101T000000Z_a done", "runs/… done"),
        ("first\\nsecond\\nlast", "…\nlast"),
        ("first\\nlast", "first\n…\nlast"),
        ("a   b", "a b"),
    ],
)
def test_what_reads_the_same_is_the_same(tmp_path: Path, printed: str, shown: str) -> None:
    assert run(console(f"$ printf '{printed}\\n'", *shown.split("\n")), tmp_path)[0] == 0


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("AUROC 0.957", "AUROC 0.85"),
        ("100 cells", "80 cells"),
        ("good", "defective"),
        ("first\\nsecond", "first"),
        ("first", "first\nsecond"),
        ("first\\nlast", "last\n…"),
    ],
)
def test_what_reads_otherwise_is_told_with_its_line(tmp_path: Path, printed: str, shown: str) -> None:
    code, said = run(console(f"$ printf '{printed}\\n'", *shown.split("\n")), tmp_path)
    assert code == 1
    assert "page.md:4" in said
    assert "and the page shows" in said


def test_a_command_or_program_that_fails_ends_the_page(tmp_path: Path) -> None:
    code, said = run(console("$ false", "$ touch never"), tmp_path)
    assert (code, "page.md:4: false\nfailed" in said) == (1, True)
    code, said = run("```python\nraise SystemExit('out of cells')\n```\n", tmp_path)
    assert (code, "out of cells" in said) == (1, True)
    assert not (tmp_path / "never").exists()


def test_a_page_on_which_nothing_is_run_is_no_success(tmp_path: Path) -> None:
    page = "<!-- not run: downloads -->\n" + console("$ false").partition("\n\n")[2]
    assert run(page, tmp_path)[0] == 1
