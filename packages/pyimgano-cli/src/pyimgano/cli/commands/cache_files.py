"""The files of the cache: listed, checked, removed."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from pyimgano.cli.output import print_json, print_table, say
from pyimgano.core.cache import cache_dir
from pyimgano.core.cache_contents import CachedFile, list_cached, remove_cached, verify_file
from pyimgano.core.errors import ConfigError, UnknownNameError
from pyimgano.core.names import unknown_name_hint
from pyimgano.core.weights import full_name

__all__ = ["choose", "files_called", "human_size", "print_files", "remove", "verify"]


def human_size(size: int) -> str:
    """Return a number of bytes as people read it."""
    if size < 1 << 10:
        return f"{size} B"
    return f"{size / (1 << 10):.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"


def files_called(name: str, files: Sequence[CachedFile]) -> list[CachedFile]:
    """Return the files that a name means: a path in the cache, a file's name, a model."""
    found = [file for file in files if file.called(name)]
    if not found:
        full = full_name(name)
        found = [file for file in files if file.called(full)]
    return found


def unknown_file(name: str, files: Sequence[CachedFile]) -> UnknownNameError:
    """Return the error for a name that means no file."""
    known = {known for file in files for known in (file.name, file.path.name, file.model) if known}
    hint = unknown_name_hint(name, known, listing="pyimgano cache list")
    return UnknownNameError(f"nothing in the cache is called {name!r}", hint=hint)


def print_files(*, as_json: bool = False) -> None:
    """Print what lies in the cache: rows, then the total and the place on stderr; or all of it as JSON."""
    files = list_cached()
    total = sum(file.size for file in files)
    if as_json:
        data = [file.to_json() for file in files]
        print_json({"place": str(cache_dir()), "files": data, "count": len(files), "size": total})
        return
    print_table(("file", "what", "model", "version", "size", "used", "sha256"), [_row(file) for file in files])
    say(f"{_count(files)} in {cache_dir()}")


def _row(file: CachedFile) -> tuple[str, ...]:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.used))
    what = f"{file.kind} (link)" if file.link else file.kind
    stated = (file.sha256 or "")[:12] or file.problem or "-"
    return file.name, what, file.model or "-", file.version or "-", human_size(file.size), used, stated


def _count(files: Sequence[CachedFile]) -> str:
    noun = "file" if len(files) == 1 else "files"
    return f"{len(files)} {noun}, {human_size(sum(file.size for file in files))},"


def verify(names: Sequence[str], *, as_json: bool = False) -> bool:
    """Check files against their sidecars, print what became of each, and tell whether all are sound.

    Leftovers are told of and count as nothing: pyimgano never reads them.
    """
    files = list_cached()
    chosen = _named(names, files)
    checked: list[tuple[CachedFile, str, Any]] = []
    for file in chosen:
        problem = verify_file(file)
        status = "ok" if problem is None else "leftover" if file.kind == "leftover" else "bad"
        checked.append((file, status, problem))
    sound = all(status != "bad" for _, status, _ in checked)
    if as_json:
        rows = [{"name": file.name, "status": status, "problem": problem} for file, status, problem in checked]
        print_json({"ok": sound, "files": rows})
    else:
        print_table(("status", "file", "problem"), [(s, file.name, problem or "-") for file, s, problem in checked])
        bad = [file for file, status, _ in checked if status == "bad"]
        if not chosen:
            say(f"nothing to verify in {cache_dir()}")
        else:
            say(f"{_count(chosen)} {len(bad) or 'none'} of them bad")
        if bad:
            say("remove them: pyimgano cache clear " + " ".join(file.name for file in bad))
    return sound


def _named(names: Sequence[str], files: Sequence[CachedFile]) -> list[CachedFile]:
    if not names:
        return list(files)
    chosen: dict[str, CachedFile] = {}
    for name in names:
        found = files_called(name, files)
        if not found:
            raise unknown_file(name, files)
        chosen.update({file.name: file for file in found})
    return [chosen[name] for name in sorted(chosen)]


def choose(names: Sequence[str], kinds: Collection[str], *, as_json: bool = False) -> list[CachedFile]:
    """Return what is to be removed, after printing it.

    Parameters
    ----------
    names : sequence of str
        Files or models; empty means all.
    kinds : collection of {"weights", "graph", "features", "leftover"}
        Which kinds of them; empty means all, when there are names.
    as_json : bool
        Print a JSON object in place of the table.

    Raises
    ------
    ConfigError
        When neither says what to remove.
    UnknownNameError
        When a name means no file.
    """
    if not names and not kinds:
        raise ConfigError(
            "nothing says what to remove",
            allowed="names, --graphs, --weights, --features, --leftovers, --all",
            hint="see: pyimgano cache list",
        )
    chosen = [file for file in _named(names, list_cached()) if not kinds or file.kind in kinds]
    busy = [] if names else [file for file in chosen if file.busy]
    if busy:
        kept = ", ".join(file.name for file in busy)
        say(f"kept, since a running process may be writing it (name it to remove it): {kept}")
    chosen = [file for file in chosen if file not in busy]
    if as_json:
        print_json({"place": str(cache_dir()), "removed": [file.to_json() for file in chosen]})
    else:
        print_table(("file", "what", "size"), [(file.name, file.kind, human_size(file.size)) for file in chosen])
    say(f"{_count(chosen)} to remove from {cache_dir()}" if chosen else f"nothing to remove from {cache_dir()}")
    return chosen


def remove(files: Sequence[CachedFile]) -> None:
    """Remove files from the cache and say how much that was."""
    for file in files:
        remove_cached(file)
    if files:
        say(f"removed {_count(files).rstrip(',')}")
