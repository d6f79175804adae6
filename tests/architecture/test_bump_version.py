"""The script that changes all versions at once."""

import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def checkout(root, tmp_path):
    for path in (root / "packages").glob("*/pyproject.toml"):
        target = tmp_path / "packages" / path.parent.name / "pyproject.toml"
        target.parent.mkdir(parents=True)
        shutil.copyfile(path, target)
    return tmp_path


@pytest.fixture
def bump(root):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, str(root / "tools" / "bump_version.py"), *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    return run


def test_the_checkout_is_in_lockstep(bump):
    done = bump("--check")
    assert (done.returncode, done.stderr) == (0, "")


def test_bump_changes_every_version_and_pin_and_nothing_else(bump, checkout, projects):
    old = projects["pyimgano"]["project"]["version"]
    before = {path: path.read_bytes() for path in checkout.glob("packages/*/pyproject.toml")}
    done = bump("7.8.9rc1", "--root", checkout)
    assert done.returncode == 0, done.stderr
    for path, text in before.items():
        assert path.read_bytes() == text.replace(old.encode(), b"7.8.9rc1")
        assert path.read_bytes() != text
    assert bump("--check", "--root", checkout).returncode == 0


def test_bump_repairs_a_missing_pin(bump, checkout):
    path = checkout / "packages" / "pyimgano-cli" / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    start = text.index('"pyimgano-core==')
    end = text.index('"', start + 1)
    path.write_text(text[:start] + '"pyimgano-core' + text[end:], encoding="utf-8")
    done = bump("--check", "--root", checkout)
    assert done.returncode == 1
    assert "pyimgano-core is not pinned to ==" in done.stderr
    assert bump("2.0.0", "--root", checkout).returncode == 0
    assert '"pyimgano-core==2.0.0"' in path.read_text(encoding="utf-8")


def test_check_names_versions_that_differ(bump, checkout):
    path = checkout / "packages" / "pyimgano-cli" / "pyproject.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = ['version = "6.6.6"' if line.startswith("version = ") else line for line in lines]
    path.write_text("\n".join(lines), encoding="utf-8")
    done = bump("--check", "--root", checkout)
    assert done.returncode == 1
    assert "versions differ: " in done.stderr
    assert "pyimgano-cli 6.6.6" in done.stderr


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0-dev", "one"])
def test_odd_versions_are_refused(bump, checkout, version):
    done = bump(version, "--root", checkout)
    assert done.returncode == 1
    assert f"{version!r} is not a version such as" in done.stderr
    assert bump("--check", "--root", checkout).returncode == 0
