"""An infusion program as it travels: header, groups of days, segments of the day, and its checksum [SPEC 6].

What a program means and which programs are refused is the controller's business.
"""

from typing import TYPE_CHECKING, NamedTuple

from protocol.checksum import crc32c
from protocol.identifiers import InfusionMode, ProgramFlag
from protocol.layout_atoms import U8, U16, U32, Reserved, Rows, enum_of, flags_of
from protocol.layouts import encode, message, nested

if TYPE_CHECKING:
    from collections.abc import Iterable

GROUPS_MAX = 7
SEGMENTS_MAX = 91


@message(
    "volume_nl" / U32 * "one bolus of the series",
    "duration_s" / U32,
    "interval_s" / U32 * "start to start",
    "first_delay_s" / U32 * "from the commit to the first",
)
class PeriodicBlock(NamedTuple):
    """Boluses that come by themselves; all 0 without the flag PERIODIC."""

    volume_nl: int = 0
    duration_s: int = 0
    interval_s: int = 0
    first_delay_s: int = 0


@message(
    "volume_nl" / U32 * "of one grant",
    "duration_s" / U32,
    "lockout_s" / U32 * "start to start",
    "window_s" / U32 * "in which at most max_count are granted",
    "max_count" / U8,
    Reserved(3),
)
class PatientBlock(NamedTuple):
    """Boluses that the patient may ask for; all 0 without the flag PATIENT."""

    volume_nl: int = 0
    duration_s: int = 0
    lockout_s: int = 0
    window_s: int = 0
    max_count: int = 0


@message(
    "volume_nl" / U32 * "delivered before the program starts",
    "rate_nl_per_day" / U32,
)
class BridgeBlock(NamedTuple):
    """The old drug's way out of the tubing, before the program starts; all 0 without the flag BRIDGE."""

    volume_nl: int = 0
    rate_nl_per_day: int = 0


@message(
    "day_mask" / U8 * "bit 0 Monday to bit 6 Sunday",
    "n_segments" / U8 * "taken from the list of segments, in order",
    "dose_ng_per_day" / U32 * "what was prescribed; shown, and checked against the rates",
)
class Group(NamedTuple):
    """Days that share one course of the day; all 0 beyond n_groups."""

    day_mask: int = 0
    n_segments: int = 0
    dose_ng_per_day: int = 0


@message(
    "start_min" / U16 * "minute of the local day",
    "rate_nl_per_day" / U32,
)
class Segment(NamedTuple):
    """From this minute of the local day on, this rate."""

    start_min: int
    rate_nl_per_day: int


@message(
    "mode" / enum_of(InfusionMode),
    "n_groups" / U8 * "1 to 7",
    "n_segments" / U8 * "1 to 91, of all groups together",
    "flags" / flags_of(ProgramFlag),
    "drug_id" / U16,
    Reserved(2),
    "concentration_ng_per_ml" / U32,
    "periodic" / nested(PeriodicBlock),
    "patient" / nested(PatientBlock),
    "bridge" / nested(BridgeBlock),
    "groups" / Rows(GROUPS_MAX, nested(Group)) * "unused groups 0",
)
class ProgramHeader(NamedTuple):
    """Everything of a program but its segments; 98 bytes. `groups` has seven rows, the unused ones 0."""

    mode: InfusionMode
    n_groups: int
    n_segments: int
    flags: ProgramFlag
    drug_id: int
    concentration_ng_per_ml: int
    periodic: PeriodicBlock = PeriodicBlock()
    patient: PatientBlock = PatientBlock()
    bridge: BridgeBlock = BridgeBlock()
    groups: tuple[Group, ...] = (Group(),) * GROUPS_MAX


def staged_crc(header: ProgramHeader, segments: "Iterable[Segment]") -> int:
    """CRC-32C of header and segments as they travel: names the staged program in PROG_COMMIT and REFILL."""
    return crc32c(encode(header) + b"".join(encode(segment) for segment in segments))


def padded_groups(groups: "Iterable[Group]") -> tuple[Group, ...]:
    """The used groups, and empty ones up to seven."""
    used = tuple(groups)
    return used + (Group(),) * (GROUPS_MAX - len(used))
