"""Measuring in separate processes: wall time, peak memory, alternating repeats, medians.

Parent and child speak JSON through a file, so that neither side's own output disturbs the other. The parent
imports nothing heavy: what it holds would count against a child that is started from it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parent.parent
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class ChildError(RuntimeError):
    """A measured process failed; the message ends with what it wrote to its error stream."""


def child_environment(threads: int, extra: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a measured process.

    The same for both sides: the number of threads is fixed, no model hub is asked, byte code may be cached.

    Parameters
    ----------
    threads : int
        Number of threads for the numerical libraries.
    extra : dict, optional
        Variables to add.

    Returns
    -------
    dict
        The environment.
    """
    env = dict(os.environ)
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env.update(dict.fromkeys(_THREAD_VARIABLES, str(threads)))
    env.update(HF_HUB_OFFLINE="1", PYTHONUNBUFFERED="1", NO_COLOR="1", COLUMNS="100")
    env.update(extra or {})
    return env


def run_child(
    module: str,
    task: str,
    arguments: dict[str, Any],
    *,
    threads: int,
    env: dict[str, str] | None = None,
    timeout: float = 7200.0,
) -> dict[str, Any]:
    """Run one task of a module in a fresh process and return what it answers.

    Parameters
    ----------
    module : str
        Module with a ``serve({...})`` main part, such as ``benchmarks.peer_anomalib``.
    task : str
        Name of the task in that module.
    arguments : dict
        JSON-friendly keyword arguments of the task.
    threads : int
        Number of threads, and on Linux also of the cores that the process may use.
    env : dict, optional
        Environment variables to add.
    timeout : float
        Seconds after which the process is ended.

    Returns
    -------
    dict
        The task's answer, with ``process_seconds`` and ``peak_rss_mb`` of the process added, and ``other_cores``:
        how many cores were busy with something else meanwhile.

    Raises
    ------
    ChildError
        If the process fails.
    """
    with tempfile.TemporaryDirectory(prefix="pyimgano-bench-") as folder:
        request, answer = Path(folder, "request.json"), Path(folder, "answer.json")
        request.write_text(json.dumps({"task": task, "arguments": arguments, "threads": threads}), encoding="utf-8")
        command = [sys.executable, "-m", module, "--request", str(request), "--answer", str(answer)]
        before = busy_seconds()
        start = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=child_environment(threads, env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
        seconds = time.perf_counter() - start
        if done.returncode != 0 or not answer.is_file():
            tail = done.stderr.decode("utf-8", "replace")[-3000:]
            raise ChildError(f"{module}:{task} ended with {done.returncode}\n{tail}")
        result: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    result["process_seconds"] = seconds
    result["other_cores"] = other_cores(before, busy_seconds(), seconds)
    return result


def busy_seconds() -> tuple[float, float] | None:
    """Return the CPU seconds of the whole machine, and those of this process's ended children.

    Returns
    -------
    tuple of (float, float) or None
        The two, or None where the system does not tell.
    """
    try:
        import resource

        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    except (ImportError, OSError):
        return None
    user, nice, system, _idle, _iowait, irq, softirq, steal = (int(ticks) for ticks in fields[:8])
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy, children.ru_utime + children.ru_stime


def other_cores(before: tuple[float, float] | None, after: tuple[float, float] | None, seconds: float) -> float | None:
    """Return how many cores were busy with something else than the measured process.

    Parameters
    ----------
    before, after : tuple of (float, float) or None
        CPU seconds of the whole machine and of the measured processes.
    seconds : float
        Wall seconds between the two.

    Returns
    -------
    float or None
        The number of cores, or None where the system does not tell.
    """
    if before is None or after is None:
        return None
    return max(0.0, ((after[0] - before[0]) - (after[1] - before[1])) / seconds)


def serve(tasks: dict[str, Callable[..., dict[str, Any]]]) -> None:
    """Answer one request of :func:`run_child`; the main part of a module that is measured.

    Parameters
    ----------
    tasks : dict
        The module's tasks by name; each takes keyword arguments and returns a JSON-friendly dict.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--request", type=Path, required=True)
    parser.add_argument("--answer", type=Path, required=True)
    options = parser.parse_args()
    request = json.loads(options.request.read_text(encoding="utf-8"))
    pin_to_cores(request["threads"])
    result = tasks[request["task"]](**request["arguments"])
    result["peak_rss_mb"] = peak_rss_mb()
    options.answer.write_text(json.dumps(result), encoding="utf-8")


def pin_to_cores(count: int) -> None:
    """Keep this process on at most `count` cores where the system allows it.

    Parameters
    ----------
    count : int
        Number of cores.
    """
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) > count:
            os.sched_setaffinity(0, set(allowed[:count]))


def peak_rss_mb() -> float | None:
    """Return the peak resident memory of this process in MB (10**6 bytes).

    Linux's ``VmHWM`` belongs to the running program alone, while ``ru_maxrss`` starts with what the parent held
    when it forked; so the former is taken where there is one.

    Returns
    -------
    float or None
        The peak, or None on a system that does not tell.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def time_command(command: list[str], *, threads: int, env: dict[str, str] | None = None) -> float:
    """Return the wall seconds of one run of a command whose output is thrown away.

    Parameters
    ----------
    command : list of str
        Program and arguments.
    threads : int
        Number of threads of the numerical libraries.
    env : dict, optional
        Environment variables to add.

    Returns
    -------
    float
        Wall seconds.

    Raises
    ------
    ChildError
        If the command fails.
    """
    start = time.perf_counter()
    done = subprocess.run(
        command,
        env=child_environment(threads, env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=600,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise ChildError(
            f"{Path(command[0]).name} ended with {done.returncode}\n{done.stderr[-2000:].decode(errors='replace')}"
        )
    return seconds


def alternate(sides: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """Run the sides in turn, A B A B, so that a slow minute of the machine meets all of them.

    Parameters
    ----------
    sides : dict
        What to run, by name.
    rounds : int
        Number of rounds.

    Returns
    -------
    dict
        The answers of each side, one per round.
    """
    answers: dict[str, list[Any]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, run in sides.items():
            answers[name].append(run())
    return answers


def median(values: list[float]) -> float:
    """Return the median as a float.

    Parameters
    ----------
    values : list of float
        At least one number.

    Returns
    -------
    float
        The median.
    """
    return float(statistics.median(values))


@contextlib.contextmanager
def stopwatch(into: dict[str, Any], name: str) -> Iterator[None]:
    """Add the wall seconds of the block to ``into[name]``, and this process's CPU seconds beside them.

    Parameters
    ----------
    into : dict
        Where to add.
    name : str
        The key.

    Yields
    ------
    None
    """
    start, worked = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        into[name] = into.get(name, 0.0) + time.perf_counter() - start
        into[f"{name}_cpu"] = into.get(f"{name}_cpu", 0.0) + time.process_time() - worked


def latencies(call: Callable[[], Any], *, warm_up: int, repeats: int) -> list[float]:
    """Return the wall milliseconds of repeated calls.

    Parameters
    ----------
    call : callable
        What to time.
    warm_up : int
        Calls before the first that counts.
    repeats : int
        Calls that count.

    Returns
    -------
    list of float
        Milliseconds, one per call.
    """
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def machine() -> dict[str, Any]:
    """Describe the machine without naming it.

    Returns
    -------
    dict
        CPU model, cores, memory, system, Python.
    """
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "python": platform.python_version(),
    }


def _cpu_model() -> str:
    """Return the processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    """Return the physical memory in GiB, None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def versions(distributions: list[str]) -> dict[str, str]:
    """Return the installed versions of distributions, leaving out what is not installed.

    Parameters
    ----------
    distributions : list of str
        Names as on the package index.

    Returns
    -------
    dict
        Version by name.
    """
    from importlib import metadata

    found = {}
    for name in distributions:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
