"""Prepare a release in one go: version and pins, a section of the changelog, one commit, one annotated tag.

``python tools/prepare_release.py 1.0.0`` works on the branch that is checked out and pushes nothing;
``--dry-run`` only shows what the tag would say. Needs git, and packaging, which nox brings.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

from bump_version import ALLOWED, ROOT, VERSION, bump, find_problems, find_projects
from packaging.version import Version

UNRELEASED = "## Unreleased"


def git(root: Path, *arguments: str) -> str:
    """Run git in `root` and return what it prints."""
    done = subprocess.run(["git", *arguments], cwd=root, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(f"git {' '.join(arguments)} failed with exit code {done.returncode}")
    return done.stdout.strip()


def release_notes(changelog: str) -> str:
    """Return what stands under *Unreleased*."""
    _, found, after = changelog.partition(f"\n{UNRELEASED}\n")
    if not found:
        raise SystemExit(f"CHANGELOG.md has no section {UNRELEASED!r}")
    notes = re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0].strip()
    if not re.search(r"^- ", notes, re.MULTILINE):
        raise SystemExit(f"CHANGELOG.md lists no change under {UNRELEASED!r}: there is nothing to release")
    return notes


def refuse(root: Path, version: str) -> None:
    """End the program when `version` cannot be released from the checkout as it is."""
    if not ALLOWED.fullmatch(version) or Version(version).is_devrelease:
        raise SystemExit(f"{version!r} is not a version to release, such as 1.2.3 or 1.2.3rc1")
    problems = find_problems(root)
    if problems:
        raise SystemExit("\n".join(problems))
    current = VERSION.findall(find_projects(root)[0].read_text(encoding="utf-8"))[0][1]
    if Version(version) <= Version(current):
        raise SystemExit(f"{version} does not come after {current}")
    if git(root, "status", "--porcelain"):
        raise SystemExit("there are changes that are not committed: a release is what is committed")
    if git(root, "tag", "--list", f"v{version}"):
        raise SystemExit(f"the tag v{version} is there already")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("version", help="the new version, e.g. 1.0.0")
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    parser.add_argument("--date", default=today, help="day of the release (default: today, %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="change nothing; print what the tag would say")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    options = parser.parse_args()
    root, version = options.root, options.version
    path = root / "CHANGELOG.md"
    text = path.read_text(encoding="utf-8")
    notes = release_notes(text)
    refuse(root, version)
    message = f"pyimgano {version}\n\n{notes}\n"
    if options.dry_run:
        print(message, end="")
        return 0
    bump(root, version)
    section = f"\n{UNRELEASED}\n\n## {version} - {options.date}\n"
    path.write_bytes(text.replace(f"\n{UNRELEASED}\n", section, 1).encode("utf-8"))
    git(root, "commit", "--quiet", "--all", "--message", f"Release {version}")
    # Headings of the changelog begin with what git takes for comments.
    git(root, "tag", "--annotate", "--cleanup=whitespace", "--message", message, f"v{version}")
    print(f"committed and tagged v{version}; next: nox -s release, then git push --follow-tags")
    return 0


if __name__ == "__main__":
    sys.exit(main())
