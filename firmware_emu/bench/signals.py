"""The signals that end an emulator in good order, from its first instant to its last.

What was ignored when it started stays ignored (`nohup` ignores HUP, a shell's background job INT), but for
TERM: whoever sends that means it. Once one has come, the others are ignored, so that nothing interrupts the
clearing up. No handler raises: an exception that comes between any two instructions is swallowed in some places,
turned into another in some, and loses what was made and not yet noted down in all the others.
"""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EXIT_CODE_OF_SIGNALS = 128  # plus the number, as shells have it


class EndingSignals:
    """Ends the process at the first ending signal, or hands it to whoever is in charge at that moment."""

    def __init__(self) -> None:
        self._handler: Callable[[int], None] = self._leave
        self._made = ExitStack()
        self._holding = 0
        self._number: int | None = None  # of a signal that came while they were held

    def hand_to(self, handler: Callable[[int], None]) -> None:
        """From now on this is called, in the main thread, instead of ending the process."""
        self._handler = handler

    @contextmanager
    def making(self) -> Iterator[ExitStack]:
        """What is made in the block is undone at its end, also where a signal is that."""
        try:
            yield self._made
        finally:
            self._holding += 1  # and never less: the process is ending
            self._made.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal that comes in the block acts at its end: so that what is made is noted down."""
        self._holding += 1
        try:
            yield
        finally:
            self._holding -= 1
            if not self._holding and self._number is not None:
                self._handler(self._number)

    def caught(self, number: int, _frame: object) -> None:
        """Handle a signal that has come."""
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        if self._holding:
            self._number = number
        else:
            self._handler(number)

    def _leave(self, number: int) -> NoReturn:
        try:
            self._made.close()
        finally:
            os._exit(EXIT_CODE_OF_SIGNALS + number)


@contextmanager
def ending_signals() -> Iterator[EndingSignals]:
    """Catch the signals until the end of the block; then they do what they did before."""
    signals = EndingSignals()
    before = {number: signal.getsignal(number) for number in ENDING}
    for number, was in before.items():
        if was is not signal.SIG_IGN or number is signal.SIGTERM:
            signal.signal(number, signals.caught)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    try:
        yield signals
    finally:
        for number, was in before.items():
            signal.signal(number, was)
