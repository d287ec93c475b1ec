"""Each source of delivery alone and each pair: what was asked for and what was turned differ by less than a stroke.

The pairs come from the table of sources itself. Through stop and resume, a refill, and a power cut that leaves at most
a stroke uncertain; what may not start beside what is refused or passed over, and changes nothing [DOMAIN 2.2].
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import pytest

from firmware_emu.controller.therapy.counters import Source
from firmware_emu.controller.therapy.delivery_sources import SOURCES
from firmware_emu.events import PowerLost
from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR
from hil.campaign.program_boluses import RATE_NL_PER_DAY, PatientAndClinician, header_of
from protocol.identifiers import BolusKind, OnExpiry, ProgramFlag, RefillFlag, StopReason, TimeSetReason
from protocol.log.types import BolusEndReason, DeliveryKind, LogType
from protocol.messages.bolus import BolusCommit, BolusPrepare, PatientBolus, Prime
from protocol.messages.errors import ErrorReply
from protocol.messages.program import BridgeBlock, PatientBlock, PeriodicBlock, ProgCommit, Segment
from protocol.messages.reading import GetDelivery, GetStatus
from protocol.messages.reservoir import Refill
from protocol.messages.stop import Resume, Stop
from protocol.messages.time import TimeSet
from tests.simulation.invariants import assert_log_is_whole, assert_volumes_agree
from tests.support.soak import part_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from protocol.log.entry import LogEntry

STROKE_NL = 500
VOLUME_NL = 20_000
DURATION_S = 900
BRIDGE_RATE_NL_PER_DAY = VOLUME_NL * 86_400 // DURATION_S
PATIENT = PatientBlock(VOLUME_NL, DURATION_S, lockout_s=3_600, window_s=86_400, max_count=4)
PERIODIC = PeriodicBlock(VOLUME_NL, DURATION_S, interval_s=21_600, first_delay_s=7_200)
WALL_S = 826_000_000
PERIODIC_STARTS_MS = 7_200_000
SECOND_AFTER_MS = 200_000
DEED_AFTER_MS = 200_000
STOOD_MS = 500_000
STROKE_OF_BOLUS_MS = DURATION_S * 1_000 // (VOLUME_NL // STROKE_NL)
AFTERWARDS_MS = 6_000_000  # all are over, and no series has begun anew
ON_TOP = (Source.BOLUS, Source.PATIENT, Source.PERIODIC, Source.PRIME)
KINDS = {
    DeliveryKind.BOLUS: Source.BOLUS,
    DeliveryKind.PATIENT: Source.PATIENT,
    DeliveryKind.PERIODIC: Source.PERIODIC,
    DeliveryKind.PRIME: Source.PRIME,
    DeliveryKind.BRIDGE: Source.BRIDGE,
}
STARTS = {row.start_type for row in SOURCES.values()}
ENDS = {row.end_type for row in SOURCES.values()}


class Span(NamedTuple):
    """One delivery as the log has it: from when to when, and what it gave."""

    source: Source
    from_ms: int
    to_ms: int
    delivered_nl: int
    uncertain_nl: int
    reason: BolusEndReason


def rev(talk: PatientAndClinician) -> int:
    return int(talk.granted(GetStatus()).program_rev)


def start_bridge(talk: PatientAndClinician) -> object:
    bridged = header_of(PATIENT, PERIODIC)
    bridged = bridged._replace(
        flags=bridged.flags | ProgramFlag.BRIDGE, bridge=BridgeBlock(VOLUME_NL, BRIDGE_RATE_NL_PER_DAY)
    )
    base = rev(talk)
    verified = talk.stage_program(bridged, (Segment(0, RATE_NL_PER_DAY),), base_rev=base)
    return talk.ask(ProgCommit(40, base, verified.staged_crc, start=True))


def start_prepared(talk: PatientAndClinician, kind: BolusKind, command: type, cmd_id: int) -> object:
    """Prepare and start a bolus or a prime; the refusal where there is one."""
    prepared = talk.ask(BolusPrepare(kind, VOLUME_NL, DURATION_S, rev(talk)))
    if isinstance(prepared, ErrorReply):
        return prepared
    return talk.ask(command(cmd_id, prepared.quantised_nl, DURATION_S, prepared.token, rev(talk)))


STARTERS: dict[Source, Callable[[PatientAndClinician], object]] = {
    Source.BASAL: lambda _talk: None,
    Source.BOLUS: lambda talk: start_prepared(talk, BolusKind.BOLUS, BolusCommit, 20),
    Source.PATIENT: lambda talk: talk.patient_asks(PatientBolus(10)),
    Source.PERIODIC: lambda _talk: None,  # it comes by itself
    Source.PRIME: lambda talk: start_prepared(talk, BolusKind.PRIME, Prime, 30),
    Source.BRIDGE: start_bridge,
}


def stop_and_resume(talk: PatientAndClinician) -> None:
    talk.granted(Stop(50, 86_400, StopReason.CLINICAL, OnExpiry.ALARM_ONLY))
    talk.wait(STOOD_MS)
    talk.granted(Resume(51, rev(talk)))


def refill(talk: PatientAndClinician) -> None:
    talk.granted(Refill(52, 17_000_000, 18_000_000, 1, RefillFlag(0), 500_000, 2_000_000, 0))


def power_cut(talk: PatientAndClinician) -> None:
    talk.pump.cut_power()
    talk.wait(STOOD_MS)
    talk.pump.restore_power()


def journey(tz_minutes: int) -> Callable[[PatientAndClinician], None]:
    return lambda talk: (
        talk.granted(TimeSet(53, WALL_S, tz_minutes, TimeSetReason.ZONE, confirm=True)) and None
    )


DEEDS: dict[str, Callable[[PatientAndClinician], None]] = {
    "seven hours west": journey(-420),
    "fourteen hours east": journey(840),
    "nothing": lambda _talk: None,
    "stop and resume": stop_and_resume,
    "refill": refill,
    "power cut": power_cut,
}


def at_ms(entry: LogEntry) -> int:
    return entry.t_mono_s * 1_000 + entry.t_ms


def spans(talk: PatientAndClinician, cut_ms: int | None) -> Iterator[Span]:
    """Each delivery on top of the basal rate or in its place; of one that power ended, until it went."""
    open_spans: dict[tuple[LogType, int], tuple[Source, int]] = {}
    end_of_start = {row.start_type: row.end_type for row in SOURCES.values()}
    for entry in talk.log():
        if entry.type in STARTS:
            source = KINDS[entry.details().kind]
            open_spans[end_of_start[entry.type], entry.cmd_id] = source, at_ms(entry)
        elif entry.type in ENDS:
            source, from_ms = open_spans.pop((entry.type, entry.cmd_id))
            end = entry.details()
            by_power = end.reason is BolusEndReason.POWER and cut_ms is not None
            to_ms = cut_ms if by_power else at_ms(entry)
            yield Span(source, from_ms, int(to_ms or 0), end.delivered_nl, end.uncertain_nl, end.reason)
    assert not open_spans, "a delivery without an end"


def overlap_ms(mine: Span, other: Span) -> int:
    return max(0, min(mine.to_ms, other.to_ms) - max(mine.from_ms, other.from_ms))


def assert_less_than_a_stroke(span: Span, all_spans: list[Span]) -> None:
    """What was asked for of a delivery until its end, the time left out in which another suspended it."""
    if span.reason is BolusEndReason.COMPLETE:
        assert (span.delivered_nl, span.uncertain_nl) == (VOLUME_NL, 0), span
    if span.source is Source.BRIDGE:  # it waits through a stop, and ends with its volume, whenever that is
        return
    waited_ms = sum(
        overlap_ms(span, other) for other in all_spans if span.source in SOURCES[other.source].suspends
    )
    asked_nl = Fraction(VOLUME_NL * (span.to_ms - span.from_ms - waited_ms), DURATION_S * 1_000)
    assert -STROKE_NL < asked_nl - span.delivered_nl < STROKE_NL + span.uncertain_nl, (span, asked_nl)


def both_under_way(first: Source, second: Source) -> tuple[PatientAndClinician, bool]:
    """The conversation a while after the second has begun, and whether it was refused."""
    talk = PatientAndClinician.with_program(PATIENT, PERIODIC)
    comes_by_itself = Source.PERIODIC in (first, second)
    begins_ms = PERIODIC_STARTS_MS if comes_by_itself else MS_PER_HOUR + 1_000
    if second is Source.PERIODIC and first is not Source.PERIODIC:
        begins_ms -= SECOND_AFTER_MS
    talk.wait_until(begins_ms)
    answer = STARTERS[first](talk)
    assert not isinstance(answer, ErrorReply), answer
    refused = False
    if second is not first:
        talk.wait_until(begins_ms + SECOND_AFTER_MS)
        refused = isinstance(STARTERS[second](talk), ErrorReply)
    talk.wait(DEED_AFTER_MS)
    return talk, refused


def played(first: Source, second: Source, deed: str) -> tuple[PatientAndClinician, bool, int]:
    """The conversation, whether the second was refused, and when the deed was done."""
    talk, refused = both_under_way(first, second)
    deed_ms = talk.now_ms
    DEEDS[deed](talk)
    talk.wait(AFTERWARDS_MS)
    return talk, refused, deed_ms


@pytest.mark.one_in(6)
@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("first", SOURCES, ids=lambda source: source.name)
def test_what_was_asked_for_and_what_was_turned_differ_by_less_than_a_stroke(
    first: Source, deed: str
) -> None:
    for second in SOURCES:
        talk, _, deed_ms = played(first, second, deed)
        stood = [(deed_ms, deed_ms + STOOD_MS)] if deed == "stop and resume" else []
        if deed == "power cut":
            assert_all_is_what_was_asked(talk, cut_ms=deed_ms, off_ms=STOOD_MS)
        else:
            assert_all_is_what_was_asked(talk, stood)


@pytest.mark.parametrize("first", SOURCES, ids=lambda source: source.name)
def test_power_that_goes_in_a_write_of_two_sources_takes_less_than_a_stroke_of_each(first: Source) -> None:
    """Before the write, in each byte of it, and after it before it returns [DOMAIN 8.4]."""
    for second in SOURCES:
        base, _ = both_under_way(first, second)
        counted = base.fork()
        while len(counted.writes) < len(base.writes) + 2:
            counted.wait(STROKE_OF_BOLUS_MS)
        lengths = [len(data) for _, data in counted.writes[len(base.writes) :]]
        cuts = [(number, torn) for number, length in enumerate(lengths, 1) for torn in range(length + 1)]
        for number, torn in part_of(f"a cut in {first.name} with {second.name}", cuts, one_in=300):
            talk = base.fork()
            talk.pump.plant.cut_at_write(number, torn)
            talk.wait_until(counted.now_ms)
            (cut_ms,) = (entry.now.pump_ms for entry in talk.trace if isinstance(entry.event, PowerLost))
            talk.wait(AFTERWARDS_MS)
            assert_all_is_what_was_asked(talk, cut_ms=cut_ms)


def assert_all_is_what_was_asked(
    talk: PatientAndClinician,
    stood: Sequence[tuple[int, int]] = (),
    cut_ms: int | None = None,
    off_ms: int = 0,
) -> None:
    """Log, counters and what was asked for agree to less than a stroke; `stood`: when no basal rate ran."""
    assert_log_is_whole(talk)
    assert_volumes_agree(talk)
    found = list(spans(talk, cut_ms))
    for span in found:
        assert_less_than_a_stroke(span, found)
    given = talk.granted(GetDelivery())
    for source in (*ON_TOP, Source.BRIDGE):
        by_log_nl = sum(span.delivered_nl for span in found if span.source is source)
        assert getattr(given, f"{source.name.lower()}_nl") == by_log_nl, source
    assert_basal_is_what_was_asked(talk, found, stood, off_ms, STROKE_NL if cut_ms is not None else 0)


def assert_basal_is_what_was_asked(
    talk: PatientAndClinician, found: list[Span], stood: Sequence[tuple[int, int]], off_ms: int, lost_nl: int
) -> None:
    """The basal rate, for as long as it ran by the pump's own time, which stands while power is off.

    With power goes what was owed of one stroke.
    """
    away = sorted([*stood, *((s.from_ms, s.to_ms) for s in found if s.source is Source.BRIDGE)])
    away_ms, end_ms = 0, 0
    for from_ms, to_ms in away:
        away_ms += max(0, to_ms - max(from_ms, end_ms))
        end_ms = max(end_ms, to_ms)
    asked_nl = Fraction(RATE_NL_PER_DAY * (talk.now_ms - off_ms - away_ms), MS_PER_DAY)
    basal_nl = talk.granted(GetDelivery()).basal_nl
    uncertain_nl = sum(
        entry.details().uncertain_nl for entry in talk.log() if entry.type is LogType.RESET_BROWNOUT
    )
    assert -STROKE_NL < asked_nl - basal_nl < STROKE_NL + lost_nl + uncertain_nl


@pytest.mark.parametrize("first", ON_TOP, ids=lambda source: source.name)
@pytest.mark.parametrize("second", ON_TOP, ids=lambda source: source.name)
def test_one_that_may_not_start_beside_another_is_refused_or_passed_over_and_the_other_is_whole(
    first: Source, second: Source
) -> None:
    if first is second:
        return
    talk, _, _ = played(first, second, "nothing")
    found = {span.source: span for span in spans(talk, None)}
    kept_out = first in SOURCES[second].not_beside
    assert (second in found) is not kept_out
    assert all(span.reason is BolusEndReason.COMPLETE for span in found.values())
    assert first in found
