"""The sources of delivery, a row each, and those of them that deliver now.

A source asks for strokes: the basal rate always, or a bridge in its place, others on top of it for a while. What tells
one from another stands in its row; adding a source is `register_source`, and an object like `ActiveBolus` for what it
delivers at a time.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from firmware_emu.controller.therapy.bolus import ActiveBolus
from firmware_emu.controller.therapy.bridge import Bridge
from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.delivery import BASAL_BYTES, Basal, Foreseeable, StrokeSource
from protocol.identifiers import Activity, AlarmId, Opcode
from protocol.log.types import DeliveryKind, LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.therapy.bolus import BolusEnd
    from firmware_emu.controller.therapy.second_channel import Account
    from protocol.log.types import BolusEndReason

_ITEM: Final = struct.Struct("<BB")  # source, length in bytes
_BASAL_HEADER: Final = _ITEM.pack(Source.BASAL, BASAL_BYTES)


class Delivery(StrokeSource, Foreseeable, Protocol):
    """What one source delivers on top of the basal rate: a volume with an end. `ActiveBolus` is one."""

    source: Source
    cmd_id: int
    key_id: int
    suspended_ms: int | None

    @property
    def volume_nl(self) -> int:
        """What was announced."""

    @property
    def delivered_nl(self) -> int:
        """Volume of the strokes whose edge was seen."""

    @property
    def left_nl(self) -> int:
        """Volume that has not been commanded yet."""

    @property
    def duration_ms(self) -> int:
        """Over how long it is spread."""

    def account(self) -> Account:
        """What the second channel copies, to count by itself from now on."""

    def suspend(self, tick_ms: int) -> None:
        """Ask for nothing from `tick_ms` on; turn first what is due."""

    def resume(self, tick_ms: int) -> None:
        """Go on at `tick_ms`: what was left is delivered as it would have been, later."""

    def end(self, early: BolusEndReason | None = None) -> BolusEnd:
        """What became of it: complete, or ended early for a reason."""

    def end_after_cut(self, latest_cut_ms: int | None) -> BolusEnd:
        """What a boot makes of the last checkpoint; None: nobody knows when power went."""

    def pack(self) -> bytes:
        """Its bytes in the checkpoint, at most 255."""


class SourceRow(NamedTuple):
    """What holds for every delivery of a source; the basal rate has no start, no end and no command of its own."""

    source: Source
    priority: int
    """Whose stroke turns first where two fall due together: the lower number."""
    unpack: Callable[[bytes, int], Basal | Bridge | Delivery]
    """From the checkpoint's bytes and the volume of a stroke in nL; ValueError for bytes that were never packed."""
    activity: Activity = Activity(0)
    opcode: Opcode | None = None
    """The command that starts it, under whose id its outcome stands in the ledger; None where the pump does."""
    log_kind: DeliveryKind = DeliveryKind.BOLUS
    start_type: LogType = LogType.BOLUS_START
    end_type: LogType = LogType.BOLUS_END
    counts_in_windows: bool = True
    """Whether its volume counts in the windows of an hour and a day, and its end in the gap [SPEC 6]."""
    partial_alarm: AlarmId | None = AlarmId.BOLUS_PARTIAL
    """Raised where it ends early."""
    not_beside: frozenset[Source] = frozenset()
    """Beside which others it does not start at all; none starts beside a bridge."""
    suspends: frozenset[Source] = frozenset()
    """Which others wait while it delivers; never the basal rate, which no bolus changes [DOMAIN 2.2]."""


SOURCES: Final[dict[Source, SourceRow]] = {}


def register_source(row: SourceRow) -> None:
    """Add a source. ValueError where there is one of that name, or where it would suspend the basal rate."""
    if Source.BASAL in row.suspends:
        raise ValueError(f"{row.source.name} cannot suspend the basal rate")
    if row.source in SOURCES:
        raise ValueError(f"the source {row.source.name} is there already")
    SOURCES[row.source] = row


def source_of_command(opcode: int) -> SourceRow:
    """The source that a command starts; the bolus for any other, since that counts in all limits."""
    return next((row for row in SOURCES.values() if row.opcode == opcode), SOURCES[Source.BOLUS])


