"""A plugin of pytest for `pumpbench hil` alone: Ctrl-C while pytest starts ends the process with 130, without a word.

An exception that falls into an import comes out as a traceback. So Ctrl-C is held back from before pytest's process
image begins until its session can take it; nothing has been done before that. No pytest here.
"""

from __future__ import annotations

import os
import signal
from typing import Any

INTERRUPTED = 130  # what a shell makes of SIGINT


def hold_ctrl_c() -> None:
    """Hold back Ctrl-C; a process image that replaces this one begins with it held back."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


def pytest_addoption(parser: Any) -> None:
    """What `hil run` alone tells its pytest."""
    help_text = "SHA-256 of the firmware file once it was flashed"
    parser.getgroup("pumpbench").addoption("--hil-flashed", metavar="HEX", default="", help=help_text)


def pytest_configure(config: Any) -> None:
    """Take what was held back, and what comes from here on; a list of tests has nothing to tidy up at its end."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # or somebody wants it ignored
        if signal.SIGINT in signal.sigpending():
            os._exit(INTERRUPTED)
        if config.getoption("--hil-list"):
            signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
