"""`pumpbench`, with a Ctrl-C from the moment at which a function is entered, and at every later call of any function.

Started as `python -m tests.unit.hil.interrupted_command FUNCTION TIMES ARGUMENTS...`.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from hil.cli.__main__ import main

if TYPE_CHECKING:
    from types import FrameType

_command, where, times, *arguments = sys.argv
begun: list[bool] = []
left = int(times)


def at_call(frame: FrameType, event: str, _argument: object) -> None:
    """Interrupt this process, as long as there is a Ctrl-C left."""
    global left  # noqa: PLW0603 - it counts for the whole process
    if event == "call" and (begun or frame.f_code.co_qualname == where):
        begun.append(True)
        if left:
            left -= 1
            os.kill(os.getpid(), signal.SIGINT)


sys.argv = ["pumpbench", *arguments]
sys.setprofile(at_call)
main()
