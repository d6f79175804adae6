"""Where two JSON values differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["Absent", "config_differences", "environment_differences", "json_differences"]


class Absent:
    """Stands for a value that one side lacks."""

    def __repr__(self) -> str:
        return "(absent)"


ABSENT = Absent()

_OWN = ("output.dir", "output.name", "dataset.root")
"""Keys of a config that say where things lie, not what is done."""


def json_differences(a: Any, b: Any, *, tolerance: float = 0.0, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Give ``(place, a, b)`` of every leaf that differs; :data:`ABSENT` where one side has none.

    Parameters
    ----------
    a, b
        Of strict JSON.
    tolerance : float
        Numbers that are not both whole may differ by as much.
    place : str
        What the places start with, e.g. a file's name.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in [*a, *(key for key in b if key not in a)]:
            inner = f"{place}.{key}" if place else str(key)
            yield from json_differences(a.get(key, ABSENT), b.get(key, ABSENT), tolerance=tolerance, place=inner)
    elif isinstance(a, list) and isinstance(b, list):
        for index in range(max(len(a), len(b))):
            left, right = (side[index] if index < len(side) else ABSENT for side in (a, b))
            yield from json_differences(left, right, tolerance=tolerance, place=f"{place}[{index}]")
    elif not _equal(a, b, tolerance):
        yield place, a, b


def _equal(a: Any, b: Any, tolerance: float) -> bool:
    numbers = all(isinstance(side, (int, float)) and not isinstance(side, bool) for side in (a, b))
    if not numbers or (isinstance(a, int) and isinstance(b, int)):
        return type(a) is type(b) and bool(a == b)
    return bool(abs(a - b) <= tolerance)


def config_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return dotted key → [value in a, value in b] of two resolved configs; null where a side has no such key.

    Where runs and datasets lie is left out: the test images' fingerprints tell whether the data are the same.
    """
    found = json_differences(_flat(a), _flat(b))
    return {key: [_plain(left), _plain(right)] for key, left, right in found if key not in _OWN}


def environment_differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what differs of Python, platform, device, threads and package versions: name → [in a, in b]."""
    found: dict[str, list[Any]] = {}
    for key in ("python", "implementation", "platform", "machine", "device", "threads"):
        if a.get(key) != b.get(key):
            found[key] = [a.get(key), b.get(key)]
    packages = (a.get("packages") or {}, b.get("packages") or {})
    for name in sorted({*packages[0], *packages[1]}):
        if packages[0].get(name) != packages[1].get(name):
            found[name] = [packages[0].get(name), packages[1].get(name)]
    return found


def _plain(value: Any) -> Any:
    return None if value is ABSENT else value


def _flat(config: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat.update(_flat(value, f"{start}{key}."))
        else:
            flat[f"{start}{key}"] = value
    return flat
