import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(scope="session")
def root():
    return Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def projects(root):
    """Distribution name → parsed ``pyproject.toml`` of every package."""
    loaded = [
        tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted((root / "packages").glob("*/pyproject.toml"))
    ]
    assert loaded
    return {project["project"]["name"]: project for project in loaded}


@pytest.fixture(scope="session")
def settings(root):
    """The tool settings of the root ``pyproject.toml``."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
