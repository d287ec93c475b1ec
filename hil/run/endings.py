"""Turns signals and `os._exit` into endings of a run that are reported.

SIGTERM and SIGHUP end a run as Ctrl-C does. `os._exit`, which skips every report, notes first what did not run:
tests call it, and pytest-timeout does where it runs in a thread. Nothing can be done about SIGKILL here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_REAL_EXIT = os._exit


def as_the_system_sees(code: object) -> int:
    """The exit code that is left of this one: its last eight bits, and 1 of a text."""
    return code & 0xFF if isinstance(code, int) else int(code is not None)


def discard_stdout() -> None:
    """Let what is left in stdout's buffer go nowhere, or the interpreter fails on it once more when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class EndedBySignal(KeyboardInterrupt):
    """A signal asks the run to end."""


class Endings:
    """Holds signals and `os._exit` of this process until `release`. A signal that is ignored stays ignored.

    `before_exit` gets the exit code that somebody wants to end this process with, and returns the one to end with.
    """

    def __init__(self, before_exit: Callable[[int], int]) -> None:
        self._before_exit = before_exit
        self._held: list[signal.Signals] = []
        self._pid = os.getpid()
        self._found: Callable[[int], object] = _REAL_EXIT

    def hold(self) -> None:
        """Begin to hold them. Python takes signals in its main thread alone; elsewhere they stay as they are."""
        self._found = os._exit
        os._exit = self._exit
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._in_fork
        )
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:  # not what somebody else handles or ignores
                signal.signal(number, _end)
                self._held.append(number)

    def release(self, code: int) -> None:
        """Leave everything as it was found, but after a run that ended with a code other than 0 `os._exit`.

        Threads, and what is registered with atexit, go on for a while, and must not end the process with 0 then.
        A run within a test of another run leaves the exit code to that one, whose own hold is in force again.
        """
        is_within_another = isinstance(getattr(self._found, "__self__", None), Endings)
        if (code == 0 or is_within_another) and os._exit == self._exit:
            os._exit = self._found  # type: ignore[assignment]
        while self._held:
            signal.signal(self._held.pop(), signal.SIG_DFL)

    def _exit(self, status: int) -> NoReturn:
        if os.getpid() == self._pid:  # a fork of this process ends for itself alone
            status = self._before_exit(status)
        self._found(status)  # of another run, where this one is within it
        _REAL_EXIT(status)

    def _before_fork(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, self._held)

    def _after_fork(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._held)

    def _in_fork(self) -> None:
        """A fork ends as if it were alone, also by a signal that came before it could do this."""
        for number in self._held:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._held)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise EndedBySignal(signal.Signals(number).name)


def drop_entries_without_a_line(traceback: TracebackType | None) -> None:
    """Take out of a traceback what stands at no line of its file: pytest cannot show it, and would end with 1.

    A signal may come at an instruction that the compiler put in by itself; only what calls the first entry stays.
    """
    while traceback is not None and (following := traceback.tb_next) is not None:
        line: int | None = following.tb_lineno  # said to be an int, and is None there
        if line is None:
            traceback.tb_next = following.tb_next
        else:
            traceback = following
