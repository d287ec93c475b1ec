"""Non-volatile memory cells, byte-writable. What the bytes mean is the controller's business.

Pages are sparse and immutable, so forks of a pump share them. What was written since `take_writes` is kept
for the image on file. What a torn write means for a record: the controller's `memory`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.pins import Load, PowerCut
from firmware_emu.plant.component import COUNT, Component, Json, Kinds, Range, integer, record, rows, section
from firmware_emu.plant.fault_records import CutAtWrite

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from firmware_emu.plant.battery import Battery

PAGE_BYTES = 256
ERASED = b"\xff" * PAGE_BYTES
DEFAULT_SIZE_BYTES = 64 * 1024
"""More than the controller's memory map needs; it has the say."""
FLIP: Final[Kinds] = {"offset": COUNT, "bit": Range(0, 7), "seen": bool}
STUCK: Final[Kinds] = {"start": COUNT, "end": Range(1)}
CUT: Final[Kinds] = {"writes_left": Range(1), "torn_after_bytes": COUNT, "stays_off": bool}


class AddressError(ValueError):
    """An address that the memory does not have."""

    def __init__(self, offset: int, length: int, size: int) -> None:
        super().__init__(f"{length} bytes at {offset} are outside the memory of {size} bytes")


class BitFlip(NamedTuple):
    """A cell that reads as what was not written there, until something is."""

    offset: int
    bit: int
    seen: bool = False
    """Whether a read has met it."""


class Stuck(NamedTuple):
    """Cells from `start` to before `end` that take no write."""

    start: int
    end: int


