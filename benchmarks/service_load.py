"""A load on the service of this machine, which is killed and started again meanwhile, and what is lost or doubled.

::

    python -m benchmarks.service_load --requests 100000 --kills 5

Clients send images, each with an id of its own, and send it again until it is answered with 200. At the end every
answer must stand in the records, once and word for word, and the records must hold nothing else. Nothing but loopback
is used. Without ``--bundle`` a small model is fitted on textures first.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import http.client
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

REPEAT = 50
"""Every so many requests, an image that was answered is sent again."""


class Service:
    """``pyimgano bundle serve`` in a process of its own, which can be killed and started again on the same records."""

    def __init__(self, bundle: Path, records: Path | None, *options: str, env: dict[str, str] | None = None) -> None:
        program = [sys.executable, "-c", "import sys; from pyimgano.cli.main import main; sys.exit(main())"]
        self._command = [*program, "bundle", "serve", str(bundle), "--port", "0", *options]
        if records is not None:
            self._command += ["--records", str(records)]
        self._env = {**os.environ, **(env or {})}
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(self._command, env=self._env, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            found = re.search(r" on http://\S+:(\d+) ", line)
            if found is not None:
                self.port = int(found[1])
                # What else it says is read and dropped: a full pipe would stop it.
                threading.Thread(target=self.process.stderr.read, daemon=True).start()
                return
        raise RuntimeError(f"the service did not start: exit code {self.process.wait()}")

    def kill(self) -> None:
        """End it as the system would, without a word."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Tell it to stop, and return its exit code."""
        self.process.terminate()
        return self.process.wait(60)

    def rss_mb(self) -> float | None:
        """Return its resident memory in MB, None where the system does not tell."""
        try:
            text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            return None
        found = re.search(r"VmRSS:\s+(\d+) kB", text)
        return None if found is None else int(found[1]) * 1024 / 1e6


class Load:
    """Clients that send ``count`` images, and what they were told."""

    def __init__(self, service: Service, images: list[bytes], count: int, clients: int) -> None:
        self._service = service
        self._images = images
        self._numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(count):
            self._numbers.put(number)
        self.told: dict[str, bytes] = {}
        self.sent = collections.Counter[str]()
        self.wrong: list[str] = []
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def running(self) -> bool:
        """Tell whether anything is left to be sent."""
        return any(thread.is_alive() for thread in self._threads)

    def _client(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while True:
            try:
                number = self._numbers.get_nowait()
            except queue.Empty:
                return
            tries = 2 if number % REPEAT == 0 else 1
            while tries:
                try:
                    if connection is None:
                        connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=60)
                    path = f"/v1/inspect?id=load-{number}"
                    headers = {"Content-Type": "image/png"}
                    connection.request("POST", path, self._images[number % len(self._images)], headers)
                    answer = connection.getresponse()
                    body = answer.read()
                except (OSError, http.client.HTTPException):
                    self._count("no answer")
                    connection = None
                    time.sleep(0.05)
                    continue
                self._count(str(answer.status))
                if answer.status == 200:
                    tries -= 1
                    self._note(f"load-{number}", body)
                elif answer.status in (429, 503):
                    time.sleep(0.05)
                else:
                    with self._lock:
                        self.wrong.append(f"load-{number}: {answer.status} {body[:200]!r}")
                    tries = 0

    def _count(self, what: str) -> None:
        with self._lock:
            self.sent[what] += 1

    def _note(self, id: str, body: bytes) -> None:
        record = json.loads(body)["record"]
        digest = _digest(record)
        with self._lock:
            if record.get("id") != id or self.told.setdefault(id, digest) != digest:
                self.wrong.append(f"{id} was answered with {record}")


def _digest(record: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).digest()


def run_load(
    bundle: Path, images: list[bytes], records: Path, *, requests: int, kills: int, clients: int
) -> dict[str, Any]:
    """Load a service, kill it and start it again, and compare what it told with what it kept.

    Returns
    -------
    dict
        ``lost``, ``doubled``, ``wrong`` and ``foreign`` must all be 0.
    """
    started = time.perf_counter()
    service = Service(bundle, records)
    load = Load(service, images, requests, clients)
    memory: list[tuple[int, float]] = []
    starts = []
    for kill in range(1, kills + 1):
        # At even distances, in the middle of the work.
        while len(load.told) < requests * kill // (kills + 1) and load.running():
            _remember(memory, len(load.told), service)
            time.sleep(0.02)
        service.kill()
        before = time.perf_counter()
        service.start()
        starts.append(time.perf_counter() - before)
        memory.clear()  # a new process
    while load.running():
        _remember(memory, len(load.told), service)
        time.sleep(0.02)
    seconds = time.perf_counter() - started
    code = service.stop()
    counts: collections.Counter[str] = collections.Counter()
    differing = 0
    with open(records, encoding="utf-8") as stream:
        for line in stream:
            record = json.loads(line)
            counts[record["id"]] += 1
            differing += load.told.get(record["id"]) != _digest(record)
    settled = [value for _, value in memory[len(memory) // 4 :]]
    return {
        "requests": requests,
        "clients": clients,
        "kills": kills,
        "seconds": seconds,
        "answered": len(load.told),
        "statuses": dict(load.sent),
        "lost": sum(id not in counts for id in load.told),
        "doubled": sum(count > 1 for count in counts.values()),
        "wrong": len(load.wrong) + differing,
        "foreign": sum(id not in load.told for id in counts),
        "examples": load.wrong[:5],
        "start_seconds": starts,
        "exit_code": code,
        "rss_mb_since_last_start": {"first": settled[0], "last": settled[-1], "max": max(settled)} if settled else None,
    }


def _remember(memory: list[tuple[int, float]], count: int, service: Service) -> None:
    if memory and count - memory[-1][0] < 50:
        return
    value = service.rss_mb()
    if value is not None:
        memory.append((count, value))


def small_run(folder: Path) -> Path:
    """Fit the smallest model on textures, and return its run."""
    from pyimgano.workbench.config import load_run_config
    from pyimgano.workbench.demo import write_textures
    from pyimgano.workbench.training import run_recipe

    write_textures(folder / "textures", seed=0)
    flags = {
        "dataset.root": folder / "textures",
        "dataset.categories": ["brick"],
        "model.name": "pixel-gaussian",
        "model.params": {"input_size": 16},
        "calibration.alpha": 0.1,
        "output.dir": folder / "runs",
        "output.report": False,
        "output.thumbnails": 0,
    }
    return run_recipe(load_run_config(flags=flags)).path


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 1 when a record was lost, doubled or changed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service_load", description=__doc__.partition("\n")[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--bundle", type=Path, help="a bundle or run; needs --images")
    parser.add_argument("--images", type=Path, help="a folder of PNG files")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pyimgano-load-") as folder:
        bundle = given.bundle or small_run(Path(folder))
        source = given.images or Path(folder) / "textures" / "brick" / "test"
        images = [path.read_bytes() for path in sorted(source.rglob("*.png"))]
        found = run_load(
            bundle,
            images,
            Path(folder) / "records.jsonl",
            requests=given.requests,
            kills=given.kills,
            clients=given.clients,
        )
    print(json.dumps(found, indent=2))
    good = not (found["lost"] or found["doubled"] or found["wrong"] or found["foreign"] or found["exit_code"])
    return 0 if good and found["answered"] == given.requests else 1


if __name__ == "__main__":
    sys.exit(main())
