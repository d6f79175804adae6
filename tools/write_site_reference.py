"""Write the reference pages of the site from specs, signatures and schemas: ``docs/_made/reference``.

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
from typing import Any

os.environ["PYIMGANO_PLUGINS"] = "none"  # before anything is looked up

from pyimgano.cli.commands.information import information
from pyimgano.cli.commands.listings import REGISTRIES
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
    pages = {**model_pages(), "components": components_page(), "schemas": schemas_page()}
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


def plain(text: str) -> str:
    """Return a text in one line that Markdown shows as it is; what stands in backticks stays code."""
    parts = re.split(r"(`[^`]+`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_\[\]<>$#|~{}`])", r"\\\1", part) for part in parts)


def item(term: str, text: str) -> str:
    """Return an item of a list."""
    return f"- `{term}`" + (f": {text}" if text else "")


if __name__ == "__main__":
    sys.exit(main())
