"""Where keys stand: the scanners of JSON, TOML and YAML against texts whose places are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyimgano.workbench.config.places import read_config_file


def places(tmp_path: Path, name: str, text: str) -> dict[Any, tuple[int, int]]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_config_file(path)[1]


def test_json_keys_and_elements(tmp_path: Path) -> None:
    text = '{\n  "a": {"b\\"x": [1, {"c": null}], "ä": "}{"},\n\t"d": -1.5e3\n}'
    assert places(tmp_path, "x.json", text) == {
        ("a",): (2, 3),
        ("a", 'b"x'): (2, 9),
        ("a", 'b"x', 0): (2, 18),
        ("a", 'b"x', 1): (2, 21),
        ("a", 'b"x', 1, "c"): (2, 22),
        ("a", "ä"): (2, 35),
        ("d",): (3, 2),
    }


def test_toml_tables_dotted_and_quoted_keys_and_values_that_look_like_keys(tmp_path: Path) -> None:
    text = '''# head = 1
top = """
not.a = "key"
"quotes" at the end"""""
a.b . "c d" = 1 # x = 2
list = [
  "x = 1", # ]
  { k = 'its' },
]
[t.u]
  v = { w = 1, "x.y" = { z = 2 } }
[[many]]
n = 1
[[many]]
n = '\\'
[many.sub]
m = 1979-05-27T07:32:00Z
'''
    found = places(tmp_path, "x.toml", text)
    assert found == {
        ("top",): (2, 1),
        ("a",): (5, 1),
        ("a", "b"): (5, 1),
        ("a", "b", "c d"): (5, 1),
        ("list",): (6, 1),
        ("list", 0): (7, 3),
        ("list", 1): (8, 3),
        ("list", 1, "k"): (8, 5),
        ("t",): (10, 1),
        ("t", "u"): (10, 1),
        ("t", "u", "v"): (11, 3),
        ("t", "u", "v", "w"): (11, 9),
        ("t", "u", "v", "x.y"): (11, 16),
        ("t", "u", "v", "x.y", "z"): (11, 26),
        ("many",): (12, 1),
        ("many", 0): (12, 1),
        ("many", 0, "n"): (13, 1),
        ("many", 1): (14, 1),
        ("many", 1, "n"): (15, 1),
        ("many", 1, "sub"): (16, 1),
        ("many", 1, "sub", "m"): (17, 1),
    }


def test_yaml_by_the_rules_of_1_2(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("a: &x\n  b: 1e-3\n  on: off\nlist:\n  - *x\n  - {k: 0o17}\n", encoding="utf-8")
    data, positions = read_config_file(path)
    assert data == {"a": {"b": 0.001, "on": "off"}, "list": [{"b": 0.001, "on": "off"}, {"k": 15}]}
    assert positions[("a", "on")] == (3, 3)
    assert positions[("list", 1)] == (6, 5)
    assert positions[("list", 1, "k")] == (6, 6)


def test_a_yaml_alias_that_holds_itself_is_refused(tmp_path: Path) -> None:
    from pyimgano.core.errors import ConfigError

    with pytest.raises(ConfigError, match="alias"):
        places(tmp_path, "x.yaml", "a: &x\n  b: *x\n")


def test_an_empty_file_is_an_empty_config(tmp_path: Path) -> None:
    for name, text in (("a.toml", "\n# nothing\n"), ("a.yaml", ""), ("a.json", "{}")):
        path = tmp_path / name
        path.write_text(text)
        assert read_config_file(path) == ({}, {})


KEYS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=6) | st.floats(-9, 9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4), st.sampled_from([None, 1, 3]))
def test_every_key_of_any_json_has_its_place(tmp_path_factory: Any, data: dict[str, Any], indent: Any) -> None:
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    found = places(tmp_path_factory.mktemp("json"), "x.json", text)
    lines = text.split("\n")

    def walk(value: Any, path: tuple[Any, ...]) -> int:
        count = 0
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in items:
            line, column = found[(*path, key)]
            here = lines[line - 1][column - 1 :]
            expected = json.dumps(key, ensure_ascii=False) if isinstance(value, dict) else json.dumps(inner)[:1]
            assert here.startswith(expected)
            count += 1 + walk(inner, (*path, key))
        return count

    assert walk(data, ()) == len(found)
