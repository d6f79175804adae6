"""All that is known of one model, recipe or component."""

from __future__ import annotations

import re
from typing import Any, Optional

from pyimgano.cli.commands.listings import REGISTRIES
from pyimgano.cli.commands.presets import preset_details, print_presets
from pyimgano.cli.output import print_json, print_text, stdout_reserved
from pyimgano.core.errors import PyimganoError
from pyimgano.core.parameters import describe_parameters
from pyimgano.core.plugins import find_distribution_version

__all__ = ["information", "print_information"]


def information(noun: str, name: str) -> dict[str, Any]:
    """Return an entry's spec with its ``parameters``.

    The factory is resolved for its parameters alone. When that fails, e.g. because a requirement is not installed,
    ``parameters`` is None, ``parameters_error`` says why, and the rest stands. A recipe that can be resolved has
    ``preset_details``, what each of its presets does, in their order.

    Raises
    ------
    UnknownNameError
        When nothing has that name.
    """
    registry = REGISTRIES[noun]
    with stdout_reserved():
        entry = registry.get(name)
        data = entry.to_json()
        data["version"] = find_distribution_version(entry.distribution)
        data["parameters_see"] = data.pop("parameters")
        data["parameters"] = None
        data["parameters_error"] = None
        try:
            factory = registry.load(name)
            data["parameters"] = _parameters(factory)
            if data.get("presets"):
                data["preset_details"] = preset_details(factory, data["presets"])
        except PyimganoError as error:
            data["parameters_error"] = error.to_json()
    return data


def _parameters(factory: Any) -> Optional[dict[str, dict[str, Any]]]:
    if not callable(factory):  # an instance: it has been made, nothing is left to choose
        return None
    explained = _explanations(factory)
    described = describe_parameters(factory)
    return {key: {**value, "description": explained.get(key)} for key, value in described.items()}


def _explanations(factory: Any) -> dict[str, str]:
    """Return what the section "Parameters" of a numpydoc docstring says of each parameter."""
    import inspect

    text = inspect.getdoc(factory) or ""
    section = re.search(r"^Parameters\n-{3,}\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", text, re.MULTILINE | re.DOTALL)
    if section is None:
        return {}
    explained = {}
    for names, body in re.findall(r"^(\w[\w, *]*?)(?: : [^\n]*)?\n((?:[ \t]+[^\n]*\n?|\n)*)", section[1] + "\n", re.M):
        for name in names.split(","):
            explained[name.strip(" *")] = _plain(body)
    return explained


def _plain(text: str) -> str:
    """Return a docstring's text in one line, without the marks that only Sphinx reads."""
    text = re.sub(r":[\w:]+:`~?([^`]+)`", r"\1", " ".join(text.split()))
    return text.replace("``", "")


def print_information(noun: str, name: str, *, as_json: bool = False) -> None:
    """Print :func:`information` for people, or as JSON."""
    data = information(noun, name)
    if as_json:
        print_json(data)
        return
    print_text(data["key"])
    print_text(data["summary"])
    print_text()
    facts = {
        "distribution": f"{data['distribution']} {data['version'] or ''}".strip(),
        "capabilities": ", ".join(_capabilities(data)),
        "presets": ", ".join(data.get("presets") or ()),
        "tags": ", ".join(data["tags"]),
        "layout": data.get("layout"),
        "paper": data["paper"],
    }
    for title, value in facts.items():
        if value:
            print_text(f"{title + ':':<14}{value}")
    for requirement in data["requires"]:
        state = "not installed: " + requirement["pip"] if requirement["pip"] in data["missing"] else "installed"
        print_text(f"{'needs:':<14}{requirement['module']} ({state})")
    if data.get("preset_details"):
        print_text()
        print_presets(data["preset_details"])
    print_text()
    _print_parameters(data)


def _capabilities(data: dict[str, Any]) -> list[str]:
    named = {"pixel_map": "anomaly maps", "finetune": "fine-tuning", "checkpoint": "save and load"}
    capabilities = [text for key, text in named.items() if data.get(key)]
    return capabilities + [f"export to {runtime}" for runtime in data.get("export") or ()]


def _print_parameters(data: dict[str, Any]) -> None:
    if data["parameters_error"]:
        error = data["parameters_error"]
        hint = f" ({error['hint']})" if error["hint"] else ""
        print_text(f"The parameters cannot be shown: {error['message']}{hint}")
    elif data["parameters"]:
        print_text("Parameters:")
        for key, value in data["parameters"].items():
            kind = f": {value['annotation']}" if value["annotation"] else ""
            default = " (required)" if value["required"] else f" = {value['default']!r}"
            print_text(f"  {key}{kind}{default}")
            if value["description"]:
                print_text(f"      {value['description']}")
    elif data["parameters"] is not None and not data["parameters_see"]:
        print_text("It has no parameters.")
    if data["parameters_see"]:
        title = "On its parameters" if data["parameters"] else "Parameters"
        print_text(f"{title}: {data['parameters_see']}")
