"""The dissector as one text of Lua."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Final

from hil.wireshark.declarations import lua_declarations

if TYPE_CHECKING:
    from collections.abc import Iterable

    from protocol.messages.command import Command

FILE_NAME: Final = "pumpbench.lua"
"""Under which Wireshark finds it among its plug-ins."""
FIRST_WORDS: Final = "-- Dissector of the wire of pumpbench"
"""By which a file is known to be one."""


def dissector(commands: Iterable[Command]) -> str:
    """The whole dissector for these commands, and for all frames that are none."""
    room = resources.files("hil.wireshark")
    whole = room.joinpath("dissector.lua").read_text(encoding="utf-8")
    parts = {
        "--@DECLARATIONS@": lua_declarations(commands),
        "--@ARITHMETIC@": room.joinpath("arithmetic.lua").read_text(encoding="utf-8"),
        "--@MESSAGES@": room.joinpath("messages.lua").read_text(encoding="utf-8"),
    }
    for place, text in parts.items():
        before, found, behind = whole.partition(place + "\n")
        if not found:
            raise LookupError(f"dissector.lua has no line {place}")
        whole = before + text.rstrip("\n") + "\n" + behind
    return whole
