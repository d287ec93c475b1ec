"""Which program runs in the pump, as GET_INFO and the log tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.log.data import FwInfoData
from protocol.wire.checksum import crc32c

if TYPE_CHECKING:
    from firmware_emu.pins import ProcessorPin
    from firmware_emu.profile import PumpModel


def running_firmware(model: PumpModel) -> FwInfoData:
    """Its version, its check and the revision of its hardware; an emulated program's check is that of its version."""
    version = model.firmware_version
    return FwInfoData(version, crc32c(version.to_bytes(4, "little")), model.hardware_revision)


def code_fails(processor: ProcessorPin, model: PumpModel) -> bool:
    """Whether the code as it lies there has another check than it was made with."""
    return crc32c(processor.read_code()) != running_firmware(model).fw_crc32
