"""What a device says of itself, in words: first of all whether it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.programmer.expected_pump import serial_of
from protocol.identifiers import DeviceKind, SecurityProfile

if TYPE_CHECKING:
    from protocol.messages.reading import GetInfoReply


def identity_of(info: GetInfoReply) -> str:
    """What a report says of the device, first of all whether it is one."""
    return ", ".join(f"{label} {text}".strip() for label, text in identity_parts(info))


def identity_parts(info: GetInfoReply) -> list[tuple[str, str]]:
    """The parts of a device's identity, a label ("" where none is needed) and a text each."""
    kind = {
        DeviceKind.EMULATOR: "EMULATED pump (virtual, not a medical device)",
        DeviceKind.REPLAY: "REPLAY of a recorded session",
        DeviceKind.HARDWARE: "hardware",
    }[info.kind]
    parts = [
        ("", kind),
        ("serial", serial_of(info)),
        ("model", f"0x{info.model:04X}"),
        ("firmware", f"0x{info.fw:08X}"),
    ]
    if info.dev_key:
        parts.append(("", "development key"))
    if info.profile != SecurityProfile.SECURED:
        parts.append(("", "OPEN profile: nothing is encrypted"))
    return parts
