"""Entries of a log as lines for people, each with the date and time of the pump's clock where that can be known.

An entry carries the pump's running time alone. What its wall clock showed follows from the entries around it: TIME_SET
and TIME_REF say both times at once, and WALL_INVALID and BOOT end what was known before them [SPEC 8].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hil.cli.documents import EntryPart, LogPart, LostEntries
from hil.cli.tables import iso_time, wall_text
from hil.quantity_words import U32_MAX, duration, ml, ml_per_day
from protocol.codec.atoms import Malformed
from protocol.codec.field_words import bare_name_and_unit
from protocol.identifiers import Role
from protocol.log.data import TimeRefData, TimeSetData
from protocol.log.entry import LogEntry, describe_actor
from protocol.log.types import LogFlag, LogType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hil.programmer.log_reading import LogHistory

S_PER_DAY = 86_400
_IN_HEX = frozenset({"cmd_crc", "crc", "fw_crc32", "address", "op", "opcode"})
_IN_PLACE = {("next_allowed_s", U32_MAX): "not by waiting alone"}
"""Values of a field that are no quantity of it [SPEC 8]."""
_IN_WORDS = {"nL": ml, "nL/day": ml_per_day, "s": duration}


class Clock(NamedTuple):
    """A wall clock in force: by how much it is ahead of the pump's running time, and its zone."""

    ahead_s: int
    tz_minutes: int

    def wall_s(self, entry: LogEntry) -> int:
        """What it showed when the entry was made, to the second."""
        return self.ahead_s + entry.t_mono_s


class LogLines:
    """Makes lines of the entries of one log, read in one piece or in several that follow each other."""

    def __init__(self) -> None:
        self._clock: Clock | None = None
        self._last: LogEntry | None = None
        self._widths = [0, 0, 0, 0]

    def timed(self, entries: Sequence[LogEntry]) -> Iterator[tuple[LogEntry, Clock | None]]:
        """Each of the next entries with the clock that was in force; None where none can be known.

        Before the first reference of a boot the nearest later one of that boot holds: running time has no gap in it.
        """
        found: list[Clock | None] = []
        for entry in entries:
            if self._breaks_off(entry):
                self._clock = None
            self._clock = _clock_set_by(entry) or self._clock
            found.append(self._clock)
            self._last = entry
        return zip(entries, _filled_backwards(entries, found), strict=True)

    def _breaks_off(self, entry: LogEntry) -> bool:
        """Whether what was known of the clock no longer holds: after a boot, a lost entry, or where it is in doubt."""
        follows = self._last is not None and entry.seq == self._last.seq + 1
        return not follows or _begins_anew(entry) or LogFlag.WALL_VALID not in entry.flags

    def lines(self, entries: Sequence[LogEntry]) -> list[str]:
        """One line for each of the next entries, in columns that go on from the lines before."""
        rows = [cells(entry, clock) for entry, clock in self.timed(entries)]
        for row in rows:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row[:-1], strict=True)]
        return [
            "  ".join(
                [*map(str.ljust, row[:-1], self._widths), row[-1]]
            ).rstrip()  # the last is not filled up
            for row in rows
        ]


def _begins_anew(entry: LogEntry) -> bool:
    return entry.type in {LogType.BOOT, LogType.WALL_INVALID}


def history_document(history: LogHistory, lines: LogLines) -> LogPart:
    """A log as a part of a document, with what is lost."""
    entries = [
        {
            **EntryPart(
                text=text_of(entry, clock), time_iso=iso_time_of(entry, clock), fields=data_of(entry)
            ),
            **entry._asdict(),
        }
        for entry, clock in lines.timed(history.entries)
    ]
    return LogPart(
        log=history.log,
        epoch=history.epoch,
        first_seq=history.first_seq,
        next_seq=history.next_seq,
        complete=history.complete,
        lost=[LostEntries(first_seq=gone.first_seq, last_seq=gone.last_seq) for gone in history.lost],
        corrupt_seqs=list(history.corrupt_seqs),
        entries=entries,
    )


def history_lines(history: LogHistory, lines: LogLines, since_seq: int = 0) -> list[str]:
    """A log as lines from an entry on, with what is lost in its place, also where that begins before the entry."""
    shown = list(zip((entry.seq for entry in history.entries), lines.lines(history.entries), strict=True))
    shown += [
        (gone.last_seq, f"entries {gone.first_seq} to {gone.last_seq} are lost: the log overwrote them")
        for gone in history.lost
    ]
    return [line for last_seq, line in sorted(shown) if last_seq >= since_seq]


