"""Facts about the packages that no single package can check."""

from __future__ import annotations

import ast
import re
import subprocess

import pytest
from packaging.requirements import Requirement as Pip
from packaging.version import Version

from pyimgano.core import plugins

SIBLING = re.compile(r"pyimgano(-[a-z]+)?$")


def requirements(project):
    """Return all requirements of a package as (extra or None, parsed requirement)."""
    table = project["project"]
    pairs = [(None, Pip(text)) for text in table.get("dependencies", [])]
    for extra, texts in table.get("optional-dependencies", {}).items():
        pairs += [(extra, Pip(text)) for text in texts]
    return pairs


def test_all_packages_have_one_version(projects):
    assert len({project["project"]["version"] for project in projects.values()}) == 1


def test_version_is_above_the_public_package_of_the_same_name(projects):
    assert Version(projects["pyimgano"]["project"]["version"]) > Version("0.9.1")


def test_siblings_are_pinned_to_that_version(projects):
    version = projects["pyimgano"]["project"]["version"]
    pins = {
        (name, extra, requirement.name, str(requirement.specifier))
        for name, project in projects.items()
        for extra, requirement in requirements(project)
        if SIBLING.match(requirement.name)
    }
    assert pins
    assert {specifier for *_, specifier in pins} == {f"=={version}"}


def test_siblings_and_their_extras_exist(projects):
    for project in projects.values():
        for _, requirement in requirements(project):
            if SIBLING.match(requirement.name):
                table = projects[requirement.name]["project"].get("optional-dependencies", {})
                assert requirement.extras <= set(table), requirement


def test_no_package_caps_python(projects):
    from pyimgano.core.backends import BACKENDS

    floors = {name: project["project"]["requires-python"] for name, project in projects.items()}
    newer = {backend.distribution: ">={}.{}".format(*backend.python) for backend in BACKENDS}
    assert floors == {name: newer.get(name, ">=3.9") for name in projects}


def test_the_meta_package_asks_for_a_backend_only_where_it_runs(projects):
    from pyimgano.core.backends import BACKENDS

    for backend in BACKENDS:
        pins = [pin for _, pin in requirements(projects["pyimgano"]) if pin.name == backend.distribution]
        assert pins
        for pin in pins:
            for python in ("3.9", "3.10", "3.12"):
                wanted = tuple(map(int, python.split("."))) >= backend.python
                assert (pin.marker is None or pin.marker.evaluate({"python_version": python})) is wanted


def test_every_dependency_of_others_has_a_floor(projects):
    bare = [
        f"{name}: {requirement}"
        for name, project in projects.items()
        for _, requirement in requirements(project)
        if not any(specifier.operator in (">=", "==", "<") for specifier in requirement.specifier)
    ]
    assert bare == []


def test_one_floor_per_dependency(projects):
    floors = {}
    for project in projects.values():
        for _, requirement in requirements(project):
            key = (requirement.name, str(requirement.marker or ""))
            floors.setdefault(key, set()).add(
                tuple(sorted(s.version for s in requirement.specifier if s.operator == ">="))
            )
    differing = {key: found for key, found in floors.items() if len(found) > 1}
    assert differing == {}


def test_meta_package_forwards_every_extra_that_users_choose(projects):
    forwarded = {
        (requirement.name, extra)
        for _, requirement in requirements(projects["pyimgano"])
        for extra in requirement.extras
    }
    # `images` comes with every package that needs it; `testing` is for authors of plugins.
    inner = {("pyimgano-core", "images"), ("pyimgano-core", "testing")}
    offered = {
        (name, extra)
        for name, project in projects.items()
        if name != "pyimgano"
        for extra in project["project"].get("optional-dependencies", {})
    }
    assert offered - inner <= forwarded


def test_meta_extra_all_names_every_other_extra(projects):
    table = projects["pyimgano"]["project"]["optional-dependencies"]
    (everything,) = (Pip(text) for text in table["all"])
    assert everything.extras == set(table) - {"all"}


def test_entry_points_are_those_that_core_knows(projects):
    declared = {
        (group, name, entry, value)
        for name, project in projects.items()
        for group, entries in project["project"].get("entry-points", {}).items()
        for entry, value in entries.items()
    }
    known = {(group, *entry) for group, entries in plugins.FIRST_PARTY.items() for entry in entries}
    assert declared == known


