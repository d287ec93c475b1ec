"""What commands share that offer programmers a port of their own: they say where it is, and end by a signal."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

from hil.cli.output import writing
from hil.errors import AnswerNotWritten

if TYPE_CHECKING:
    from contextlib import ExitStack

    from hil.targets.emulated import EndingSignals
    from hil.waking_loop import WakingLoop


def stop_on_signals(signals: EndingSignals, loop: WakingLoop, stack: ExitStack) -> None:
    """From here on, until `stack` ends, a signal ends the loop in good order."""
    signal.set_wakeup_fd(loop.wake_descriptor, warn_on_full_buffer=False)
    stack.callback(signal.set_wakeup_fd, -1)
    signals.hand_to(lambda _number: loop.stop())


def tell_ready(line: str, signals: EndingSignals, loop: WakingLoop, stack: ExitStack) -> None:
    """Say where the programmer finds its port; from then on a signal ends the loop in good order."""
    from hil.targets.emulated import write_line  # noqa: PLC0415 - once all is known to be right

    if sys.stdout is None:
        raise AnswerNotWritten("", "stdout is closed")
    with writing():
        write_line(sys.stdout.fileno(), line + "\n", lambda: stop_on_signals(signals, loop, stack))