class Flash(Component):
    """Implements `pins.MemoryPin`."""

    __slots__ = (
        "battery",
        "cut",
        "cuts",
        "flips",
        "flips_seen",
        "pages",
        "places",
        "refused",
        "size_bytes",
        "stuck_cells",
        "stuck_pages",
        "worn",
        "writes",
    )

    def __init__(self, size_bytes: int = DEFAULT_SIZE_BYTES, battery: Battery | None = None) -> None:
        """Erased cells; without a `battery` a write loads none."""
        self.size_bytes = size_bytes
        self.battery = battery
        self.pages: dict[int, bytes] = {}
        self.writes: list[tuple[int, bytes]] = []
        self.cut: CutAtWrite | None = None
        self.cuts = 0
        self.places: tuple[tuple[int, int], ...] = ()
        """Where its user keeps each of its records and how long one may be, for a rig to aim at."""
        self.flips: tuple[BitFlip, ...] = ()
        self.flips_seen = 0
        self.stuck_pages: tuple[Stuck, ...] = ()
        self.stuck_cells: tuple[Stuck, ...] = ()
        self.refused: dict[str, int] = dict.fromkeys(("stuck_pages", "stuck_cells"), 0)
        """Writes of which something did not land, by what they met."""
        self.worn = False
        """Whether there are cells that flipped or are stuck."""

    def read(self, offset: int, length: int) -> bytes:
        """Bytes as they read; FF where nothing was ever written."""
        return self._read_flipped(offset, length) if self.flips else self._read(offset, length)

    def _read(self, offset: int, length: int) -> bytes:
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
        if self.battery is not None and self.battery.film is not None:
            self._load_supply(self.battery, offset, data)
        if self.cut is not None:
            self._write_with_cut(self.cut, offset, data)
            return
        self._land(offset, data)

    def _load_supply(self, battery: Battery, offset: int, data: bytes) -> None:
        """Draw what a write draws; where power goes, it goes in the middle of the write."""
        try:
            battery.draw(Load.MEMORY_WRITE, battery.loads.memory_write_ma)
        except PowerCut:
            if len(data) > 1:
                self._land(offset, data[: len(data) // 2])
            raise

    def _land(self, offset: int, data: bytes) -> None:
        for start, piece in self._taken(offset, data) if self.worn else ((offset, data),):
            self._put(start, piece)
            self.writes.append((start, piece))

    def write_in_turn(self, writes: Sequence[tuple[int, bytes]]) -> None:
        """Write to places that never overlap, in order; only the last of each is left on its page."""
        if self.cut is not None or self.worn or (self.battery is not None and self.battery.film is not None):
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
            self._land(offset, landed)
        if self.cut is None:
            raise PowerCut(stays_off=cut.stays_off)

    # Cells that are worn

    def flip(self, offset: int, bit: int) -> None:
        """Let a bit read as its opposite until its byte is written again; once more, and it reads as it was."""
        if not 0 <= offset < self.size_bytes:
            raise AddressError(offset, 1, self.size_bytes)
        others = tuple(each for each in self.flips if (each.offset, each.bit) != (offset, bit))
        self.flips = (*others, BitFlip(offset, bit)) if len(others) == len(self.flips) else others
        self._inspect()

    def stick(self, kind: str, start: int, end: int) -> None:
        """Let cells take no write any more; `kind` is the slot that remembers them."""
        if not 0 <= start < end <= self.size_bytes:
            raise AddressError(start, end - start, self.size_bytes)
        setattr(self, kind, (*getattr(self, kind), Stuck(start, end)))
        self._inspect()

    def heal(self, kind: str) -> None:
        """End all faults of a kind: `flips`, `stuck_pages` or `stuck_cells`."""
        setattr(self, kind, ())
        self._inspect()

    def _inspect(self) -> None:
        self.worn = bool(self.flips or self.stuck_pages or self.stuck_cells)

    def _read_flipped(self, offset: int, length: int) -> bytes:
        data = bytearray(self._read(offset, length))
        flips = []
        for flip in self.flips:
            met = offset <= flip.offset < offset + length
            if met:
                data[flip.offset - offset] ^= 1 << flip.bit
                self.flips_seen += not flip.seen
            flips.append(flip._replace(seen=flip.seen or met))
        self.flips = tuple(flips)
        return bytes(data)

    def _taken(self, offset: int, data: bytes) -> list[tuple[int, bytes]]:
        """What of a write lands, in order: all but stuck cells; a bit that had flipped is written like any other."""
        pieces = [(offset, data)]
        for kind in self.refused:
            before = pieces
            for stuck in getattr(self, kind):
                pieces = [rest for piece in pieces for rest in _without(piece, stuck)]
            self.refused[kind] += pieces != before
        if self.flips:
            ranges = [(start, start + len(piece)) for start, piece in pieces]
            self.flips = tuple(
                flip for flip in self.flips if not any(start <= flip.offset < end for start, end in ranges)
            )
            self._inspect()
        return pieces

    def to_json(self) -> Json:
        """State without the pages, which the image keeps as writes."""
        return {
            "cut": None if self.cut is None else list(self.cut),
            "cuts": self.cuts,
            "flips": [list(flip) for flip in self.flips],
            "flips_seen": self.flips_seen,
            "stuck_pages": [list(stuck) for stuck in self.stuck_pages],
            "stuck_cells": [list(stuck) for stuck in self.stuck_cells],
            "refused": dict(self.refused),
        }

    def from_json(self, state: Json) -> None:
        self.flips = tuple(
            BitFlip(offset, bit, bool(seen)) for offset, bit, seen in rows(state, "flips", FLIP)
        )
        self.flips_seen = integer(state, "flips_seen")
        self.stuck_pages = tuple(Stuck(*each) for each in rows(state, "stuck_pages", STUCK))
        self.stuck_cells = tuple(Stuck(*each) for each in rows(state, "stuck_cells", STUCK))
        refused = section(state, "refused")
        self.refused = {kind: integer(refused, kind) for kind in self.refused}
        self._inspect()
        cut = record(state, "cut", CUT)
        self.cut = None if cut is None else CutAtWrite(cut[0], cut[1], bool(cut[2]))
        self.cuts = integer(state, "cuts")


def _without(piece: tuple[int, bytes], stuck: Stuck) -> list[tuple[int, bytes]]:
    """What of a piece lies outside stuck cells."""
    offset, data = piece
    end = offset + len(data)
    if stuck.end <= offset or end <= stuck.start:
        return [piece]
    before, after = data[: max(0, stuck.start - offset)], data[max(0, stuck.end - offset) :]
    return [(at, rest) for at, rest in ((offset, before), (stuck.end, after)) if rest]
