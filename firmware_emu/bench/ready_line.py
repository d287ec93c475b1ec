"""The first line of an emulator's stdout: one JSON object that tells a program all it needs to talk to the pump.

When it appears everything in it is open: no byte that is sent after it is lost.
"""

from __future__ import annotations

import json
import os
import select
import sys
from typing import TYPE_CHECKING

from firmware_emu.bench.errors import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOTICE = "This is an emulated pump. It is not a medical device, and must never be used with a patient."


def tell(opened: Mapping[str, object], before_its_end: Callable[[], None]) -> None:
    """Print the line of what was opened, or say that it cannot be printed. Who closed stdout does not want it."""
    fields = {"ready": True, "kind": "emulator", "virtual": True, **opened, "not_a_medical_device": NOTICE}
    if sys.stdout is None:
        before_its_end()
        return
    try:
        write_line(sys.stdout.fileno(), json.dumps(fields) + "\n", before_its_end)
    except OSError as error:
        raise NotWrittenError(
            f"the ready line could not be written ({error.strerror}); let stdout lead to somebody who reads it"
        ) from error


def write_line(descriptor: int, line: str, before_its_end: Callable[[], None]) -> None:
    """Write the whole line; `before_its_end` is called when nothing is left of it that could have to wait.

    Waits for a reader in a poll alone, which lets a handler of a signal run: a write that has begun to wait goes on
    after the handler.
    """
    data = line.encode()
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    room.poll()
    while len(data) > select.PIPE_BUF:  # a pipe that is ready takes as much without waiting
        data = data[os.write(descriptor, data[: select.PIPE_BUF]) :]
        room.poll()
    before_its_end()
    while data:
        data = data[os.write(descriptor, data) :]
