"""Compare built distributions with ``git ls-files``: nothing missing, nothing extra, nothing that must not ship.

``python tools/check_dist.py dist`` expects one sdist and one wheel of every package; standard library and git only.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]


def tracked_files(package: Path) -> set[str]:
    """Return the files under `package` that git tracks and that exist, relative to it."""
    output = subprocess.run(["git", "ls-files", "-z"], cwd=package, check=True, stdout=subprocess.PIPE).stdout
    names = output.decode("utf-8").split("\0")
    return {name for name in names if name and (package / name).is_file()}


def read_name(package: Path) -> str:
    """Return the distribution name that `package` declares."""
    match = re.search(r'^name = "([^"]+)"', (package / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if match is None:
        raise SystemExit(f"{package}/pyproject.toml declares no name")
    return match.group(1)


def find_one(folder: Path, pattern: str) -> Path:
    """Return the one file in `folder` that matches `pattern`."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"expected one {pattern} in {folder}, found {[path.name for path in found]}")
    return found[0]


def compare(label: str, actual: set[str], expected: set[str]) -> list[str]:
    """Return one line for each file that is missing from or extra in `actual`."""
    missing = [f"{label}: lacks {name}, which git tracks" for name in sorted(expected - actual)]
    return missing + [f"{label}: contains {name}, which git does not track" for name in sorted(actual - expected)]


def check_wheel(path: Path, tracked: set[str]) -> list[str]:
    """Return what is wrong with the wheel at `path`."""
    with zipfile.ZipFile(path) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    code = {name for name in names if ".dist-info/" not in name}
    expected = {name[len("src/") :] for name in tracked if name.startswith("src/")}
    problems = compare(path.name, code, expected)
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        problems.append(f"{path.name}: lacks the licence")
    if "pyimgano/__init__.py" in names:
        problems.append(f"{path.name}: contains pyimgano/__init__.py; the namespace has no owner")
    for name in sorted(code):
        parts = PurePosixPath(name).parts
        if "tests" in parts or parts[-1].startswith("test_") or parts[-1] == "conftest.py":
            problems.append(f"{path.name}: contains the test file {name}")
    for portion in sorted({"/".join(name.split("/")[:2]) for name in code}):
        if f"{portion}/py.typed" not in code:
            problems.append(f"{path.name}: {portion} lacks py.typed")
    return problems


def check_sdist(path: Path, tracked: set[str]) -> list[str]:
    """Return what is wrong with the sdist at `path`."""
    with tarfile.open(path) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    expected = {name for name in tracked if name.startswith("src/")} | {"pyproject.toml", "README.md", "LICENSE"}
    # The build backend adds its metadata, and the .gitignore that it went by.
    return compare(path.name, names - {"PKG-INFO", ".gitignore"}, expected)


def main() -> int:
    """Run the command line."""
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    dist = Path(sys.argv[1])
    problems = []
    count = 0
    for project in sorted((ROOT / "packages").glob("*/pyproject.toml")):
        package = project.parent
        tracked = tracked_files(package)
        stem = re.sub(r"[-_.]+", "_", read_name(package)).lower()
        problems += check_wheel(find_one(dist, f"{stem}-[0-9]*.whl"), tracked)
        problems += check_sdist(find_one(dist, f"{stem}-[0-9]*.tar.gz"), tracked)
        count += 2
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"checked {count} distributions: {len(problems)} problem(s)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
