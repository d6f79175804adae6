"""The plugin that ``pyimgano plugins new`` makes: built, installed into an environment of its own, and used.

Takes 20 s, and 8 s without what is marked ``long``: the kit runs the recipe in processes. The environment is a
fresh one that sees the packages of this one; the plugin alone is installed into it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

NAME = "bolt-check"
OFFERED = {
    "models": "bolt-check-roughness",
    "recipes": "bolt-check-acceptance",
    "datasets": "bolt-check-verdicts",
    "components": "preprocess/bolt-check-highlights",
}


class Environment:
    """A virtual environment, and a plugin that was made, built and unpacked into it."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(symlinks=os.name != "nt").create(folder / "venv")
        scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        self.python = scripts / ("python.exe" if os.name == "nt" else "python")
        self.site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        ours = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        lines = [f"import site; site.addsitedir({path!r})" for path in dict.fromkeys(ours)]
        (self.site / "packages_of_the_tests.pth").write_text("\n".join(lines), encoding="utf-8")
        made = self.pyimgano("plugins", "new", NAME, "-o", folder)
        assert made.returncode == 0, made.stderr
        self.plugin = folder / NAME

    def install(self) -> None:
        build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
        done = self.run("-c", build, self.site.parent, cwd=self.plugin)
        assert done.returncode == 0, done.stderr
        (wheel,) = self.site.parent.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            assert f"{NAME.replace('-', '_')}-0.1.0.dist-info/licenses/LICENSE" in archive.namelist()
            archive.extractall(self.site)
        wheel.unlink()

    def run(self, *arguments, cwd=None):
        return subprocess.run(
            [self.python, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "100", "PYIMGANO_PLUGINS": NAME, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    def pyimgano(self, *arguments):
        done = self.run("-m", "pyimgano.cli", *arguments)
        assert "Traceback" not in done.stderr, done.stderr
        return done


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    environment = Environment(tmp_path_factory.mktemp("made"))
    environment.install()
    return environment


def test_its_own_tests_pass(made):
    # The recipe's contract, which takes two runs in processes of their own, is asked by `plugins check` below.
    done = made.run("-m", "pytest", "-q", "-k", "not check_recipe_run", cwd=made.plugin)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.long
def test_it_keeps_the_whole_contract(made):
    done = made.pyimgano("plugins", "check", NAME, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], told["version"]) == (0, True, "0.1.0")
    assert [result for result in told["results"] if result["status"] != "ok"] == []
    subjects = {result["subject"].partition(" ")[2] for result in told["results"]}
    assert {*OFFERED.values(), NAME} <= subjects
    assert {"check_recipe_run", "check_command", "check_save_and_load"} <= {r["check"] for r in told["results"]}


@pytest.mark.parametrize("noun", OFFERED)
def test_it_shows_in_every_listing(made, noun):
    assert OFFERED[noun] in made.pyimgano(noun, "list", "--names").stdout.split()


def test_it_shows_among_the_plugins_and_in_the_help(made):
    rows = [r for r in json.loads(made.pyimgano("plugins", "list", "--json").stdout) if r["distribution"] == NAME]
    assert {row["group"].partition(".")[2] for row in rows} == {"models", "recipes", "datasets", "components", "cli"}
    assert {row["status"] for row in rows} == {"ok"}
    assert f"{NAME} " in made.pyimgano("--help").stdout
    done = made.pyimgano(NAME, "nowhere")
    assert (done.returncode, done.stdout) == (5, "")
    assert "error: nowhere: is no finished run" in done.stderr


BREAKS = {
    "specs.py": ("import annotations\n", "import annotations\n\nimport numpy\n"),
    "roughness.py": ('float(facts["spread"])', "1.0"),
    "verdict_names.py": ('if "OK" not in verdicts:', "if not root.is_dir():"),
    "highlights.py": ("return np.minimum(", "image[0, 0] += 1\n        return np.minimum("),
    "acceptance.py": ('report["category"]', 'report["part"]'),
    "lots.py": ('"""Count the decisions', 'f"""Count the decisions'),
}
TOLD = {
    ("bolt_check.specs:MODELS", "check_listing_is_light"): (
        "bolt_check.specs imports numpy; listings load it",
        "move the import into the function that needs it",
    ),
    ("bolt-check-roughness", "check_save_and_load"): (
        "the loaded detector scores otherwise",
        "_set_state must put it back",
    ),
    ("bolt-check-verdicts", "check_other_folders_are_not_detected"): (
        "detect takes an empty folder for the layout: '0 names end in _OK or _NG'",
        "return None unless what lies in the folder has the layout's own names",
    ),
    ("preprocess/bolt-check-highlights", "check_preprocessing"): (
        "changes the image that it is given",
        "return (changed copy of the same size and dtype",
    ),
    ("bolt-check-acceptance", "check_recipe_run"): (
        "error: unexpected KeyError: 'part'",
        "write below `run` alone",
    ),
    ("bolt-check", "check_command"): ("it has no docstring, so its help is empty", "the docstring's first line"),
}


@pytest.mark.long
def test_what_is_broken_in_it_is_told_with_how_to_mend_it(tmp_path):
    environment = Environment(tmp_path)
    for name, (old, new) in BREAKS.items():
        file = environment.plugin / "src" / "bolt_check" / name
        text = file.read_text(encoding="utf-8")
        assert old in text, name
        file.write_text(text.replace(old, new), encoding="utf-8")
    environment.install()
    done = environment.pyimgano("plugins", "check", NAME, "--json")
    assert done.returncode == 1
    failed = [result for result in json.loads(done.stdout)["results"] if result["status"] == "failed"]
    found = {(result["subject"].split(" ")[-1], result["check"]): result for result in failed}
    assert found.keys() == TOLD.keys()
    for key, (message, remedy) in TOLD.items():
        assert message in found[key]["message"], key
        assert remedy in found[key]["remedy"], key
    assert "acceptance.py" in found["bolt-check-acceptance", "check_recipe_run"]["message"]  # and the line in it
