"""What ``pyimgano plugins check`` asks of a plugin, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Optional

from pyimgano.cli.output import print_json, print_text, say, stdout_reserved
from pyimgano.core.errors import ConfigError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.plugins import GROUPS, entry_points, find_distribution_version
from pyimgano.core.testing import CheckResult, plugin_cases

__all__ = ["check_distribution"]

_WORDS = {"ok": "kept", "failed": "BROKEN", "not-checked": "not checked"}


def check_distribution(distribution: str, *, only: Sequence[str], settings: Sequence[str], as_json: bool) -> bool:
    """Check an installed plugin, print what was found, and say whether it keeps every rule that was checked.

    Parameters
    ----------
    distribution : str
        Its name.
    only : sequence of str
        Keys of specs and names of commands; empty: all.
    settings : sequence of str
        ``KEY.PARAMETER=VALUE``.
    as_json : bool
        Print one JSON object at the end, in place of text.

    Raises
    ------
    UnknownNameError
        When the distribution is not installed, offers nothing, or has nothing called like one of ``only``.
    ConfigError
        When a setting is none.
    """
    with stdout_reserved():
        cases = list(plugin_cases(distribution))
        if not cases:
            raise _offers_nothing(distribution)
        keys = list(dict.fromkeys(key for case in cases for key in [_key(case.subject)] if key is not None))
        _check_only(only, keys, distribution)
        params = _parameters(settings, keys)
        chosen = [case for case in plugin_cases(distribution, params=params) if not only or _key(case.subject) in only]
    version = find_distribution_version(distribution)
    if not as_json:
        print_text(f"{distribution} {version or '(not installed)'}: {len(chosen)} rules")
    results: list[CheckResult] = []
    for subject in dict.fromkeys(case.subject for case in chosen):
        say(f"checking {subject} …")
        with stdout_reserved():
            found = [case.result() for case in chosen if case.subject == subject]
        results += found
        if not as_json:
            _print_subject(subject, found)
    counts = {status: sum(result.status == status for result in results) for status in _WORDS}
    if as_json:
        record: dict[str, Any] = {"distribution": distribution, "version": version, "ok": not counts["failed"]}
        print_json({**record, "counts": counts, "results": [result.to_json() for result in results]})
    else:
        print_text(", ".join(f"{counts[status]} {word.lower()}" for status, word in _WORDS.items()))
    return not counts["failed"]


def _key(subject: str) -> Optional[str]:
    """Return what ``--only`` and ``--set`` call a subject; None of an entry point, which has no such name."""
    noun, _, key = subject.partition(" ")
    return None if noun in GROUPS else key


def _offers_nothing(distribution: str) -> UnknownNameError:
    if find_distribution_version(distribution) is not None:
        return UnknownNameError(
            f"{distribution} is installed, and offers pyimgano nothing",
            allowed="entry points of the groups " + ", ".join(GROUPS),
            hint='add [project.entry-points."pyimgano.models"] to its pyproject.toml and install it again; '
            "PYIMGANO_PLUGINS may leave it out, too",
        )
    known = sorted({entry.distribution for group in GROUPS for entry in entry_points(group)})
    hint = unknown_name_hint(distribution, known, listing="pyimgano plugins list")
    return UnknownNameError(
        f"no plugin is called {distribution!r}", hint=f"{hint}\nto install yours: pip install -e FOLDER"
    )


def _check_only(only: Sequence[str], keys: Sequence[str], distribution: str) -> None:
    for name in only:
        if name not in keys:
            hint = unknown_name_hint(name, keys, listing=f"pyimgano plugins info {distribution}")
            raise UnknownNameError(f"{distribution} offers no {name!r}", where="--only", allowed=keys, hint=hint)


def _parameters(settings: Sequence[str], keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return key → parameters, from ``KEY.PARAMETER=VALUE``, whose value is JSON, or text where it is not."""
    params: dict[str, dict[str, Any]] = {}
    for setting in settings:
        path, separator, text = setting.partition("=")
        key = next((one for one in sorted(keys, key=len, reverse=True) if path.startswith(f"{one}.")), None)
        if not separator or key is None or not path[len(key) + 1 :]:
            raise ConfigError(
                f"{setting!r} is not KEY.PARAMETER=VALUE",
                where="--set",
                allowed=f"one of {', '.join(keys)}, a dot, a parameter, '=', a value",
            )
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        params.setdefault(key, {})[path[len(key) + 1 :]] = value
    return params


def _print_subject(subject: str, results: Sequence[CheckResult]) -> None:
    told = [result for result in results if result.status != "ok"]
    kept = len(results) - len(told)
    worst = next((status for status in ("failed", "not-checked") if any(r.status == status for r in told)), "ok")
    print_text(f"{_WORDS[worst]:<12} {subject} ({kept} of {len(results)} kept)")
    for group in _alike(told):
        first = group[0]
        label = "" if first.status == "failed" else "not checked: "
        print_text(f"  {label}{', '.join(result.check for result in group)}")
        if len(group) == 1:
            print_text(f"    rule: {first.rule}")
        for line in (first.message or "").splitlines():
            print_text(f"    {line}")
        if first.remedy:
            print_text(f"    to mend it: {first.remedy}")


def _alike(results: Iterable[CheckResult]) -> list[list[CheckResult]]:
    """Return the results in groups that have one cause: the same message is told once."""
    groups: dict[tuple[str, Optional[str]], list[CheckResult]] = {}
    for result in results:
        groups.setdefault((result.status, result.message), []).append(result)
    return list(groups.values())
