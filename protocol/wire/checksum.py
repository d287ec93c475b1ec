"""The two checks of the wire: CRC-32C of a frame [SPEC 3] and CRC-16/CCITT-FALSE of a log entry [SPEC 8].

They find damage, not malice: whoever can write a frame can write its check. The only home of crcmod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crcmod import mkCrcFun
from crcmod.crcmod import _usingExtension
from crcmod.predefined import mkPredefinedCrcFun

if TYPE_CHECKING:
    from collections.abc import Callable

# Names, not wrappers: each is crcmod's own function.

# CRC-32C (Castagnoli); check value of b"123456789": E3069283
crc32c: Callable[[bytes], int] = mkPredefinedCrcFun("crc-32c")

# CRC-16/CCITT-FALSE; check value of b"123456789": 29B1
crc16_ccitt_false: Callable[[bytes], int] = mkCrcFun(0x11021, initCrc=0xFFFF, rev=False, xorOut=0)


def uses_c_extension() -> bool:
    """Whether crcmod computes in C; its fallback to Python is silent and 26 times slower."""
    return bool(_usingExtension)
