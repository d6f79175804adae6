"""The webhook against a real receiver on this machine: signed, in order, again, dead letters, restarts. About 5 s."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyimgano.core.errors import ConfigError, RunError
from pyimgano.workbench.inference.secret import read_secret
from pyimgano.workbench.watch import webhook as module
from pyimgano.workbench.watch.appending import DurableLines
from pyimgano.workbench.watch.webhook import SIGNATURE, TIMESTAMP, Webhook

SECRET = b"not to be told"


class Receiver:
    """Answers as it is told to, and remembers what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.held = threading.Event()
        self.held.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.held.wait(30)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                code, headers = receiver.answers.pop(0) if receiver.answers else (204, {})
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook/secret-path"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def images(self) -> list[str]:
        return [json.loads(body)["record"]["image"] for _, body in self.got]

    def close(self) -> None:
        self.held.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.05)


@contextlib.contextmanager
def hook(url: str, records: Path, told: list[str] | None = None, patience: float = 20.0) -> Iterator[Any]:
    """Yield a function that appends records of some names, and tells the webhook of them."""
    sender = Webhook(url, records, secret=SECRET, tell=(told if told is not None else []).append)
    lines = DurableLines(records)
    sender.written(lines.length)

    def append(*names: str) -> None:
        for name in names:
            lines.append((json.dumps({"image": name, "score": 1.5}) + "\n").encode())
        sender.written(lines.length)

    yield append
    lines.close()
    append.left = sender.close(patience)  # type: ignore[attr-defined]


