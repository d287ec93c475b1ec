"""Commands by their opcode, those of installed packages among them: for who decodes a frame.

Nothing is added here. A package adds messages by a `protocol.registry.VendorMessages`, which its entry point of the
group `pumpbench.messages` names: `fixtures/extensions/motor_messages` does, and "Adding to it" in
`firmware_emu/DESIGN.md` lists it beside what else can be added.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from protocol.registry import COMMANDS, MESSAGES_ENTRY_POINTS, VENDORS, command_at, register_vendor

if TYPE_CHECKING:
    from protocol.messages.command import Command


def known_command(opcode: int) -> Command:
    """The row of an opcode, of this wire or of an installed package. ValueError says why there is none."""
    found = command_at(opcode)
    if found is None:
        troubles = _register_installed()
        found = command_at(opcode)
        if found is None:
            raise ValueError("; ".join((f"no command of opcode 0x{opcode:02X} is known", *troubles)))
    return found


def all_commands() -> tuple[list[Command], tuple[str, ...]]:
    """Every command of this wire and of the installed packages, and why some package's could not be loaded."""
    troubles = _register_installed()
    vendors = (row for vendor in VENDORS.values() for row in vendor.commands)
    return [*COMMANDS.values(), *vendors], troubles


@cache
def _register_installed() -> tuple[str, ...]:
    """Register the messages of every installed package, once; returns why some could not be, a sentence each."""
    from importlib import metadata  # noqa: PLC0415 - 20 ms that a line without vendors' frames does not need

    troubles = []
    for entry_point in metadata.entry_points(group=MESSAGES_ENTRY_POINTS):
        try:
            register_vendor(entry_point.load())
        except Exception as error:  # noqa: BLE001 - of whoever wrote that package
            troubles.append(f"the messages {entry_point.name} cannot be loaded ({error})")
    return tuple(troubles)
