"""Write the reference pages of the site from specs, signatures, schemas and the app itself: ``docs/_made/reference``.

::

    python tools/write_site_reference.py

`nox -s docs` runs it; the pages are as new as the site, and not committed. Plugins of third parties are left out.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any, Optional

os.environ["PYIMGANO_PLUGINS"] = "none"  # before anything is looked up

from rich.text import Text

from pyimgano.cli.app import build_command
from pyimgano.cli.commands.information import information
from pyimgano.cli.commands.listings import REGISTRIES
from pyimgano.cli.discovery import find_commands
from pyimgano.core.files import dumps_json
from pyimgano.workbench.schemas import SCHEMAS, json_schema

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "_made" / "reference"
MADE = "Made from the installed packages when this site was built.\n"
FAMILIES = {
    "models": ("Models: deep, memory and aligned", ""),
    "models-scikit-learn": ("Models: scikit-learn", "sklearn-"),
    "models-pyod": ("Models: PyOD", "pyod-"),
    "models-anomalib": ("Models: anomalib", "anomalib-"),
}
"""Page → title, and what the names of its models begin with."""


def main() -> int:
    """Run the command line."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = {**model_pages(), "components": components_page(), "schemas": schemas_page(), "commands": commands_page()}
    for name, text in pages.items():
        (FOLDER / f"{name}.md").write_text(text, encoding="utf-8", newline="\n")
    return 0


def model_pages() -> dict[str, str]:
    """Return a page for each family of models."""
    parts: dict[str, list[str]] = {page: [f"# {title}\n", MADE] for page, (title, _) in FAMILIES.items()}
    for entry in REGISTRIES["model"].entries():
        name = entry.spec.key
        page = next((page for page, (_, start) in FAMILIES.items() if start and name.startswith(start)), "models")
        parts[page].append(entry_section("model", name))
    return {page: "\n".join(sections) for page, sections in parts.items()}


def components_page() -> str:
    """Return the page of all components, by kind."""
    kinds: dict[str, list[str]] = {}
    for entry in REGISTRIES["component"].entries():
        kinds.setdefault(entry.spec.kind, []).append(entry.spec.key)
    sections = ["# Components\n", MADE, "`pyimgano components info KIND/NAME` says the same in a terminal.\n"]
    for kind, names in sorted(kinds.items()):
        sections += [f"## {kind}\n", *(entry_section("component", name, level="###") for name in sorted(names))]
    return "\n".join(sections)


def entry_section(noun: str, name: str, *, level: str = "##") -> str:
    """Return what is known of one model or component."""
    data = information(noun, name)
    lines = [f"{level} `{name}`\n", f"{plain(data['summary'])}\n"]
    if data.get("paper"):
        lines.append(f"Paper: {plain(data['paper'])}\n")
    if data["requires"]:
        lines.append(f"Needs: {', '.join('`' + need['pip'] + '`' for need in data['requires'])}\n")
    if data["parameters_see"]:
        lines.append(f"Parameters: those of `{data['parameters_see']}`\n")
    if data["parameters_error"]:
        lines.append(f"The parameters cannot be shown here: {plain(data['parameters_error']['message'])}\n")
    if data["parameters"]:
        for key, value in data["parameters"].items():
            kind = f": {value['annotation']}" if value["annotation"] else ""
            default = "" if value["required"] else f" = {value['default']!r}"
            lines.append(item(f"{key}{kind}{default}", plain(value["description"] or "")))
        lines.append("")
    return "\n".join(lines)


def schemas_page() -> str:
    """Return the page of the files that are read and written, with every key."""
    sections = [
        "# Files and their keys\n",
        MADE,
        "JSON Schema draft 2020-12; `pyimgano schema NAME` prints one.\n",
        "[What they have in common](../../../schemas/README.md).\n",
    ]
    for name, summary in SCHEMAS.items():
        schema = json_schema(name)
        file = f"[{name}.schema.json](../../../schemas/{name}.schema.json)"
        sections += [f"## {name}\n", f"{plain(summary)}. As a file: {file}\n", keys_list(schema)]
        for part, definition in schema.get("$defs", {}).items():
            if "properties" in definition:
                sections += [f"### {part} ({name})\n", keys_list(definition)]
    return "\n".join(sections)


