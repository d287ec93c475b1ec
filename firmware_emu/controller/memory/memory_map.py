"""Where everything lies in the pump's memory: offsets and sizes. Places only; `memory` writes and checks.

From the bottom: the done mark, two checkpoint slots, one record a region, the first redo journal, the main log's
ring, the security log's ring, the second redo journal. Everything below the rings lies at a fixed offset, whatever
the log's capacity; the second journal lies behind them, so that no page of cells has a part of both journals.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from protocol.log.types import LogName

RECORD_OVERHEAD_BYTES: Final = 2 + 1 + 4  # length u16, version u8, CRC-32C behind the payload
CHECKPOINT_OVERHEAD_BYTES: Final = 4 + 2 + 4  # sequence u32, length u16, CRC-32C behind the data
CHECKPOINT_CAPACITY_BYTES: Final = 502  # one delivery of each source at once
CHECKPOINT_SLOT_BYTES: Final = CHECKPOINT_CAPACITY_BYTES + CHECKPOINT_OVERHEAD_BYTES
LOG_SLOT_BYTES: Final = 32  # an entry as it is on the wire [SPEC 8]
MARK_BYTES: Final = 8  # sequence u32, its complement u32
JOURNAL_HEADER_BYTES: Final = 12  # magic u32, sequence u32, length of the items u32
JOURNAL_ITEM_BYTES: Final = 6  # offset u32, length u16, before each item's bytes
LOG_SLOTS_IN_ONE_COMMIT: Final = (
    64  # a boot after a cut logs most: a dozen entries and their chain checkpoints
)
SECURITY_LOG_SHARE: Final = 10  # the security log has a tenth of the main log's slots [SPEC 8]
_ALIGNMENT_BYTES: Final = 64


class Region(IntEnum):
    """One record each; what is in it is its owner's business."""

    IDENTITY = 0
    SETTINGS = 1
    THERAPY = 2
    PROGRAM = 3
    RESERVOIR = 4
    LEDGER = 5
    ALARMS = 6
    BOLUS_WINDOW = 7
    WALL_CLOCK = 8
    SERVICE = 9
    TEXTS = 10
    DAY = 11
    KEYS = 12
    KEYS_COPY = 13
    PATIENT = 14
    PERIODIC = 15


# Damage here leaves no therapy that may be trusted; damage elsewhere costs comfort [DOMAIN 8.4, fault 40].
CRITICAL_REGIONS: Final = frozenset(
    {
        Region.IDENTITY,
        Region.SETTINGS,
        Region.THERAPY,
        Region.PROGRAM,
        Region.RESERVOIR,
        Region.LEDGER,
        Region.BOLUS_WINDOW,
        Region.PATIENT,
        Region.PERIODIC,
    }
)


class Place(NamedTuple):
    """A record's home: where it starts, how long a payload may be, which version of its layout we write."""

    offset: int
    capacity_bytes: int
    version: int


class Ring(NamedTuple):
    """A log's home: where slot 0 starts and how many slots it has."""

    offset: int
    slots: int


_CAPACITY_BYTES: Final = {
    Region.IDENTITY: 160,  # memory id, epoch, the device's own keys
    Region.SETTINGS: 128,  # limits that the clinic may change
    Region.THERAPY: 512,  # mode, accumulators, the bolus in work
    Region.PROGRAM: 98 + 91 * 6 + 16,  # header and segments [SPEC 6], revision and state
    Region.RESERVOIR: 128,
    Region.LEDGER: 2_688,  # 8 keys x (12 + 8 entries x 40 B), see `ledger`
    Region.ALARMS: 31 * 17,  # a record an alarm, as many as there are bits for
    Region.BOLUS_WINDOW: 128 * 12 + 32,
    Region.WALL_CLOCK: 64,
    Region.SERVICE: 256,
    Region.TEXTS: 4 * 65 + 12,  # patient id, notes, drug name, catheter model: 64 bytes each
    Region.DAY: 64,  # where the local day began
    Region.KEYS: 256,  # 8 slots, sealed, see `key_ring`
    Region.KEYS_COPY: 256,  # the same once more: one damaged record locks nobody out
    Region.PATIENT: 14 + (255 + 12) * 8,  # the ticks of all grants of a window, see `patient_requests`
    Region.PERIODIC: 32,
}
_VERSION: Final = dict.fromkeys(Region, 1)


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES


MARK_OFFSET: Final = 0
CHECKPOINT_OFFSETS: Final = (256, 256 + CHECKPOINT_SLOT_BYTES)
_REGIONS_OFFSET: Final = 256 + 2 * CHECKPOINT_SLOT_BYTES


def _place_regions() -> dict[Region, Place]:
    places = {}
    offset = _REGIONS_OFFSET
    for region in Region:
        places[region] = Place(offset, _CAPACITY_BYTES[region], _VERSION[region])
        offset = _aligned(offset + RECORD_OVERHEAD_BYTES + _CAPACITY_BYTES[region])
    return places


PLACES: Final = _place_regions()
_LAST = PLACES[max(Region)]

FIRST_JOURNAL_OFFSET: Final = _aligned(_LAST.offset + RECORD_OVERHEAD_BYTES + _LAST.capacity_bytes)
# The largest transaction: every region full, a checkpoint, and a boot's worth of log slots.
JOURNAL_CAPACITY_BYTES: Final = (
    JOURNAL_HEADER_BYTES
    + sum(JOURNAL_ITEM_BYTES + RECORD_OVERHEAD_BYTES + capacity for capacity in _CAPACITY_BYTES.values())
    + (JOURNAL_ITEM_BYTES + CHECKPOINT_OVERHEAD_BYTES + CHECKPOINT_CAPACITY_BYTES)
    + LOG_SLOTS_IN_ONE_COMMIT * (JOURNAL_ITEM_BYTES + LOG_SLOT_BYTES)
    + 4  # its CRC-32C
)
LOG_OFFSET: Final = _aligned(FIRST_JOURNAL_OFFSET + JOURNAL_CAPACITY_BYTES)


def log_ring(log: LogName, log_capacity: int) -> Ring:
    """The ring of one log; the security log lies behind the main log and comes on top of its capacity."""
    if log is LogName.MAIN:
        return Ring(LOG_OFFSET, log_capacity)
    return Ring(LOG_OFFSET + log_capacity * LOG_SLOT_BYTES, max(1, log_capacity // SECURITY_LOG_SHARE))


def journal_offsets(log_capacity: int) -> tuple[int, int]:
    """Where the two journals lie; the second behind the logs."""
    ring = log_ring(LogName.SECURITY, log_capacity)
    return FIRST_JOURNAL_OFFSET, _aligned(ring.offset + ring.slots * LOG_SLOT_BYTES)


def memory_size_bytes(log_capacity: int) -> int:
    """How large a memory must be for a main log of so many entries."""
    return journal_offsets(log_capacity)[1] + JOURNAL_CAPACITY_BYTES
