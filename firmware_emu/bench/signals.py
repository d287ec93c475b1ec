"""The signals that end an emulator in good order, from its first instant to its last.

What was ignored when it started stays ignored (`nohup` ignores HUP, a shell's background job INT), but for
TERM: whoever sends that means it. Once one has come, the others are ignored, so that nothing interrupts the
clearing up.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EXIT_CODE_OF_SIGNALS = 128  # plus the number, as shells have it


class EndedBySignal(BaseException):
    """A signal came before there was anything that could end in good order by itself."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = EXIT_CODE_OF_SIGNALS + number


class EndingSignals:
    """Hands the first ending signal to whoever is in charge at that moment."""

    def __init__(self) -> None:
        self._handler: Callable[[int], None] = self._raise

    def hand_to(self, handler: Callable[[int], None]) -> None:
        """From now on this is called, in the main thread, instead of raising EndedBySignal."""
        self._handler = handler

    def caught(self, number: int, _frame: object) -> None:
        """The system's own call."""
        for each in ENDING:
            signal.signal(each, signal.SIG_IGN)
        self._handler(number)

    def _raise(self, number: int) -> NoReturn:
        raise EndedBySignal(number)


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
