"""The first line of an emulator's stdout: one JSON object that tells a program all it needs to talk to the pump.

When it appears everything in it is open: no byte that is sent after it is lost.
"""

from __future__ import annotations

import json
import os
import select
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOTICE = "This is an emulated pump. It is not a medical device, and must never be used with a patient."


def ready_line(opened: Mapping[str, object]) -> str:
    """The line, with its end, of what was opened. Absent ports and options are null."""
    fields = {"ready": True, "kind": "emulator", "virtual": True, **opened, "not_a_medical_device": NOTICE}
    return json.dumps(fields) + "\n"


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
