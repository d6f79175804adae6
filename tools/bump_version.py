"""Change the version of every package, and the pins between them, in one go.

``python tools/bump_version.py 1.0.0`` writes, ``python tools/bump_version.py --check`` only looks. The list of
packages is what lies in ``packages/*/pyproject.toml``; needs nothing but the standard library.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = re.compile(r'^(version = ")([^"]+)(")', re.MULTILINE)
NAME = re.compile(r'^name = "([^"]+)"', re.MULTILINE)
# The subset of PEP 440 that the project uses, in its normal form.
ALLOWED = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")


def find_projects(root: Path) -> list[Path]:
    """Return every package's ``pyproject.toml`` under `root`, sorted."""
    projects = sorted((root / "packages").glob("*/pyproject.toml"))
    if not projects:
        raise SystemExit(f"no packages/*/pyproject.toml under {root}")
    return projects


def pins_of(names: list[str]) -> re.Pattern[str]:
    """Return a pattern that matches a requirement on one of `names`: its head, its specifier, its end."""
    alternatives = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(rf'("(?:{alternatives})(?:\[[^\]]*\])?)((?:\s*[=<>~!][^"; ]*)?)(\s*[";])')


def read_names(texts: dict[Path, str]) -> list[str]:
    """Return the distribution names that the files declare."""
    return [match.group(1) for text in texts.values() for match in [NAME.search(text)] if match]


def find_problems(root: Path) -> list[str]:
    """Return what is wrong with the versions under `root`, one line each; empty when all is well."""
    texts = {path: path.read_text(encoding="utf-8") for path in find_projects(root)}
    problems = []
    versions = {}
    for path, text in texts.items():
        found = [match.group(2) for match in VERSION.finditer(text)]
        if len(found) != 1:
            problems.append(f"{path.relative_to(root)}: expected one static version, found {found}")
        else:
            versions[path] = found[0]
    if len(set(versions.values())) > 1:
        listing = ", ".join(f"{path.parent.name} {version}" for path, version in versions.items())
        problems.append(f"versions differ: {listing}")
    pins = pins_of(read_names(texts))
    for path, text in texts.items():
        for line, content in enumerate(text.splitlines(), start=1):
            if content.startswith(("name = ", "requires = ")):
                continue
            for match in pins.finditer(content):
                if match.group(2) != f"=={versions.get(path)}":
                    problems.append(
                        f"{path.relative_to(root)}:{line}: {match.group(1)[1:]}{match.group(2)} "
                        f"is not pinned to =={versions.get(path)}"
                    )
    return problems


def bump(root: Path, version: str) -> list[Path]:
    """Write `version` into every package under `root` and into the pins between them; return the changed files."""
    if not ALLOWED.fullmatch(version):
        raise SystemExit(f"{version!r} is not a version such as 1.2.3, 1.2.3rc1 or 1.2.3.dev0")
    texts = {path: path.read_text(encoding="utf-8") for path in find_projects(root)}
    pins = pins_of(read_names(texts))
    changed = []
    for path, text in texts.items():
        lines = []
        for line in text.splitlines(keepends=True):
            if line.startswith("version = "):
                line = VERSION.sub(rf"\g<1>{version}\g<3>", line)
            elif not line.startswith("name = "):
                line = pins.sub(rf"\g<1>=={version}\g<3>", line)
            lines.append(line)
        new = "".join(lines)
        if new != text:
            path.write_bytes(new.encode("utf-8"))
            changed.append(path)
    return changed


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("version", nargs="?", help="the new version, e.g. 1.0.0")
    parser.add_argument("--check", action="store_true", help="change nothing; fail when versions or pins differ")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    options = parser.parse_args()
    if options.check == bool(options.version):
        parser.error("give either a version or --check")
    if options.version:
        for path in bump(options.root, options.version):
            print(f"changed {path.relative_to(options.root)}")
    problems = find_problems(options.root)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