def completeness(history: LogHistory) -> str:
    """How many entries there are, and how many that were asked for are missing: not a word of whole where it is not."""
    lost = sum(gone.last_seq - gone.first_seq + 1 for gone in history.lost)
    missing = [f"{lost} lost"] if lost else []
    if history.corrupt_seqs:
        missing.append(f"{len(history.corrupt_seqs)} that cannot be read")
    return f"{len(history.entries)} entries, {' and '.join(missing) or 'no gap'}"


def data_of(entry: LogEntry) -> Any:
    """The typed data of an entry; None where it cannot be read."""
    try:
        return entry.details()
    except Malformed:
        return None


def _clock_set_by(entry: LogEntry) -> Clock | None:
    """The clock in force from a TIME_SET or TIME_REF on; None of other entries, and of a clock that is in doubt."""
    match data_of(entry):
        case TimeSetData(new_wall_s=wall_s, new_tz_minutes=tz_minutes):
            return Clock(wall_s - entry.t_mono_s, tz_minutes)
        case TimeRefData(wall_s, tz_minutes) if LogFlag.WALL_VALID in entry.flags:
            return Clock(wall_s - entry.t_mono_s, tz_minutes)
    return None


def _clock_before(entry: LogEntry, earlier: LogEntry) -> Clock | None:
    """The clock that was in force just before a TIME_SET or TIME_REF; None of other entries."""
    match data_of(entry):
        case TimeSetData(old_wall_s=wall_s, old_tz_minutes=tz_minutes) if LogFlag.WALL_VALID in earlier.flags:
            return Clock(wall_s - entry.t_mono_s, tz_minutes)
    return _clock_set_by(entry)


def _filled_backwards(entries: Sequence[LogEntry], found: list[Clock | None]) -> list[Clock | None]:
    """The clocks with those filled in that the nearest later reference of the same boot tells."""
    later: Clock | None = None
    for index in range(len(entries) - 1, -1, -1):
        found[index] = found[index] or later
        entry, earlier = entries[index], entries[index - 1] if index else None
        if earlier is None or entry.type is LogType.BOOT or earlier.seq + 1 != entry.seq:
            later = None
        else:
            later = _clock_before(entry, earlier) or later
    return found


def cells(entry: LogEntry, clock: Clock | None) -> tuple[str, ...]:
    """Number and time of an entry, who made it, what it is, and its details."""
    time = _span(entry) if clock is None else wall_text(clock.wall_s(entry), clock.tz_minutes)
    return (f"#{entry.seq}", time, describe_actor(entry.actor), entry.type.name, _details(entry))


def text_of(entry: LogEntry, clock: Clock | None) -> str:
    """An entry as one line that stands alone."""
    return " ".join(cells(entry, clock)).rstrip()


def iso_time_of(entry: LogEntry, clock: Clock | None) -> str | None:
    """When it was by the pump's clock, as ISO 8601 has it; None where that cannot be known."""
    return None if clock is None else iso_time(clock.wall_s(entry), clock.tz_minutes)


def _span(entry: LogEntry) -> str:
    """The pump's running time: `+2 d 03:04:05.250`."""
    days, second = divmod(entry.t_mono_s, S_PER_DAY)
    return f"+{days} d {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{entry.t_ms:03}"


def _details(entry: LogEntry) -> str:
    """The data of an entry in words, with the command that it belongs to."""
    parts = [f"command {entry.cmd_id}"] if entry.cmd_id else []
    record = data_of(entry)
    if record is None:
        parts.append(f"data {entry.data.hex()}, which has no meaning in this type")
    else:
        parts += _in_words(record._asdict())
    if LogFlag.POWER_CUT_RECOVERED in entry.flags:
        parts.append("recovered after a power cut")
    return ", ".join(parts)


def _in_words(fields: dict[str, Any]) -> list[str]:
    """`volume_nl` 20000 as `volume 0.02 mL`; a time zone stands with its time."""
    words = []
    for name, value in fields.items():
        bare, unit = bare_name_and_unit(name)
        if name.endswith("wall_s"):
            zone = fields.get(name.removesuffix("wall_s") + "tz_minutes", 0)
            words.append(f"{bare} {wall_text(value, zone, valid=value != 0)}")
        elif name.endswith("tz_minutes"):
            continue
        elif isinstance(value, bytes):
            words.append(f"{bare} {value.hex()}")
        elif (name, value) in _IN_PLACE:
            words.append(f"{bare} {_IN_PLACE[name, value]}")
        elif name in _IN_HEX:
            words.append(f"{bare} {value:#x}")
        elif isinstance(value, Role):
            words.append(f"{bare} {value.name.lower()}")
        elif unit in _IN_WORDS:
            words.append(f"{bare} {_IN_WORDS[unit](value)}")
        else:
            words.append(f"{bare} {value} {unit}".rstrip())
    return words
