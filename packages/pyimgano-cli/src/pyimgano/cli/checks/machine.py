"""The machine: Python, threads, memory, disk, cache."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from pyimgano.cli.checks.finding import OK, PROBLEM, WARNING, Finding, setting
from pyimgano.core.cache import cache_dir
from pyimgano.core.cache_contents import list_cached
from pyimgano.core.cores import usable_cores

__all__ = ["available_memory", "check_cache", "check_disk", "check_memory", "check_python", "check_threads"]

GIB = 1 << 30
LOW_MEMORY = 2 * GIB
LOW_DISK = 2 * GIB


def check_python() -> Iterator[Finding]:
    """Tell which Python and platform this is."""
    version = f"{platform.python_implementation()} {platform.python_version()}"
    supported = (3, 9) <= sys.version_info[:2] <= (3, 12)
    message = f"{version} at {sys.executable}" + ("" if supported else "; tested are 3.9 to 3.12")
    fix = None if supported else "python3.12 -m venv .venv    (and install pyimgano there)"
    yield Finding("python", OK if supported else WARNING, message, fix)
    yield Finding("platform", OK, f"{platform.system()} {platform.release()} {platform.machine()}")


def check_threads() -> Iterator[Finding]:
    """Tell how many processors this process may use, and whether more threads than that are asked for."""
    allowed = usable_cores()
    message = f"{allowed} of {os.cpu_count()} processors"
    quota = _cgroup_quota(Path("/sys/fs/cgroup/cpu.max"))
    usable = allowed if quota is None else min(allowed, max(1, round(quota)))
    if quota is not None and quota < allowed:
        message += f", limited to {quota:g} by the container"
    asked = os.environ.get("OMP_NUM_THREADS")
    if asked:
        message += f", OMP_NUM_THREADS={asked}"
    count = int(asked) if asked and asked.isdigit() else allowed
    if count > usable:
        message += ": more threads than processors slow each other down"
        yield Finding("threads", WARNING, message, setting("OMP_NUM_THREADS", str(usable)))
    else:
        yield Finding("threads", OK, message)


def _cgroup_quota(path: Path) -> Optional[float]:
    """Return the number of processors that a Linux container may use, or None where there is no limit."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def available_memory() -> Optional[int]:
    """Return the memory that can be had without swapping, in bytes, or None where the system does not tell."""
    if sys.platform == "win32":
        return _windows_memory()
    if sys.platform == "darwin":
        return _macos_memory()
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                free = int(line.split()[1]) * 1024
                left = _cgroup_memory(Path("/sys/fs/cgroup"))
                return free if left is None else min(free, left)
    except OSError:
        pass
    return None


def _cgroup_memory(folder: Path) -> Optional[int]:
    """Return what a Linux container may still take, in bytes, or None where there is no limit."""
    try:
        limit, taken = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # What was read from files lately is given up when memory is wanted.
        return None if limit == "max" else max(0, int(limit) - int(taken) + int(stat.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None


def _macos_memory() -> Optional[int]:
    try:
        done = subprocess.run(["vm_stat"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_vm_stat(done.stdout)


def parse_vm_stat(text: str) -> Optional[int]:
    """Return the bytes of the pages that are free, inactive or speculative by the output of macOS' ``vm_stat``."""
    size = re.search(r"page size of (\d+) bytes", text)
    pages = re.findall(r"^Pages (?:free|inactive|speculative):\s+(\d+)\.", text, re.M)
    return int(size[1]) * sum(map(int, pages)) if size and pages else None


def _windows_memory() -> Optional[int]:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("total", "available", "t_page", "a_page", "t_virt", "a_virt", "x")
            ),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 (absent in the stubs of other systems)
    return int(status.available) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def check_memory() -> Iterator[Finding]:
    """Tell how much memory is free."""
    available = available_memory()
    if available is None:
        yield Finding("memory", OK, "this system does not say how much is free")
        return
    low = available < LOW_MEMORY
    yield Finding(
        "memory",
        WARNING if low else OK,
        f"{available / GIB:.1f} GiB free" + ("; fitting may need more" if low else ""),
        "pyimgano train --config run.toml --dry-run    (tells how much memory a run takes)" if low else None,
    )


def check_disk() -> Iterator[Finding]:
    """Tell how much space there is on the disks that runs, the cache and temporary files are written to."""
    uses: dict[int, tuple[Path, list[str]]] = {}
    places = {"runs": Path.cwd(), "cache": _existing(cache_dir()), "temporary files": Path(tempfile.gettempdir())}
    for use, place in places.items():
        uses.setdefault(place.stat().st_dev, (place, []))[1].append(use)
    for place, named in uses.values():
        free = shutil.disk_usage(place).free
        low = free < LOW_DISK
        fix = "pyimgano cache clear --graphs --features --leftovers" if "cache" in named else None
        if low and fix is None:
            fix = setting("TMPDIR", "<a folder on another disk>") if "temporary files" in named else "df -h"
        message = f"{free / GIB:.1f} GiB free at {place} ({', '.join(named)})"
        yield Finding("disk", WARNING if low else OK, message, fix if low else None)


def _existing(place: Path) -> Path:
    return next(folder for folder in (place, *place.parents) if folder.exists())


def check_cache() -> Iterator[Finding]:
    """Tell where the cache directory is, how large, and whether it can be written."""
    place = cache_dir()
    existing = _existing(place)
    fix = setting("PYIMGANO_CACHE_DIR", str(Path.home() / "pyimgano-cache"))
    if not existing.is_dir():
        yield Finding("cache", PROBLEM, f"{place}: {existing} is not a folder", fix)
        return
    try:
        with tempfile.TemporaryFile(dir=existing) as stream:
            stream.write(b"pyimgano")
    except OSError as error:
        yield Finding("cache", PROBLEM, f"{place} cannot be written: {error.strerror}", fix)
        return
    if existing != place:
        yield Finding("cache", OK, f"{place}, not made yet")
        return
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    yield Finding("cache", OK, f"{place}, {size / (1 << 20):.1f} MiB")
    left = [file for file in list_cached() if file.kind == "leftover" and not file.busy]
    if left:
        size = sum(file.size for file in left)
        noun = "leftover" if len(left) == 1 else "leftovers"
        message = f"{len(left)} {noun} of killed processes, {size / (1 << 20):.1f} MiB"
        yield Finding("cache", WARNING, message, "pyimgano cache clear --leftovers")
