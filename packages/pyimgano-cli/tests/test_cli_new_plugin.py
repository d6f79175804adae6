"""``plugins new`` writes a whole distribution under a name that works; ``plugins check`` says what to mend."""

from __future__ import annotations

import ast
import json

import pytest

from pyimgano.cli.new_plugin import plugin_files

SPECS = """
from pyimgano.core.specs import DatasetSpec
READERS = [
    DatasetSpec("stranger-empty", "Reads nothing", "stranger_readers:Empty"),
    DatasetSpec("stranger-greedy", "Reads all", "stranger_readers:Greedy"),
]
"""
READERS = """
from pyimgano.core.errors import DatasetError

class Empty:
    def __init__(self, suffix: str = ".png") -> None:
        self.suffix = suffix
    def detect(self, root):
        return None
    def read(self, root, *, categories=None):
        raise DatasetError("reads nothing", where=str(root))

class Greedy(Empty):
    def detect(self, root):
        print("greedy looks around")
        return "looks good"
"""


# -- new -------------------------------------------------------------------------------------------------------------


def test_new_plugin_has_its_name_everywhere_and_the_template_nowhere(cli, tmp_path):
    done = cli("plugins", "new", "bolt-check", "--output", tmp_path)
    folder = tmp_path / "bolt-check"
    assert (done.code, done.out) == (0, f"{folder}\n")
    assert f'pip install -e "{folder}[test]"' in done.err
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert files.keys() == plugin_files("bolt-check").keys()
    assert "src/bolt_check/specs.py" in files
    for name, path in files.items():
        text = path.read_text(encoding="utf-8")
        assert "plugin-template" not in text, name
        assert "plugin_template" not in text, name
        assert b"\r" not in path.read_bytes(), name
        if path.suffix == ".py":
            ast.parse(text)
    assert 'name = "bolt-check"' in files["pyproject.toml"].read_text(encoding="utf-8")


def test_new_plugin_tells_programs_what_it_wrote(cli, tmp_path):
    told = json.loads(cli("plugins", "new", "bolt-check", "-o", tmp_path / "deep" / "er", "--json").out)
    assert told["folder"] == str(tmp_path / "deep" / "er" / "bolt-check")
    assert all((tmp_path / "deep" / "er" / "bolt-check" / name).is_file() for name in told["files"])


def test_folder_that_holds_something_is_left_alone(cli, tmp_path):
    mine = tmp_path / "bolt-check" / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    done = cli("plugins", "new", "bolt-check", "-o", tmp_path)
    assert done.code == 2
    assert "bolt-check: is there already" in done.err
    assert [path.name for path in mine.parent.iterdir()] == ["mine.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["bolt-check"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Bolt Check", "hint: pyimgano plugins new bolt-check"),
        ("bolt_check", "hint: pyimgano plugins new bolt-check"),
        ("2nd", "allowed: lower case words and digits joined by '-'"),
        ("../outside", "hint: pyimgano plugins new outside"),
        ("class", "cannot be the name of a plugin"),
        ("pyimgano-models", "is a package of pyimgano itself"),
        ("doctor", "is a command of pyimgano-cli"),
        ("json", "the module 'json' is installed already"),
    ],
)
def test_name_that_cannot_work_is_refused_with_one_that_can(cli, tmp_path, name, told):
    done = cli("plugins", "new", name, "-o", tmp_path)
    assert done.code == 2
    assert told in done.err
    assert list(tmp_path.iterdir()) == []


# -- check -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def stranger(plug_in):
    modules = {"stranger_specs": SPECS, "stranger_readers": READERS}
    plug_in("stranger", {"pyimgano.datasets": {"x": "stranger_specs:READERS"}}, modules)


def test_broken_rule_gives_status_one_and_is_told_with_how_to_mend_it(cli, stranger):
    done = cli("plugins", "check", "stranger")
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[0] == "stranger 1.0: 13 rules"
    assert "kept         dataset stranger-empty (5 of 5 kept)" in lines
    start = lines.index("BROKEN       dataset stranger-greedy (4 of 5 kept)")
    assert lines[start + 1 : start + 5] == [
        "  check_other_folders_are_not_detected",
        "    rule: ``detect`` returns None for an empty folder, a folder of text, a file, and what does not exist.",
        "    detect takes an empty folder for the layout: 'looks good'",
        "    to mend it: return None unless what lies in the folder has the layout's own names",
    ]
    assert lines[-1] == "12 kept, 1 broken, 0 not checked"
    assert "greedy looks around" in done.err


def test_json_has_one_result_per_rule(cli, stranger):
    done = cli("plugins", "check", "stranger", "--json")
    told = json.loads(done.out)
    assert (done.code, told["ok"]) == (1, False)
    assert told["counts"] == {"ok": 12, "failed": 1, "not-checked": 0}
    (failed,) = (result for result in told["results"] if result["status"] == "failed")
    assert failed.keys() == {"subject", "check", "rule", "status", "message", "remedy"}
    assert failed["subject"] == "dataset stranger-greedy"


def test_only_what_is_named_is_checked(cli, stranger):
    done = cli("plugins", "check", "stranger", "--only", "stranger-empty")
    assert done.code == 0
    assert done.out.splitlines()[0] == "stranger 1.0: 5 rules"
    done = cli("plugins", "check", "stranger", "--only", "stranger-emty")
    assert done.code == 2
    assert "hint: did you mean 'stranger-empty'" in done.err


def test_setting_reaches_what_it_names(cli, stranger):
    given = ("plugins", "check", "stranger", "--only", "stranger-empty", "--set")
    assert cli(*given, "stranger-empty.suffix=.bmp").code == 0
    done = cli(*given, "stranger-empty.sufix=.bmp")
    assert done.code == 1
    assert "did you mean 'sufix' → 'suffix'?" in done.out
    done = cli(*given, "suffix=.bmp")
    assert done.code == 2
    assert "--set: 'suffix=.bmp' is not KEY.PARAMETER=VALUE" in done.err


def test_distribution_that_is_not_there_or_offers_nothing_is_told_apart(cli, stranger, plug_in):
    done = cli("plugins", "check", "strangr")
    assert done.code == 2
    assert "no plugin is called 'strangr'" in done.err
    assert "did you mean 'stranger'?" in done.err
    plug_in("silent")
    done = cli("plugins", "check", "silent")
    assert done.code == 2
    assert "silent is installed, and offers pyimgano nothing" in done.err
    assert '[project.entry-points."pyimgano.models"]' in done.err
