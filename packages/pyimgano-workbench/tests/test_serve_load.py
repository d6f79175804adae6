"""The service under load, killed and told to stop; its queue and its book of answers. About 45 s."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the service is an extra")

from pyimgano.core.errors import RunError, StorageError
from pyimgano.core.images import decode_image
from pyimgano.workbench.inference.inspecting import Inspector
from pyimgano.workbench.inference.opening import open_models
from pyimgano.workbench.serve.answers import AnswerBook
from pyimgano.workbench.serve.failures import ServiceError
from pyimgano.workbench.serve.inspection_queue import InspectionQueue, Job

ROOT = Path(__file__).parents[3]
POSIX = pytest.mark.skipif(os.name == "nt", reason="signals as on POSIX")


@pytest.fixture(scope="module")
def run(texture_runs: dict[str, Path]) -> Path:
    return texture_runs["one"]


@pytest.fixture(scope="module")
def images(run: Path) -> list[bytes]:
    paths = sorted((run.parents[1] / "textures" / "brick" / "test").rglob("*.png"))
    return [path.read_bytes() for path in paths]


class Slow:
    """A request whose body is held back, so that it is accepted and not answered for as long as the test wants."""

    def __init__(self, service: Any, content: bytes, query: str = "") -> None:
        self._socket = socket.create_connection((service.host, service.port), timeout=60)
        head = (
            f"POST /v1/inspect{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Content-Type: image/png\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + content[:-1])
        self._rest = content[-1:]

    def finish(self) -> tuple[int, dict]:
        self._socket.sendall(self._rest)
        return self.answer()

    def answer(self) -> tuple[int, dict]:
        data = b""
        while part := self._socket.recv(1 << 16):
            data += part
        self._socket.close()
        head, _, body = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


def waiting(service: Any) -> int:
    text = service.request("GET", "/metrics")[2].decode()
    (line,) = (line for line in text.splitlines() if line.startswith("pyimgano_queue "))
    return int(line.split()[1])


def until(service: Any, count: int) -> None:
    end = time.monotonic() + 30
    while waiting(service) != count:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_one_request_too_many_is_told_to_come_again(run: Path, images: Sequence[bytes], start_service: Any) -> None:
    service = start_service(run, "--queue", 2)
    held = [Slow(service, images[0]) for _ in range(2)]
    until(service, 2)
    status, headers, body = service.request("POST", "/v1/inspect", images[1], {"Content-Type": "image/png"})
    assert (status, json.loads(body)["error"]["code"]) == (429, "busy")
    assert int(headers["retry-after"]) >= 1
    assert service.request("GET", "/healthz")[0] == 200  # who waits keeps nobody from asking
    assert [slow.finish()[0] for slow in held] == [200, 200]
    assert service.inspect(images[1])[0] == 200
    assert waiting(service) == 0


def test_a_body_that_does_not_come_is_not_waited_for(run: Path, images: Sequence[bytes], start_service: Any) -> None:
    service = start_service(run, "--read-seconds", 0.3)
    status, answer = Slow(service, images[0]).answer()
    assert (status, answer["error"]["code"]) == (408, "too_slow")
    assert waiting(service) == 0


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_answered_before_it_stops(
    run: Path, images: Sequence[bytes], start_service: Any, tmp_path: Path, number: int
) -> None:
    service = start_service(run, "--records", tmp_path / "r.jsonl")
    held = Slow(service, images[0], "?id=last")
    until(service, 1)
    service.process.send_signal(number)
    end = time.monotonic() + 30
    while True:  # new ones are not taken any more
        try:
            socket.create_connection((service.host, service.port), timeout=5).close()
        except OSError:
            break
        assert time.monotonic() < end
        time.sleep(0.02)
    status, answer = held.finish()
    assert status == 200
    assert service.process.wait(60) == 0
    assert json.loads((tmp_path / "r.jsonl").read_text(encoding="utf-8")) == answer["record"]
    assert "stopped" in service.log
    assert "Traceback" not in service.log


@POSIX
def test_no_answer_is_lost_or_doubled_by_kills_under_load() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.service_load", "--requests", "500", "--kills", "2", "--clients", "4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["answered"] == 500
    assert found["statuses"]["200"] == 510  # every fiftieth was sent twice, and answered alike
    assert found["statuses"]["no answer"] > 0  # the kills fell into the middle
    assert [found[what] for what in ("lost", "doubled", "wrong", "foreign", "exit_code")] == [0] * 5


def test_a_second_service_on_the_same_records_is_refused(
    run: Path, images: Sequence[bytes], start_service: Any, tmp_path: Path
) -> None:
    start_service(run, "--records", tmp_path / "r.jsonl")
    with pytest.raises(AssertionError, match="another process writes these records"):
        start_service(run, "--records", tmp_path / "r.jsonl")


def test_the_service_keeps_its_own_description(run: Path, start_service: Any, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    service = start_service(run, "--records", tmp_path / "r.jsonl")
    textures = run.parents[1] / "textures" / "brick" / "test" / "good"
    # Any bytes are a valid body by the description, which cannot say what an image is: valid ones are given.
    (tmp_path / "service_hooks.py").write_text(
        f"""
