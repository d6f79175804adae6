"""The scripts that prepare a release and read its bill of materials. Takes 5 s."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHANGELOG = "# Changelog\n\n## Unreleased\n\n### Added\n\n- A thing.\n\n## 0.9.0 - 2020-01-01\n\n- An older thing.\n"
WHO = {
    f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in (("NAME", "A"), ("EMAIL", "a@b"))
}


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, env={**os.environ, **WHO}, capture_output=True, encoding="utf-8", check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A repository with this one's packages at version 1.0.0rc1, and a changelog."""
    if shutil.which("git") is None:
        pytest.skip("a release is made with git, which is not installed")
    for path in (root / "packages").glob("*/pyproject.toml"):
        target = tmp_path / "packages" / path.parent.name / "pyproject.toml"
        target.parent.mkdir(parents=True)
        shutil.copyfile(path, target)
    bump = [sys.executable, str(root / "tools" / "bump_version.py"), "1.0.0rc1", "--root", str(tmp_path)]
    subprocess.run(bump, check=True, capture_output=True)
    (tmp_path / "CHANGELOG.md").write_bytes(CHANGELOG.encode())
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "Begin")
    return tmp_path


def prepare(root: Path, checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    tool = [sys.executable, str(root / "tools" / "prepare_release.py"), "--root", str(checkout), *arguments]
    return subprocess.run(tool, env={**os.environ, **WHO}, capture_output=True, encoding="utf-8", check=False)


def test_a_release_is_one_commit_with_versions_and_changelog_and_a_tag_with_the_notes(
    root: Path, checkout: Path
) -> None:
    done = prepare(root, checkout, "1.0.0", "--date", "2030-01-02")
    assert done.returncode == 0, done.stderr
    assert git(checkout, "log", "--format=%s").splitlines() == ["Release 1.0.0", "Begin"]
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "cat-file", "-t", "v1.0.0") == "tag"
    assert git(checkout, "rev-parse", "v1.0.0^{commit}") == git(checkout, "rev-parse", "HEAD")
    assert git(checkout, "tag", "-l", "--format=%(contents)", "v1.0.0") == "pyimgano 1.0.0\n\n### Added\n\n- A thing."
    changelog = (checkout / "CHANGELOG.md").read_bytes().decode()
    assert changelog == CHANGELOG.replace("## Unreleased\n", "## Unreleased\n\n## 1.0.0 - 2030-01-02\n")
    check = [sys.executable, str(root / "tools" / "bump_version.py"), "--check", "--root", str(checkout)]
    assert subprocess.run(check, check=False).returncode == 0
    assert '"pyimgano-core==1.0.0"' in (checkout / "packages" / "pyimgano" / "pyproject.toml").read_text("utf-8")


def test_a_dry_run_changes_nothing(root: Path, checkout: Path) -> None:
    done = prepare(root, checkout, "1.0.0", "--dry-run")
    assert (done.returncode, done.stdout) == (0, "pyimgano 1.0.0\n\n### Added\n\n- A thing.\n")
    assert git(checkout, "tag") == git(checkout, "status", "--porcelain") == ""


def test_versions_that_are_none_to_release_are_refused(root: Path, checkout: Path) -> None:
    for version, said in (
        ("1.0.0rc1", "1.0.0rc1 does not come after 1.0.0rc1"),
        ("1.0.0b2", "1.0.0b2 does not come after 1.0.0rc1"),
        ("1.1.0.dev0", "'1.1.0.dev0' is not a version to release"),
        ("v1.1.0", "'v1.1.0' is not a version to release"),
    ):
        done = prepare(root, checkout, version)
        assert done.returncode == 1
        assert said in done.stderr
    assert git(checkout, "tag") == git(checkout, "status", "--porcelain") == ""


def test_what_is_not_committed_or_lists_no_change_is_refused(root: Path, checkout: Path) -> None:
    (checkout / "note.txt").write_bytes(b"")
    assert "not committed" in prepare(root, checkout, "1.0.0").stderr
    (checkout / "note.txt").unlink()
    (checkout / "CHANGELOG.md").write_bytes(CHANGELOG.replace("- A thing.\n", "").encode())
    assert "there is nothing to release" in prepare(root, checkout, "1.0.0").stderr
    (checkout / "CHANGELOG.md").write_bytes(CHANGELOG.encode())
    git(checkout, "tag", "v1.0.0")
    assert "the tag v1.0.0 is there already" in prepare(root, checkout, "1.0.0").stderr


@pytest.fixture(scope="module")
def licences(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("list_licences", root / "tools" / "list_licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "licence",
    [
        "AGPL-3.0-only",
        "GNU Affero General Public License v3",
        "GPL-3.0-or-later",
        "GNU General Public License v2 (GPLv2)",
        "CC-BY-NC-SA-4.0 AND Apache-2.0",
        "Free for non-commercial use",
        "SSPL-1.0",
        "MIT AND AGPL-3.0",
        "MIT; GPL-2.0-only",
        "AGPL-3.0 OR GPL-3.0",
    ],
)
def test_licences_that_users_could_not_live_with_are_refused(licences: Any, licence: str) -> None:
    assert licences.is_refused(licence)


@pytest.mark.parametrize(
    "licence",
    [
        "MIT",
        "Apache-2.0 WITH LLVM-exception",
        "LGPL-2.1-or-later",
        "GNU Lesser General Public License v3 (LGPLv3)",
        "BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1",
        "Artistic-1.0 OR GPL-2.0-only",
        "MPL-2.0 AND MIT",
        "BSL-1.0",
        "LicenseRef-NVIDIA-Proprietary",
    ],
)
def test_licences_that_stay_with_their_own_files_are_taken(licences: Any, licence: str) -> None:
    assert not licences.is_refused(licence)


def test_a_package_without_a_licence_fails_and_is_named(root: Path, tmp_path: Path) -> None:
    bom = {
        "components": [
            {"name": "fine", "version": "1", "licenses": [{"license": {"id": "MIT"}}]},
            {
                "name": "classified",
                "version": "2",
                "licenses": [{"license": {"name": "License :: BSD"}}],
            },
            {
                "name": "free-text",
                "version": "3",
                "licenses": [
                    {
                        "license": {
                            "name": "declared license of 'free-text'",
                            "text": {"content": "Apache 2.0\n…"},
                        }
                    }
                ],
            },
            {
                "name": "silent",
                "version": "4",
                "licenses": [{"license": {"name": "declared license of 'silent'", "text": {"content": "UNKNOWN"}}}],
            },
        ]
    }
    (tmp_path / "bom.json").write_text(json.dumps(bom), encoding="utf-8")
    tool = [sys.executable, str(root / "tools" / "list_licences.py"), str(tmp_path / "bom.json")]
    done = subprocess.run(
        [*tool, "--output", str(tmp_path / "table.md")], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (1, "silent 4: names no licence\n")
    table = (tmp_path / "table.md").read_text(encoding="utf-8").splitlines()
    assert table[-4:] == [
        "| classified | 2 | BSD |",
        "| fine | 1 | MIT |",
        "| free-text | 3 | Apache 2.0 |",
        "| silent | 4 |  |",
    ]
