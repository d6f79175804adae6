"""Commands where the locale is not UTF-8: files are UTF-8 all the same, what cannot be named is told. Takes 12 s."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="names are Unicode there, whatever the locale")

# Python itself would turn to UTF-8 for this locale, unless it is told not to, as it does not for other ones.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "pyimgano.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **ASCII}, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr
    done.stdout.decode("ascii")
    done.stderr.decode("ascii")
    return done


def test_a_run_and_its_config_hold_text_that_the_locale_lacks(parts: Path, tmp_path: Path) -> None:
    shutil.copytree(parts, tmp_path / "data")
    config = ["# Prüfung 好", "[dataset]", 'root = "data"', "[model]", 'name = "pixel-gaussian"', ""]
    (tmp_path / "run.toml").write_bytes("\r\n".join(config).encode("utf-8"))
    made = run("train", "--config", "run.toml", "--set", "calibration.alpha=0.6", "--output", "runs", cwd=tmp_path)
    assert made.returncode == 0, made.stderr.decode()
    folder = Path(made.stdout.decode().strip())
    (report,) = folder.glob("categories/Bolt/report.json")
    assert json.loads(report.read_bytes().decode("utf-8"))
    records = [
        json.loads(line) for line in (report.parent / "per_image.jsonl").read_bytes().decode("utf-8").splitlines()
    ]
    assert "Kratzer ü 好" in {record.get("defect") for record in records}
    assert "Kratzer ü 好".encode() in (folder / "report.html").read_bytes()
    shown = run("runs", "show", folder, "--json", cwd=tmp_path)
    assert shown.returncode == 0
    assert json.loads(shown.stdout)


def test_what_the_locale_cannot_name_is_told_with_what_to_do(parts: Path, tmp_path: Path) -> None:
    shutil.copytree(parts, tmp_path / "data")
    manifest = tmp_path / "data" / "manifest.jsonl"
    manifest.write_bytes(manifest.read_bytes().replace(b'"Bolt"', '"Größe"'.encode()))
    arguments = ("train", "--dataset", "data", "--model", "pixel-gaussian", "--set", "calibration.alpha=0.6")
    refused = run(*arguments, cwd=tmp_path)
    assert refused.returncode == 74
    assert b"names are ascii, which has no '\\xf6\\xdf'" in refused.stderr
    assert b"hint: set PYTHONUTF8=1" in refused.stderr
    manifest.unlink()
    (tmp_path / "data" / "00.png").rename(tmp_path / "data" / "größer.png")
    listed = run("datasets", "inspect", "data", cwd=tmp_path)
    assert b"Left out, a name that is not ascii, as the system's locale says that names are (set PYTHONUTF8=1): 1" in (
        listed.stdout + listed.stderr
    )