class Deliveries:
    """The basal rate, what is delivered on top of it, and what is in its place.

    On top is at most one of each source, in the order of priority; in its place a bridge, until that is over.
    """

    __slots__ = ("activity", "basal", "bridge", "on_top")

    def __init__(self, basal: Basal) -> None:
        self.basal = basal
        self.bridge: Bridge | None = None
        self.on_top: tuple[Delivery, ...] = ()
        self.activity = Activity(0)

    @property
    def rate_nl_per_day(self) -> int:
        """The basal rate in effect: that of the bridge while it delivers in its place."""
        basal_nl_per_day, bridge = self.basal.rate_nl_per_day, self.bridge
        return basal_nl_per_day if bridge is None or bridge.waits else bridge.accumulator.rate_nl_per_day

    @property
    def each_stroke_counts(self) -> bool:
        """Whether each stroke is an event with a checkpoint of its own: of all but the basal rate."""
        return bool(self.on_top) or self.bridge is not None

    @property
    def current(self) -> Delivery | None:
        """What is delivered on top of the basal rate, the first by priority; None where nothing is."""
        return self.on_top[0] if self.on_top else None

    def of_source(self, source: Source) -> Delivery | None:
        """What a source delivers now, or would if it were not suspended; None where nothing."""
        return next((delivery for delivery in self.on_top if delivery.source is source), None)

    def in_the_way_of(self, source: Source) -> Delivery | None:
        """The first delivery beside which a source does not start; None where there is none. Not for a bridge."""
        kept_by = SOURCES[source].not_beside
        return next((delivery for delivery in self.on_top if delivery.source in kept_by), None)

    @property
    def bridge_end_ms(self) -> int | None:
        """When a bridge that delivers will be over; None where there is none, or where it waits."""
        return None if self.bridge is None else self.bridge.stroke_ms(self.bridge.strokes_left)

    def of_command(self, key_id: int, cmd_id: int) -> Delivery | None:
        """What was started by a command and is not over; None where there is no such thing."""
        return next((d for d in self.on_top if (d.key_id, d.cmd_id) == (key_id, cmd_id)), None)

    def next_stroke_ms(self) -> int | None:
        """When the next stroke falls that is not of the basal rate; None where none is foreseen."""
        due = [delivery.stroke_ms(1) for delivery in self.on_top]
        if self.bridge is not None:
            due.append(self.bridge.stroke_ms(1))
        return min((at_ms for at_ms in due if at_ms is not None), default=None)

    def owe_nothing(self, tick_ms: int) -> None:
        """Begin anew at `tick_ms`, at rate 0: what was owed can no longer be vouched for, and is not delivered."""
        self.basal = Basal.at(tick_ms, self.basal.stroke_nl)
        if self.bridge is not None:
            self.bridge.accumulator = Basal.at(tick_ms, self.basal.stroke_nl)

    def set_bridge(self, bridge: Bridge | None) -> None:
        """Put a bridge in the place of the basal rate, or none; whoever calls sees to the rates."""
        self.bridge = bridge
        self.note_activity()

    def start(self, delivery: Delivery, tick_ms: int) -> None:
        """Begin to deliver, or to wait for what suspends it; ValueError where its source delivers already."""
        if self.of_source(delivery.source) is not None:
            raise ValueError(f"{delivery.source.name} delivers already")
        for other in self.on_top:
            if other.source in SOURCES[delivery.source].suspends and other.suspended_ms is None:
                other.suspend(tick_ms)
            if delivery.source in SOURCES[other.source].suspends and delivery.suspended_ms is None:
                delivery.suspend(tick_ms)
        self._set((*self.on_top, delivery))

    def remove(self, delivery: Delivery, tick_ms: int) -> None:
        """Remove what is over, and let what waited for it alone go on."""
        self._set(tuple(other for other in self.on_top if other is not delivery))
        waiting = frozenset[Source]().union(*(SOURCES[other.source].suspends for other in self.on_top))
        for other in self.on_top:
            if other.suspended_ms is not None and other.source not in waiting:
                other.resume(tick_ms)
        self._set(self.on_top)

    def _set(self, on_top: tuple[Delivery, ...]) -> None:
        self.on_top = tuple(sorted(on_top, key=lambda delivery: SOURCES[delivery.source].priority))
        self.note_activity()

    def note_activity(self) -> None:
        """Work out anew what `activity` says, after something was suspended or goes on."""
        self.activity = Activity(0)
        waiting = [(delivery.source, delivery.suspended_ms is not None) for delivery in self.on_top]
        if self.bridge is not None:
            waiting.append((Source.BRIDGE, self.bridge.waits))
        for source, waits in waiting:
            self.activity |= SOURCES[source].activity | (Activity.SUSPENDED_BOLUS if waits else Activity(0))

    def pack(self) -> bytes:
        """A list: source, length and bytes of each."""
        packed = _BASAL_HEADER + self.basal.pack()
        if not self.each_stroke_counts:
            return packed
        others: list[Bridge | Delivery] = [*self.on_top]
        if self.bridge is not None:
            others.append(self.bridge)
        for delivery in others:
            data = delivery.pack()
            packed += _ITEM.pack(delivery.source, len(data)) + data
        return packed

    @classmethod
    def unpack(cls, data: bytes, stroke_nl: int) -> Deliveries:
        """The deliveries as they were packed; ValueError for bytes that this program never wrote."""
        basal: Basal | None = None
        bridge: Bridge | None = None
        on_top: list[Delivery] = []
        while data:
            number, length = _ITEM.unpack_from(data)
            packed, data = data[_ITEM.size : _ITEM.size + length], data[_ITEM.size + length :]
            row = SOURCES.get(Source(number))
            if row is None:
                raise ValueError(f"a delivery of {Source(number).name}, which this pump does not have")
            found = row.unpack(packed, stroke_nl)
            if isinstance(found, Basal):
                basal = found
            elif isinstance(found, Bridge):
                bridge = found
            else:
                on_top.append(found)
        if basal is None:
            raise ValueError("deliveries without a basal rate")
        deliveries = cls(basal)
        deliveries.bridge = bridge
        deliveries._set(tuple(on_top))
        return deliveries