def test_entry_points_lie_in_the_package_that_declares_them(root, projects):
    for path in sorted((root / "packages").glob("*/pyproject.toml")):
        name = path.parent.name
        for entries in projects[name]["project"].get("entry-points", {}).values():
            for value in entries.values():
                module, _, attribute = value.partition(":")
                plain = path.parent / "src" / f"{module.replace('.', '/')}.py"
                source = plain if plain.is_file() else plain.with_suffix("") / "__init__.py"
                assert source.is_file(), value
                tree = ast.parse(source.read_text(encoding="utf-8"))
                assert attribute in set(top_level_names(tree)), f"{source} defines no {attribute}"


def test_scripts_exist(root, projects):
    for name, project in projects.items():
        for value in project["project"].get("scripts", {}).values():
            module, _, attribute = value.partition(":")
            source = root / "packages" / name / "src" / f"{module.replace('.', '/')}.py"
            tree = ast.parse(source.read_text(encoding="utf-8"))
            assert attribute in set(top_level_names(tree)), f"{source} defines no {attribute}"


def top_level_names(tree):
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, (ast.ImportFrom, ast.Import)):
            yield from ((alias.asname or alias.name) for alias in node.names)


def test_the_namespace_has_no_owner(root):
    assert sorted((root / "packages").glob("*/src/pyimgano/__init__.py")) == []
    assert sorted((root / "packages").glob("*/src/pyimgano/py.typed")) == []


def test_every_portion_is_typed_and_has_an_init(root):
    portions = [path for path in (root / "packages").glob("*/src/pyimgano/*") if path.name != "__pycache__"]
    assert portions
    assert [path for path in portions if not (path / "py.typed").is_file()] == []
    assert [path for path in portions if not (path / "__init__.py").is_file()] == []


def test_every_package_has_a_licence_and_a_readme(root, projects):
    text = (root / "LICENSE").read_text(encoding="utf-8")
    for name, project in projects.items():
        folder = root / "packages" / name
        assert (folder / "LICENSE").read_text(encoding="utf-8") == text
        assert (folder / "README.md").read_text(encoding="utf-8").startswith(f"# {name}\n")
        assert project["project"]["license"] == "MIT"


def test_folders_are_named_after_their_distribution(root, projects):
    assert {path.parent.name for path in (root / "packages").glob("*/pyproject.toml")} == set(projects)


def test_every_tool_lists_every_portion(root, settings):
    portions = {f"pyimgano.{path.parent.name}" for path in (root / "packages").glob("*/src/pyimgano/*/py.typed")}
    sources = {path.relative_to(root).as_posix() for path in (root / "packages").glob("*/src")}
    assert set(settings["coverage"]["run"]["source_pkgs"]) == portions
    assert set(settings["importlinter"]["root_packages"]) == portions
    assert set(settings["mypy"]["mypy_path"]) == sources


def test_pip_hints_of_specs_name_extras_that_exist(projects):
    from pyimgano.core import registry

    checked = 0
    for table in (registry.MODELS, registry.RECIPES, registry.DATASETS, registry.COMPONENTS):
        for entry in table.entries():
            for requirement in entry.spec.requires:
                if requirement.distribution not in projects:
                    continue
                extras = projects[requirement.distribution]["project"].get("optional-dependencies", {})
                assert requirement.extra is None or requirement.extra in extras, requirement
                checked += 1
    assert checked


def test_pip_hints_in_sources_and_documents_name_extras_that_exist(root, projects):
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py", "*.md", "*.yml", "*.toml"],
        cwd=root,
        stdout=subprocess.PIPE,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout: the list of documents comes from git")
    hint = re.compile(r"\b(pyimgano(?:-[a-z]+)?)\[([a-z0-9, -]+)\]")
    wrong = []
    for name in filter(None, listing.stdout.decode("utf-8").split("\0")):
        path = root / name
        if not path.is_file():
            continue
        for distribution, extras in hint.findall(path.read_text(encoding="utf-8")):
            if distribution not in projects:
                wrong.append(f"{name}: {distribution}[{extras}]")
                continue
            known = projects[distribution]["project"].get("optional-dependencies", {})
            wrong += [
                f"{name}: {distribution}[{extra.strip()}]" for extra in extras.split(",") if extra.strip() not in known
            ]
    assert wrong == []
