"""Telling another program of every record: signed, in order, again until it was heard, and never in inspection's way.

The records on the disk are the queue. A thread reads them behind the inspection and notes, in a file of its own, how
far it has come; so nothing is held in memory, a receiver that is slow or away holds nothing up, and what was not sent
when the process ended is sent at the next start.
"""

from __future__ import annotations

import email.message
import hashlib
import hmac
import http.client
import json
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any, Callable, Optional

from pyimgano.core.errors import ConfigError, PyimganoError, RunError, StorageError
from pyimgano.core.files import dump_json, dumps_json, load_json
from pyimgano.workbench.watch.appending import DurableLines

__all__ = ["SIGNATURE", "TIMESTAMP", "Webhook", "sign"]

TIMESTAMP = "X-Pyimgano-Timestamp"
SIGNATURE = "X-Pyimgano-Signature"
WEBHOOK_SCHEMA = 1

TRIES = 6
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
TIMEOUT = 10.0
_LATER = {408, 425, 429}
"""Answers below 500 after which it is worth trying again."""


def sign(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return the signature of a message: ``sha256=`` and the HMAC-SHA256 of timestamp, a dot and body, in hex."""
    return "sha256=" + hmac.new(secret, timestamp.encode("ascii") + b"." + body, hashlib.sha256).hexdigest()


class Webhook:
    """Sends each record to an address by POST.

    A message is ``{"schema_version": 1, "id": …, "record": …}``. ``id``, also the header ``Idempotency-Key``, follows
    from the record and its place in the file: a message that is sent twice, because the process ended between answer
    and note, has the same one. 2xx is success. 408, 425, 429, 5xx and no answer are tried again, six times in all, with
    pauses that double from half a second to 30 s, each multiplied by a random number in [0.5, 1]; any other answer is
    final. What fails becomes a line of the dead-letter file, and the next record's turn comes.

    Parameters
    ----------
    url : str
        http or https. A redirect is a failure: the message goes nowhere else.
    records : Path
        The JSONL file. How far it was sent is kept beside it, in ``<records>.webhook``; what failed for good in
        ``<records>.dead-letters``.
    secret : bytes, optional
        Signs each message; see :func:`sign`.
    tell : callable
        Takes sentences for people.

    Raises
    ------
    ConfigError
        When the URL is none, or carries a password.
    RunError
        When the file beside the records is damaged.
    """

    def __init__(self, url: str, records: Path, *, secret: Optional[bytes] = None, tell: Callable[[str], None]) -> None:
        self._url = url
        self._place = _place(url)
        self._records = records
        self._secret = secret
        self._tell = tell
        self._position = records.with_name(records.name + ".webhook")
        self.dead_letters = records.with_name(records.name + ".dead-letters")
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._random = random.Random()  # pauses of many senders must differ
        self._changed = threading.Condition()
        self._length: Optional[int] = None
        self._stop = threading.Event()
        self._sent = self._read_position()
        self._quiet = True
        self._thread = threading.Thread(target=self._work, name="pyimgano-webhook", daemon=True)

    def written(self, length: int) -> None:
        """Learn that the records have ``length`` bytes that are on the disk. The first time, it begins to send.

        Records that were there before there was a webhook are not sent.
        """
        with self._changed:
            first, self._length = self._length is None, length
            if first:
                if self._sent is None or self._sent > length:
                    self._sent = length
                    self._note(length)
                self._thread.start()
            self._changed.notify_all()

    def close(self, patience: float) -> int:
        """End the sending; return how many bytes of records are left for the next start.

        Parameters
        ----------
        patience : float
            Seconds to wait for what has not been sent yet.
        """
        if self._length is None:
            return 0
        with self._changed:
            self._changed.wait_for(lambda: self._sent == self._length, patience)
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(1.0)  # one that waits for an answer notes nothing: the message is sent again
        return self._length - (self._sent or 0)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stop.is_set() or self._sent != self._length)
                if self._stop.is_set():
                    return
                start, end = self._sent or 0, self._length or 0
            try:
                with open(self._records, "rb") as stream:
                    self._send_from(stream, start, end)
            except (OSError, StorageError) as error:
                self._tell(f"webhook: {error}; trying again")
                self._stop.wait(LONGEST_PAUSE)

    def _send_from(self, stream: IO[bytes], start: int, end: int) -> None:
        stream.seek(start)
        while start < end and not self._stop.is_set():
            line = stream.readline()
            if not self._deliver(start, line):
                return
            start += len(line)
            self._note(start)
            with self._changed:
                self._sent = start
                self._changed.notify_all()

    def _deliver(self, offset: int, line: bytes) -> bool:
        """Send one record, or write it down as not sent; False where the program ends before either."""
        key = hashlib.sha256(b"%d:" % offset + line).hexdigest()
        try:
            message = {"schema_version": WEBHOOK_SCHEMA, "id": key, "record": json.loads(line)}
        except ValueError as error:
            self._bury(key, 0, f"the record is no JSON: {error}", None)
            return True
        body = dumps_json(message).encode("utf-8", "backslashreplace")
        pause, reason = FIRST_PAUSE, ""
        for attempt in range(1, TRIES + 1):
            reason, again, wait = self._post(key, body)
            if not reason:
                if not self._quiet:
                    self._tell(f"webhook: {self._place} answers again")
                self._quiet = True
                return True
            if self._quiet:
                self._tell(f"webhook: {self._place}: {reason}")
                self._quiet = False
            if not again or attempt == TRIES:
                break
            wait = max(wait, pause * (0.5 + 0.5 * self._random.random()))
            if self._stop.wait(min(wait, LONGEST_PAUSE)):
                return False
            pause = min(LONGEST_PAUSE, 2 * pause)
        self._bury(key, attempt, reason, message["record"])
        return True

    def _post(self, key: str, body: bytes) -> tuple[str, bool, float]:
        """Return why it failed (empty: it did not), whether to try again, and after how many seconds at least."""
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "pyimgano",
            "Idempotency-Key": key,
            TIMESTAMP: stamp,
        }
        if self._secret is not None:
            headers[SIGNATURE] = sign(self._secret, stamp, body)
        request = urllib.request.Request(self._url, data=body, headers=headers, method="POST")
        try:
            with self._opener.open(request, timeout=TIMEOUT) as answer:
                answer.read(1 << 16)
                return "", False, 0.0
        except urllib.error.HTTPError as error:
            with error:
                again = error.code >= 500 or error.code in _LATER
                return f"answered {error.code}", again, _seconds(error.headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            return f"no answer: {type(error).__name__}: {reason}".replace(self._url, self._place), True, 0.0

    def _bury(self, key: str, attempts: int, reason: str, record: Any) -> None:
        letter = {"id": key, "time": int(time.time()), "attempts": attempts, "error": reason, "record": record}
        lines = DurableLines(self.dead_letters)
        try:
            lines.append((dumps_json(letter) + "\n").encode("utf-8", "backslashreplace"))
        finally:
            lines.close()

    def _note(self, position: int) -> None:
        dump_json({"schema_version": WEBHOOK_SCHEMA, "sent": position}, self._position)

    def _read_position(self) -> Optional[int]:
        if not self._position.exists():
            return None
        try:
            return int(load_json(self._position)["sent"])
        except (PyimganoError, KeyError, TypeError, ValueError) as error:
            raise RunError(
                "is damaged", where=str(self._position), hint="remove it: records from now on are sent"
            ) from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the record, its signature and its key are for one address."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def _place(url: str) -> str:
    """Return what of a URL may be told: its path may hold a token.

    Raises
    ------
    ConfigError
        When it is no address that records are sent to.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"not a URL: {error}", where="--webhook") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("not an http or https URL", where="--webhook", allowed="https://host[:port]/path")
    if parts.username or parts.password:
        raise ConfigError(
            "the URL carries a password, which every user of this machine can see",
            where="--webhook",
            hint="messages are signed: give the secret by --webhook-secret-file or PYIMGANO_WEBHOOK_SECRET",
        )
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "")


def _seconds(headers: Optional[email.message.Message]) -> float:
    try:
        return 0.0 if headers is None else float(headers.get("Retry-After", "0"))
    except ValueError:  # a date
        return 0.0
