"""Non-volatile memory cells, byte-writable. What the bytes mean is the controller's business.

Pages are sparse and immutable, so forks of a pump share them. What was written since `take_writes` is kept
for the image on file. What a torn write means for a record: the controller's `memory`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.pins import PowerCut
from firmware_emu.plant.component import COUNT, Component, Json, Kinds, Range, integer, record
from firmware_emu.plant.fault_records import CutAtWrite

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE_BYTES = 256
ERASED = b"\xff" * PAGE_BYTES
DEFAULT_SIZE_BYTES = 64 * 1024
"""More than the controller's memory map needs; it has the say."""
CUT: Final[Kinds] = {"writes_left": Range(1), "torn_after_bytes": COUNT, "stays_off": bool}


class AddressError(ValueError):
    """An address that the memory does not have."""

    def __init__(self, offset: int, length: int, size: int) -> None:
        super().__init__(f"{length} bytes at {offset} are outside the memory of {size} bytes")


class Flash(Component):
    """Implements `pins.MemoryPin`."""

    __slots__ = ("cut", "cuts", "pages", "size_bytes", "writes")

    def __init__(self, size_bytes: int = DEFAULT_SIZE_BYTES) -> None:
        self.size_bytes = size_bytes
        self.pages: dict[int, bytes] = {}
        self.writes: list[tuple[int, bytes]] = []
        self.cut: CutAtWrite | None = None
        self.cuts = 0

    def read(self, offset: int, length: int) -> bytes:
        """Bytes as they are; FF where nothing was ever written."""
        if offset < 0 or length < 0 or offset + length > self.size_bytes:
            raise AddressError(offset, length, self.size_bytes)
        start = offset % PAGE_BYTES
        if start + length <= PAGE_BYTES:
            return self.pages.get(offset // PAGE_BYTES, ERASED)[start : start + length]
        first, last = offset // PAGE_BYTES, (offset + length - 1) // PAGE_BYTES
        stretch = b"".join([self.pages.get(number, ERASED) for number in range(first, last + 1)])
        return stretch[start : start + length]

    def write(self, offset: int, data: bytes) -> None:
        """Write all of it, or as much as lands before an armed power cut."""
        if offset < 0 or offset + len(data) > self.size_bytes:
            raise AddressError(offset, len(data), self.size_bytes)
        if self.cut is not None:
            self._write_with_cut(self.cut, offset, data)
            return
        self._put(offset, data)
        self.writes.append((offset, data))

    def write_in_turn(self, writes: Sequence[tuple[int, bytes]]) -> None:
        """Write to places that never overlap, in order; only the last of each is left on its page."""
        if self.cut is not None:
            for offset, data in writes:
                self.write(offset, data)
            return
        for offset, data in dict(writes).items():
            if offset < 0 or offset + len(data) > self.size_bytes:
                raise AddressError(offset, len(data), self.size_bytes)
            self._put(offset, data)
        self.writes += writes

    def take_writes(self) -> tuple[tuple[int, bytes], ...]:
        """All writes since the last call, in order, torn ones as they landed."""
        if not self.writes:
            return ()
        writes, self.writes = tuple(self.writes), []
        return writes

    def load(self, writes: Iterable[tuple[int, bytes]]) -> None:
        """Lay recorded writes over the memory, recording nothing."""
        for offset, data in writes:
            if offset < 0 or offset + len(data) > self.size_bytes:
                raise AddressError(offset, len(data), self.size_bytes)
            self._put(offset, data)

    def contents(self) -> tuple[tuple[int, bytes], ...]:
        """The whole memory as writes: each page that is not erased, by offset."""
        return tuple(
            (number * PAGE_BYTES, page) for number, page in sorted(self.pages.items()) if page != ERASED
        )

    def _put(self, offset: int, data: bytes) -> None:
        number, start = divmod(offset, PAGE_BYTES)
        end = start + len(data)
        if end <= PAGE_BYTES:
            page = self.pages.get(number, ERASED)
            self.pages[number] = b"".join((page[:start], data, page[end:]))
            return
        head = PAGE_BYTES - start
        self._put(offset, data[:head])
        for done in range(head, len(data), PAGE_BYTES):
            self._put(offset + done, data[done : done + PAGE_BYTES])

    def _write_with_cut(self, cut: CutAtWrite, offset: int, data: bytes) -> None:
        if cut.writes_left > 1:
            self.cut = cut._replace(writes_left=cut.writes_left - 1)
            landed = data
        else:
            self.cut = None
            self.cuts += 1
            landed = data[: cut.torn_after_bytes]
        if landed:
            self._put(offset, landed)
            self.writes.append((offset, landed))
        if self.cut is None:
            raise PowerCut(stays_off=cut.stays_off)

    def to_json(self) -> Json:
        """State without the pages, which the image keeps as writes."""
        return {"cut": None if self.cut is None else list(self.cut), "cuts": self.cuts}

    def from_json(self, state: Json) -> None:
        cut = record(state, "cut", CUT)
        self.cut = None if cut is None else CutAtWrite(cut[0], cut[1], bool(cut[2]))
        self.cuts = integer(state, "cuts")
