"""Ctrl-C on the command line: heard once while something can be broken off, and not at all once an answer was told.

Only the process of `pumpbench` hears it so; a caller of its functions keeps the handler that it has.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from hil.errors import Interrupted, PumpbenchError

if TYPE_CHECKING:
    from types import FrameType

NOTHING_SENT = "nothing was sent"


class _Interrupts:
    """The handler of SIGINT: raises KeyboardInterrupt at the first one, if it is still listening."""

    listening = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self.listening:
            self.listening = False  # a second one would break off what sees to the first
            raise KeyboardInterrupt


_interrupts = _Interrupts()


def hear_one() -> None:
    """Make the first Ctrl-C a KeyboardInterrupt and ignore all others, unless somebody wants it ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        _interrupts.listening = True
        signal.signal(signal.SIGINT, _interrupts)


def hear_none() -> None:
    """Ignore Ctrl-C from here on: what was asked for has ended, and its exit code is earned."""
    _interrupts.listening = False


def exit_unheard(code: int) -> NoReturn:
    """End the process with this code; Ctrl-C is blocked, since Python gives up its handlers before it ends.

    A Ctrl-C that fell into code made from a string (a layout, a named tuple) Python remembers, though it was handled,
    and `python -m` would end by it: the next code from a string makes it forget.
    """
    hear_none()
    exec("")  # noqa: S102 - nothing
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    sys.exit(code)


def ending_of(interrupt: BaseException, otherwise: str = NOTHING_SENT) -> PumpbenchError:
    """The error that a Ctrl-C has met under way, else one that says what is so where it met none."""
    earlier = interrupt.__context__
    while earlier is not None:
        if isinstance(earlier, PumpbenchError):
            return earlier
        earlier = earlier.__context__
    return Interrupted(otherwise)
