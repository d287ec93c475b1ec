"""Which memory this is: drawn when it was created, so that a programmer knows whether it talks to the same pump.

Beside it stands which program the log has told last, so that it tells another one when that begins to run.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from protocol.log.data import FwInfoData

_RECORD = struct.Struct("<QIH16sIIH")
CHAIN_KEY_BYTES = 16
NO_FIRMWARE = FwInfoData(0, 0, 0)


@dataclass(slots=True)
class Identity:
    """`implant_wall_s` counts from 2000-01-01 UTC; 0 where the pump is not implanted or had no clock then."""

    memory_id: int = 0
    implant_wall_s: int = 0
    epoch: int = 1
    chain_key: bytes = field(default=bytes(CHAIN_KEY_BYTES), repr=False)
    firmware_told: FwInfoData = NO_FIRMWARE

    def pack(self) -> bytes:
        """Bytes of the region."""
        return _RECORD.pack(
            self.memory_id, self.implant_wall_s, self.epoch, self.chain_key, *self.firmware_told
        )

    @classmethod
    def unpack(cls, data: bytes) -> Identity:
        """The identity; ValueError where the length is wrong."""
        if len(data) != _RECORD.size:
            raise ValueError(f"identity record has {len(data)} bytes, expected {_RECORD.size}")
        memory_id, implant_wall_s, epoch, chain_key, *told = _RECORD.unpack(data)
        return cls(memory_id, implant_wall_s, epoch, chain_key, FwInfoData(*told))