from pathlib import Path
import schemathesis
from hypothesis import strategies
from pyimgano.workbench.serve.uploads import RAW_TYPES
images = [path.read_bytes() for path in sorted(Path({str(textures)!r}).iterdir())[:5]]
for kind in RAW_TYPES:
    schemathesis.openapi.media_type(kind, strategies.sampled_from(images))
""",
        encoding="utf-8",
    )
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "service_hooks", "PYTHONPATH": str(tmp_path), "COLUMNS": "200"}
    program = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"]
    options = ["--checks", "all", "--max-examples", "8", "--seed", "1", "--no-color"]
    if tuple(map(int, importlib.metadata.version("schemathesis").split(".")[:2])) < (4, 10):
        # Those that Python 3.9 gets put empty files into forms, and take 409 for a refusal of what is valid.
        options += ["--exclude-checks", "positive_data_acceptance"]
    done = subprocess.run(
        [*program, "run", f"{service.url}/openapi.json", *options],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout
    assert "5 selected" in done.stdout
    answered = service.request("GET", "/metrics")[2].decode()
    assert 'pyimgano_requests_total{status="200"}' in answered
    assert 'status="500"' not in answered
    assert "Traceback" not in service.log


def line(id: str | None, score: float = 1.0) -> bytes:
    record = {"image": "a.png", **({} if id is None else {"id": id}), "score": score}
    return json.dumps(record, separators=(",", ":")).encode()


def test_the_book_finds_what_it_wrote_also_when_its_index_is_lost(tmp_path: Path) -> None:
    path, told = tmp_path / "r.jsonl", []
    book = AnswerBook(path, tell=told.append)
    for number in range(100):
        book.append([(f"id-{number}", line(f"id-{number}", number)), (None, line(None))])
    assert book.find("id-42") == line("id-42", 42)
    assert book.find("id-100") is None
    book.close()
    index = tmp_path / "r.jsonl.ids"
    for damage in (lambda: None, index.unlink, lambda: index.write_bytes(b"no database" * 1000)):
        damage()
        book = AnswerBook(path, tell=told.append)
        assert book.find("id-42") == line("id-42", 42)
        assert book.find("id-99") == line("id-99", 99)
        book.close()
    assert len(path.read_bytes().splitlines()) == 200
    assert len(told) == 1
    path.write_bytes(b"")  # begun anew by hand: the index is of records that are gone
    book = AnswerBook(path, tell=told.append)
    assert book.find("id-42") is None
    assert "made anew (it knows more records than there are)" in told[-1]
    book.close()


def test_a_line_that_a_kill_has_torn_was_never_answered(tmp_path: Path) -> None:
    path, told = tmp_path / "r.jsonl", []
    path.write_bytes(line("a") + b"\n" + line("b")[:10])
    book = AnswerBook(path, tell=told.append)
    assert told == [f"{path}: 10 bytes of a record that was never answered were removed"]
    assert book.find("a") == line("a")
    assert book.find("b") is None
    book.append([("b", line("b"))])
    book.close()
    assert path.read_bytes() == line("a") + b"\n" + line("b") + b"\n"


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text("no records\n")
    with pytest.raises(RunError, match="not a record"):
        AnswerBook(tmp_path / "r.jsonl", tell=print)
    (tmp_path / "r.jsonl").write_text("[]\n")
    with pytest.raises(RunError, match="not a record"):
        AnswerBook(tmp_path / "r.jsonl", tell=print)


def test_an_index_that_cannot_be_written_doubles_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    book = AnswerBook(path, tell=print)
    whole = AnswerBook._put

    def full(*arguments: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(AnswerBook, "_put", full)
    book.append([("a", line("a"))])
    assert book.find("a") == line("a")
    monkeypatch.setattr(AnswerBook, "_put", whole)
    book.append([("b", line("b"))])
    book.close()
    book = AnswerBook(path, tell=print)
    assert (book.find("a"), book.find("b")) == (line("a"), line("b"))
    book.close()


class FullDisk:
    """A book whose disk is full for as long as it is told to be."""

    def __init__(self, book: AnswerBook) -> None:
        self._book = book
        self.full = True

    def find(self, id: str) -> bytes | None:
        return self._book.find(id)

    def append(self, records: Sequence[tuple[str | None, bytes]]) -> None:
        if self.full:
            raise StorageError("cannot write: No space left on device")
        self._book.append(records)


def test_what_cannot_be_recorded_is_no_answer(run: Path, images: Sequence[bytes], tmp_path: Path) -> None:
    inspector = Inspector(open_models(run))
    book = AnswerBook(tmp_path / "r.jsonl", tell=print)
    disk = FullDisk(book)
    queue = InspectionQueue(inspector, book=disk)  # type: ignore[arg-type]

    async def ask() -> None:
        with pytest.raises(ServiceError) as failure:
            await queue.submit(Job("a.png", images[0], id="a"))
        assert (failure.value.status, failure.value.code) == (503, "not_recorded")
        assert not queue.writable
        disk.full = False
        answer = await queue.submit(Job("a.png", images[0], id="a"))
        assert (answer.repeated, queue.writable) == (False, True)

    asyncio.run(ask())
    queue.close()
    inspector.close()
    book.close()
    assert len((tmp_path / "r.jsonl").read_bytes().splitlines()) == 1


def test_what_waits_together_is_inspected_together_and_one_id_gives_one_record(
    run: Path, images: Sequence[bytes], tmp_path: Path
) -> None:
    inspector = Inspector(open_models(run))
    alone = [inspector([job])[0].record.score for job in map(received, images[:6])]
    book = AnswerBook(tmp_path / "r.jsonl", tell=print)
    batches: list[int] = []
    held = threading.Event()

    def inspected(outcomes: list, seconds: float) -> None:
        batches.append(len(outcomes))
        held.wait(30)

    queue = InspectionQueue(inspector, book=book, inspected=inspected)

    async def ask() -> list:
        first = queue.submit(Job("first", images[0]))
        while not batches:
            await asyncio.sleep(0.01)
        jobs = [Job(f"{number}", images[number], id=f"{number % 3}") for number in (0, 1, 2)]
        jobs += [Job("again", images[1], id="1"), Job("other", images[5], id="2"), Job("x", b"no image", id="bad")]
        futures = [queue.submit(job) for job in jobs]
        held.set()
        await first
        return await asyncio.gather(*futures, return_exceptions=True)

    answers = asyncio.run(ask())
    queue.close()
    assert batches[0] == 1
    assert batches[1] == 4  # three images and one that is none; the second of an id was looked up afterwards
    scores = [json.loads(answer.line)["score"] for answer in answers[:4]]
    assert scores == [alone[0], alone[1], alone[2], alone[1]]
    assert [answer.repeated for answer in answers[:4]] == [False, False, False, True]
    assert (answers[4].status, answers[4].code) == (409, "conflict")
    assert answers[5].failed
    ids = [json.loads(text).get("id") for text in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert sorted(id for id in ids if id) == ["0", "1", "2", "bad"]
    inspector.close()
    book.close()


def received(content: bytes) -> Any:
    from pyimgano.workbench.inference.inspecting import ReceivedImage

    return ReceivedImage("x", content)


def test_a_fault_of_the_model_costs_its_own_request_alone(
    run: Path, images: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector(open_models(run))
    inspector.load()
    detector = inspector._fitted("brick").detector
    real = detector.infer
    faulty = detector.prepare(decode_image(images[3])).tobytes()

    def infer(batch: Sequence, **more: Any) -> Any:
        if any(image.tobytes() == faulty for image in batch):
            raise ValueError("a fault")
        return real(batch, **more)

    monkeypatch.setattr(detector, "infer", infer)
    queue = InspectionQueue(inspector)

    async def ask() -> list:
        futures = [queue.submit(Job(f"{number}", images[number])) for number in range(6)]
        return await asyncio.gather(*futures, return_exceptions=True)

    answers = asyncio.run(ask())
    queue.close()
    inspector.close()
    assert (answers[3].status, answers[3].code) == (500, "internal")
    good = [answer for number, answer in enumerate(answers) if number != 3]
    assert all(not isinstance(answer, Exception) for answer in good)
