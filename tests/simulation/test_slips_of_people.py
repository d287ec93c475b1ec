"""What people mistype, or do in a wrong order: what the pump would give, and what keeps it from that [DOMAIN 8.6, 6.8].

The harm is shown where a limit was opened wide or the human goes on all the same; beside it the pump as it is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.units import MS_PER_DAY, MS_PER_HOUR, MS_PER_S
from hil.campaign.conversation import Conversation, profile_of, simple_header
from hil.procedures import doses
from hil.programs.infusion_program import InfusionProgram
from hil.programs.warnings import PumpNow, warnings
from protocol.identifiers import ErrorCode, Outcome, ProgramFlag, StopReason
from protocol.messages.ledger import QueryCmd
from protocol.messages.program import PeriodicBlock, ProgCommit, Segment
from protocol.messages.reading import GetDelivery
from protocol.messages.stop import Resume, Stop
from tests.simulation.invariants import assert_volumes_agree
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from protocol.messages.program import ProgVerifyReply

DRUG = 500_000  # ng/mL
DOSE = 300_000  # ng/day, 0.6 mL/day
RATE = 600_000
WITHOUT_A_LIMIT = 24_000_000


def staged(talk: Conversation, interval_s: int) -> ProgVerifyReply:
    """The program of now, and 25 mcg of 5 min at this interval."""
    header = simple_header(DOSE, DRUG)
    periodic = PeriodicBlock(volume_nl=50_000, duration_s=300, interval_s=interval_s, first_delay_s=0)
    header = header._replace(flags=header.flags | ProgramFlag.PERIODIC, periodic=periodic)
    return talk.stage_program(header, (Segment(0, RATE),), base_rev=1)


# FI 58, RH-03
@for_each(
    ("interval_s", "day_max_nl", "boluses_ng_per_day"),
    [
        (6 * 3_600, 5_000_000, 100_000),
        (6 * 60, 5_000_000, None),
        (6 * 60, WITHOUT_A_LIMIT, 6_000_000),
    ],
    name=lambda row: f"WE-33: each {row[0]} s, at most {row[1]} nL a day",
)
def test_rh_03_an_interval_in_minutes_for_hours_is_refused_and_without_a_limit_is_60_times_the_dose(
    interval_s: int, day_max_nl: int, boluses_ng_per_day: int | None
) -> None:
    talk = Conversation.with_new_pump(profile_of(program_day_max_nl=day_max_nl, day_max_nl=WITHOUT_A_LIMIT))
    verified = staged(talk, interval_s)
    if boluses_ng_per_day is None:
        assert {refusal.code for refusal in verified.refusals} == {ErrorCode.DAY_MAX}
        assert talk.code(ProgCommit(1, 1, verified.staged_crc, start=True)) is ErrorCode.VERIFY_CRC
        return
    talk.granted(ProgCommit(1, 1, verified.staged_crc, start=True))
    talk.wait(MS_PER_DAY)
    given_nl = talk.granted(GetDelivery()).periodic_nl
    assert abs(doses.drug_ng(given_nl, DRUG) - boluses_ng_per_day) <= 25_000, "the last is under way"
    assert_volumes_agree(talk)


# FI 59, 60
@for_each(
    ("typed_ng_per_day", "refused", "asked"),
    [
        (DOSE, set(), set()),
        (10 * DOSE, {ErrorCode.DAY_MAX}, {"dose-change", "refill-soon"}),
        (DOSE // 10, set(), {"dose-change", "refill-late"}),
        (1_000 * DOSE, {ErrorCode.RATE, ErrorCode.DAY_MAX}, {"dose-change", "refill-soon"}),
        (DOSE // 1_000, {ErrorCode.RATE}, {"dose-change", "refill-late"}),
    ],
    name=lambda row: f"{row[0] / 1_000} mcg/day for 300",
)
def test_a_decimal_slip_and_milligrams_for_micrograms_are_refused_by_the_pump_or_asked_for_by_name(
    typed_ng_per_day: int, refused: set[ErrorCode], asked: set[str]
) -> None:
    talk = Conversation.with_new_pump()
    verified = talk.stage(typed_ng_per_day, DRUG, base_rev=1)
    assert {refusal.code for refusal in verified.refusals} == refused
    answer = talk.ask(ProgCommit(1, 1, verified.staged_crc, start=True))
    assert (getattr(answer, "code", None) is ErrorCode.VERIFY_CRC) is bool(refused)
    active, typed = (InfusionProgram.simple(dose, DRUG, 1) for dose in (DOSE, typed_ng_per_day))
    now = PumpNow(active, reservoir_nl=18_000_000, low_alarm_nl=2_000_000)
    assert {warned.name for warned in warnings(typed, now)} == asked


# FI 67, RH-19
@for_each(
    ("again_nl", "total_nl"),
    [(50_000, 100_000), (100_000, 150_000)],
    name=lambda row: "the rest of it" if row[0] < 100_000 else "the whole, unread",
)
def test_rh_19_who_asks_what_an_interrupted_bolus_gave_gives_its_rest_and_who_does_not_half_as_much_again(
    again_nl: int, total_nl: int
) -> None:
    talk = Conversation.with_new_pump()
    talk.start_bolus(1, 100_000, 3_600)
    talk.wait(MS_PER_HOUR // 2)
    talk.granted(Stop(2, 86_400, StopReason.CLINICAL))
    talk.start_prime(3, 338_000, 1_300)
    talk.wait(1_300 * MS_PER_S)
    talk.granted(Resume(4, 1))
    given = talk.granted(QueryCmd(1))
    assert (given.outcome, given.delivered_nl) == (Outcome.PARTIAL, 50_000)
    talk.wait(MS_PER_HOUR)
    assert talk.granted(GetDelivery()).bolus_nl == 50_000, "by itself nothing more comes"
    talk.start_bolus(5, again_nl, 3_600)
    talk.wait(2 * MS_PER_HOUR)
    delivered = talk.granted(GetDelivery())
    assert (delivered.bolus_nl, delivered.prime_nl) == (total_nl, 338_000)
    assert_volumes_agree(talk)