def keys_list(schema: dict[str, Any]) -> str:
    """Return the list of an object's keys."""
    if not schema.get("properties"):
        return f"{plain(schema.get('description', ''))}\n"
    lines = []
    for key, value in schema["properties"].items():
        needed = "" if key in schema.get("required", ()) else ", optional"
        said = " ".join(filter(None, [value.get("description", ""), limits(value)]))
        lines.append(item(f"{key}: {type_of(value)}{needed}", plain(said)))
    return "\n".join([*lines, ""])


def type_of(value: dict[str, Any]) -> str:
    """Return the type of a key in a few words."""
    if "$ref" in value:
        return str(value["$ref"].rpartition("/")[2])
    for word in ("anyOf", "oneOf"):
        if word in value:
            return " or ".join(dict.fromkeys(type_of(part) for part in value[word]))
    kind = value.get("type", "any")
    named = " or ".join(kind) if isinstance(kind, list) else str(kind)
    items = value.get("items")
    return f"{named} of {type_of(items)}" if named == "array" and isinstance(items, dict) else named


def limits(value: dict[str, Any]) -> str:
    """Return what a schema allows."""
    if "const" in value:
        return f"Always {dumps_json(value['const'])}."
    if "enum" in value:
        return "Allowed: " + ", ".join(dumps_json(item) for item in value["enum"]) + "."
    words = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {value[word]:g}" for word, sign in words.items() if word in value]
    return f"Allowed: {' and '.join(found)}." if found else ""


def commands_page() -> str:
    """Return the page of all commands, with what ``--help`` says of them."""
    commands = find_commands()
    sections = ["# Commands\n", MADE, "Conventions, exit codes and environment: [the command line](../../cli.md).\n"]
    for name, entry in commands.owners.items():
        if not entry.third_party:
            sections += command_sections(build_command(entry, name), f"pyimgano {name}")
    return "\n".join(sections)


def command_sections(command: Any, path: str) -> list[str]:
    """Return the section of a command, and those of the commands below it."""
    below = getattr(command, "commands", {})
    sections = [f"## `{path}`\n", help_text(command.help)]
    lines = []
    for parameter in command.params:
        told = help_text(getattr(parameter, "help", None)).strip()
        lines.append(item(parameter_name(parameter) + plain_default(parameter), told))
    if lines:
        sections.append("\n".join([*lines, ""]))
    for name, child in below.items():
        sections += command_sections(child, f"{path} {name}")
    return sections


def parameter_name(parameter: Any) -> str:
    """Return an option with all of its spellings, or an argument's name."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name).upper()
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.metavar or parameter.type.name.upper()}"


def plain_default(parameter: Any) -> str:
    """Return a default that is worth showing."""
    value = parameter.default
    if parameter.required:
        return " (required)"
    shown = isinstance(value, (str, int, float, Path)) and not isinstance(value, bool) and value != ""
    return f" = {value}" if shown else ""


def help_text(text: Optional[str]) -> str:
    """Return a help text without its rich markup; examples, which are lines of their own, as code."""
    paragraphs = []
    for paragraph in (text or "").replace("\b", "").split("\n\n"):
        unmarked = Text.from_markup(" ".join(paragraph.split())).plain
        command = re.fullmatch(r"(?:(?:For example|Examples?): )?(pyimgano \S.*)", unmarked)
        paragraphs.append(f"`{command[1]}`" if command else plain(unmarked))
    return "\n\n".join(paragraphs) + "\n"


def plain(text: str) -> str:
    """Return a text in one line that Markdown shows as it is; what stands in backticks stays code."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_\[\]<>$#|~{}`])", r"\\\1", part) for part in parts)


def item(term: str, text: str) -> str:
    """Return an item of a list."""
    return f"- `{term}`" + (f": {text}" if text else "")


if __name__ == "__main__":
    sys.exit(main())
