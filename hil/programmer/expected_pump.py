"""Which pump has to answer at an address: asked in each session before anything else is.

A board that was unplugged may come back as another one under the same path. Command ids protect what carries them
(`recognition`); this protects all the rest, such as settings and keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hil.errors import BenchLost

if TYPE_CHECKING:
    from protocol.messages.reading import GetInfoReply


class ExpectedPump:
    """The pump of one address: as the bench file says, or the first that answered there."""

    def __init__(self, address: str, *, serial: str = "", memory_id: int | None = None) -> None:
        """`serial` "": whichever is met first; `memory_id` None: any, since a board may be given a new memory."""
        self._address = address
        self._serial = serial
        self._memory_id = memory_id
        self._said_by = "the bench file" if serial or memory_id is not None else ""

    def check(self, info: GetInfoReply) -> None:
        """Refuse another pump than the expected one, by BenchLost, before it is sent anything that changes it."""
        serial = serial_of(info)
        if self._serial not in {"", serial} or self._memory_id not in {None, info.memory_id}:
            wanted = f"serial {self._serial or serial}"
            if self._memory_id is not None:
                wanted += f", memory {self._memory_id:016x}"
            source = f"{self._said_by} says" if self._said_by else "before it was"
            raise BenchLost(
                f"nothing was changed: another pump answers at {self._address}: serial {serial}, memory "
                f"{info.memory_id:016x}; {source} {wanted}",
                advice="look at the cable and the board, and begin anew",
            )
        self._serial = serial


def serial_of(info: GetInfoReply) -> str:
    """The serial number of a pump as people write it."""
    return info.serial.rstrip(b"\x00 ").decode("ascii", "backslashreplace")