register_source(SourceRow(Source.BASAL, priority=0, unpack=Basal.unpack))
register_source(
    SourceRow(
        Source.BOLUS,
        priority=2,
        unpack=ActiveBolus.unpack,
        activity=Activity.BOLUS,
        opcode=Opcode.BOLUS_COMMIT,
        not_beside=frozenset({Source.BOLUS, Source.PRIME}),
        suspends=frozenset({Source.PERIODIC}),
    )
)
register_source(
    SourceRow(
        Source.PATIENT,
        priority=1,
        unpack=ActiveBolus.unpack,
        activity=Activity.PATIENT,
        opcode=Opcode.PATIENT_BOLUS,
        log_kind=DeliveryKind.PATIENT,
        not_beside=frozenset({Source.PATIENT, Source.PRIME}),
        suspends=frozenset({Source.BOLUS, Source.PERIODIC}),
    )
)
register_source(
    SourceRow(
        Source.PERIODIC,
        priority=3,
        unpack=ActiveBolus.unpack,
        activity=Activity.PERIODIC,
        log_kind=DeliveryKind.PERIODIC,
        not_beside=frozenset({Source.PERIODIC, Source.PRIME}),
    )
)
register_source(
    SourceRow(
        Source.PRIME,
        priority=1,
        unpack=ActiveBolus.unpack,
        activity=Activity.PRIME,
        opcode=Opcode.PRIME,
        log_kind=DeliveryKind.PRIME,
        start_type=LogType.PRIME_START,
        end_type=LogType.PRIME_END,
        counts_in_windows=False,
        not_beside=frozenset({Source.BOLUS, Source.PATIENT, Source.PERIODIC, Source.PRIME}),
    )
)
register_source(
    SourceRow(
        Source.BRIDGE,
        priority=0,
        unpack=Bridge.unpack,
        activity=Activity.BRIDGE,
        log_kind=DeliveryKind.BRIDGE,
        start_type=LogType.BRIDGE_START,
        end_type=LogType.BRIDGE_END,
        counts_in_windows=False,
        partial_alarm=None,
    )
)
