"""File operations that may take for ever: those on a network folder whose server does not answer."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any, Callable, TypeVar

__all__ = ["Patience", "Stopped"]

T = TypeVar("T")


class Stopped(Exception):
    """The program was told to stop while it waited."""


class Patience:
    """Carries out blocking calls in a thread of its own, and tells when one does not come back.

    Nothing can end a call that the operating system does not return from. It is waited for without a limit, since a
    second one would hang beside it; the program still tells what it waits for, and still ends when it is told to.

    Parameters
    ----------
    stop : threading.Event
        Set when the program is to end.
    tell : callable
        Takes a sentence for people.
    slow : float
        Seconds after which a call is told of.
    """

    def __init__(self, stop: threading.Event, tell: Callable[[str], None], *, slow: float = 10.0) -> None:
        self._stop = stop
        self._tell = tell
        self._slow = slow
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], list[Any], threading.Event]] = queue.SimpleQueue()
        # A daemon: the process must not wait for it at its end.
        threading.Thread(target=self._work, name="pyimgano-folder", daemon=True).start()

    def __call__(self, what: str, call: Callable[[], T]) -> T:
        """Return what ``call`` returns.

        Raises
        ------
        Exception
            What it raises.
        Stopped
            When the program is to end and the call is still out.
        """
        outcome: list[Any] = []
        done = threading.Event()
        self._calls.put((call, outcome, done))
        started, told = time.monotonic(), False
        while not done.wait(0.1 if told or self._stop.is_set() else self._slow):
            if self._stop.is_set() and time.monotonic() - started >= self._slow:
                raise Stopped(what)
            if not told:
                self._tell(f"{what}: no answer for {self._slow:g} s; still waiting")
                told = True
        if told:
            self._tell(f"{what}: answered after {time.monotonic() - started:.0f} s")
        failure, value = outcome
        if failure is not None:
            raise failure
        result: T = value
        return result

    def _work(self) -> None:
        while True:
            call, outcome, done = self._calls.get()
            try:
                outcome[:] = (None, call())
            except BaseException as error:  # it belongs to who asked
                outcome[:] = (error, None)
            done.set()