def test_every_record_is_sent_in_order_and_signed(receiver: Receiver, tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    records.write_text('{"image":"before there was a webhook","score":1}\n')
    with hook(receiver.url, records) as append:
        append("a.png")
        append("b.png", "ü.png")
    assert append.left == 0
    assert receiver.images() == ["a.png", "b.png", "ü.png"]
    keys = set()
    for headers, body in receiver.got:
        signed = headers[TIMESTAMP].encode() + b"." + body
        assert headers[SIGNATURE] == "sha256=" + hmac.new(SECRET, signed, hashlib.sha256).hexdigest()
        assert headers["Content-Type"] == "application/json"
        message = json.loads(body)
        assert message["schema_version"] == 1
        assert message["id"] == headers["Idempotency-Key"]
        keys.add(message["id"])
    assert len(keys) == 3
    assert not (tmp_path / "records.jsonl.dead-letters").exists()


def test_two_records_that_read_the_same_have_two_keys(receiver: Receiver, tmp_path: Path) -> None:
    with hook(receiver.url, tmp_path / "r.jsonl") as append:
        append("a.png", "a.png")
    assert len({headers["Idempotency-Key"] for headers, _ in receiver.got}) == 2


def test_what_may_heal_is_tried_again_with_the_same_key(receiver: Receiver, tmp_path: Path) -> None:
    told: list[str] = []
    receiver.answers = [(503, {}), (429, {"Retry-After": "0.02"}), (500, {}), (200, {}), (204, {})]
    with hook(receiver.url, tmp_path / "r.jsonl", told) as append:
        append("a.png", "b.png")
    assert receiver.images() == ["a.png"] * 4 + ["b.png"]
    assert len({headers["Idempotency-Key"] for headers, _ in receiver.got[:4]}) == 1
    assert told == [
        f"webhook: http://127.0.0.1:{receiver.server.server_address[1]}: answered 503",
        f"webhook: http://127.0.0.1:{receiver.server.server_address[1]} answers again",
    ]


@pytest.mark.parametrize(
    ("answers", "attempts", "error"),
    [
        ([(400, {})], 1, "answered 400"),
        ([(302, {"Location": "http://127.0.0.1:9/elsewhere"})], 1, "answered 302"),
        ([(307, {"Location": "/same-host"})], 1, "answered 307"),
        ([(500, {})] * 6, 6, "answered 500"),
    ],
)
def test_what_fails_for_good_becomes_a_dead_letter(
    receiver: Receiver, tmp_path: Path, answers: list, attempts: int, error: str
) -> None:
    receiver.answers = list(answers)
    told: list[str] = []
    with hook(receiver.url, tmp_path / "r.jsonl", told) as append:
        append("a.png", "b.png")
    assert receiver.images() == ["a.png"] * attempts + ["b.png"]
    text = (tmp_path / "r.jsonl.dead-letters").read_text(encoding="utf-8")
    (letter,) = map(json.loads, text.splitlines())
    assert letter["record"] == {"image": "a.png", "score": 1.5}
    assert (letter["attempts"], letter["error"]) == (attempts, error)
    assert letter["id"] == receiver.got[0][0]["Idempotency-Key"]
    assert SECRET.decode() not in text + "".join(told)
    assert "secret-path" not in text + "".join(told)


def test_nobody_there_is_no_hurry_and_no_loss(tmp_path: Path) -> None:
    with hook("http://127.0.0.1:9/", tmp_path / "r.jsonl") as append:
        append("a.png")
    (letter,) = map(json.loads, (tmp_path / "r.jsonl.dead-letters").read_text(encoding="utf-8").splitlines())
    assert letter["attempts"] == 6
    assert letter["error"].startswith("no answer: URLError")


def test_what_was_not_sent_is_sent_by_the_next_start_and_nothing_twice(receiver: Receiver, tmp_path: Path) -> None:
    records = tmp_path / "r.jsonl"
    with hook(receiver.url, records) as append:
        append("a.png")
    receiver.held.clear()  # the receiver hangs: the inspection goes on, and ends
    with hook(receiver.url, records, patience=0.1) as append:
        append("b.png", "c.png")
    assert append.left > 0
    receiver.held.set()
    with hook(receiver.url, records) as append:
        append("d.png")
    assert append.left == 0
    sent = receiver.images()
    assert list(dict.fromkeys(sent)) == ["a.png", "b.png", "c.png", "d.png"]
    # One that was under way when the process ended may come twice, by the same key.
    assert len({headers["Idempotency-Key"] for headers, _ in receiver.got}) == 4


def test_damaged_state_is_refused(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl.webhook").write_text("[]")
    with pytest.raises(RunError, match="is damaged"):
        Webhook(receiver.url, tmp_path / "r.jsonl", tell=print)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://host/x", "host/x", "http://", "http://[", "https://user:word@host/x", "http://h:x/"],
)
def test_other_addresses_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as failure:
        Webhook(url, tmp_path / "r.jsonl", tell=print)
    assert "word" not in failure.value.message.replace("password", "")


def test_a_secret_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_SECRET", raising=False)
    assert read_secret("A_SECRET", None, "--file") is None
    monkeypatch.setenv("A_SECRET", " from-env\n")
    assert read_secret("A_SECRET", None, "--file") == b"from-env"
    (tmp_path / "secret").write_bytes(b"from-file\n")
    assert read_secret("A_SECRET", tmp_path / "secret", "--file") == b"from-file"
    (tmp_path / "secret").write_bytes(b"\n")
    with pytest.raises(ConfigError, match="empty"):
        read_secret("A_SECRET", tmp_path / "secret", "--file")
    with pytest.raises(ConfigError, match="cannot read"):
        read_secret("A_SECRET", tmp_path / "none", "--file")


def test_watch_sends_its_records(receiver: Receiver, texture_runs: dict[str, Path], tmp_path: Path) -> None:
    run = texture_runs["one"]
    (tmp_path / "in").mkdir()
    for number, path in enumerate(sorted((run.parents[1] / "textures" / "brick" / "test" / "good").iterdir())[:3]):
        shutil.copy(path, tmp_path / "in" / f"{number}.png")
    (tmp_path / "in" / "3.png").touch()
    command = [sys.executable, "-c", "import sys; from pyimgano.cli.main import main; sys.exit(main())"]
    command += ["bundle", "watch", str(run), str(tmp_path / "in"), "--done", str(tmp_path / "done"), "--failed"]
    command += [str(tmp_path / "failed"), "-o", str(tmp_path / "r.jsonl"), "--once", "--settle", "0", "--poll", "0.05"]
    command += ["--webhook", receiver.url]
    env = {**os.environ, "PYIMGANO_WEBHOOK_SECRET": SECRET.decode()}
    unsigned = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert unsigned.returncode == 2
    assert "there is no secret" in unsigned.stderr
    done = subprocess.run(command, env=env, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [json.loads(body)["record"] for _, body in receiver.got] == records
    assert len(records) == 4
    assert SECRET.decode() not in done.stderr
    for path in tmp_path.glob("r.jsonl*"):
        assert SECRET not in path.read_bytes()
