"""The first line of an emulator's stdout: one JSON object that tells a program all it needs to talk to the pump.

When it appears everything in it is open: no byte that is sent after it is lost. On a terminal there are a few lines for
people in its place.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING

from firmware_emu.bench.errors import NotWrittenError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOTICE = "This is an emulated pump. It is not a medical device, and must never be used with a patient."

ALWAYS_JSON = ContextVar("ALWAYS_JSON", default=False)
"""Whether a terminal gets the JSON object too; the command line says so."""


def tell(opened: Mapping[str, object], before_its_end: Callable[[], None]) -> None:
    """Print the line of what was opened; NotWrittenError where nobody can get it."""
    if sys.stdout is None:
        raise _not_written("stdout is closed")
    for_people = sys.stdout.isatty() and not ALWAYS_JSON.get()
    line = _lines_for_people(opened) if for_people else _json_line(opened)
    try:
        write_line(sys.stdout.fileno(), line, before_its_end)
    except OSError as error:
        raise _not_written(error.strerror or str(error)) from error


def _not_written(why: str) -> NotWrittenError:
    return NotWrittenError(
        f"the ready line could not be written ({why}); let stdout lead to somebody who reads it, or to /dev/null"
    )


def _json_line(opened: Mapping[str, object]) -> str:
    fields = {"ready": True, "kind": "emulator", "virtual": True, **opened, "not_a_medical_device": NOTICE}
    return json.dumps(fields) + "\n"


def _lines_for_people(opened: Mapping[str, object]) -> str:
    """Where the pump is, how to talk to it and its bench, and how to end it."""
    target, port, link = str(opened["target"]), opened["port"], opened["link"]
    if (
        port and link and str(link).isprintable()
    ):  # else it would be another name on the terminal, or more lines
        target = target.replace(str(port), str(link))  # the name that stays the same over restarts
    if target:
        lines = [
            f"An emulated pump is ready at {target}. It is not a medical device.",
            f"Talk to it:   pumpbench program status --target {shlex.quote(target)}",
        ]
    else:
        lines = [
            f"An emulated pump is ready at its end of a cable, {port}. It is not a medical device.",
            "Talk to it:   pumpbench program status --target /dev/NAME, the port at the other end",
        ]
    if opened["control"]:
        lines.append(f"Rig control:  {opened['control']}, with the token {opened['token']}")
    lines.append(f"End it:       Ctrl-C, or kill {os.getpid()}")
    return "\n".join(lines) + "\n"


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
