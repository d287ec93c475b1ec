"""Programs: what is staged is what is committed, or nothing is."""

import pytest

from hil.bench_of_test import TestBench
from hil.deadline import Deadline
from hil.errors import CommandRefused, DeviceError, DeviceRefused, UsageError
from hil.noise import Direction
from hil.programmer.client_session import Answer, Replied
from hil.programmer.staging import DayGroup, Days, DoseStep, ProgramRefused, flex_program, simple_program
from protocol.codec.layouts import decode, encode
from protocol.identifiers import ErrorCode, InfusionMode, Opcode, ProgramSlot
from protocol.messages.program import ProgBegin, ProgVerify, ProgVerifyReply, ProgWrite, Segment


def test_a_simple_program_is_one_rate_for_every_day(bench: TestBench) -> None:
    pump = bench.open_programmer()
    executed = pump.set_simple_program(350_000)
    program = pump.program()
    assert program.program_rev == executed.reply.program_rev == 2
    assert program.segments == (Segment(0, 700_000),)
    assert program.header.groups[0].dose_ng_per_day == 350_000
    assert pump.status().rate_nl_per_day == 700_000


def test_drug_and_concentration_stay_as_they_are_unless_named(bench: TestBench) -> None:
    pump = bench.open_programmer()
    before = pump.program().header
    pump.set_simple_program(350_000)
    after = pump.program().header
    assert (after.drug_id, after.concentration_ng_per_ml) == (before.drug_id, before.concentration_ng_per_ml)


def test_a_program_that_the_pump_would_refuse_is_never_committed(bench: TestBench) -> None:
    pump = bench.open_programmer()
    with pytest.raises(ProgramRefused) as caught:
        pump.set_simple_program(1_000)
    assert [r.code for r in caught.value.refusals] == [ErrorCode.RATE]
    assert pump.status().program_rev == 1


def test_a_program_that_somebody_else_replaced_is_not_committed(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.set_simple_program(350_000)
    staged = pump.stage_program(*simple_program(400_000, 500_000, 1), base_rev=2)
    assert pump.commit_program(staged).reply.program_rev == 3
    with pytest.raises(CommandRefused):
        pump.commit_program(staged)
    assert pump.status().rate_nl_per_day == 800_000


def test_staging_begins_again_where_its_session_dies(bench: TestBench) -> None:
    pump = bench.open_programmer()
    bench.line.drop(Direction.FROM_PUMP, 3, skip=3)  # an answer in the middle of staging
    staged = pump.stage_simple_program(350_000, concentration_ng_per_ml=500_000, drug_id=1)
    bench.line.check_all_fired()
    assert pump.commit_program(staged).reply.program_rev == 2


def test_the_steps_of_staging_can_be_taken_one_by_one(bench: TestBench) -> None:
    pump = bench.open_programmer()
    header, segments = simple_program(350_000, 500_000, 1)
    pump.request(ProgBegin(1, header))
    assert pump.request(ProgWrite(0, segments)).count == 1
    assert pump.request(ProgVerify()).refusals == ()
    assert pump.program(ProgramSlot.STAGED).header.mode is InfusionMode.SIMPLE
    pump.abort_program()
    assert pump.status().program_rev == 1


def test_a_dose_without_a_concentration_is_not_guessed() -> None:
    with pytest.raises(UsageError, match="concentration"):
        simple_program(300_000, 0, 1)


HALVES = (DoseStep(0, 12_000), DoseStep(721, 13_001))


def test_a_flexible_program_has_the_nearest_rate_of_each_step_and_the_dose_of_each_day() -> None:
    groups = [DayGroup(Days.WORKDAYS, HALVES), DayGroup(Days.WEEKEND, (DoseStep(0, 12_345),))]
    header, segments = flex_program(groups, 500_000, 7)
    assert segments == (Segment(0, 576_000), Segment(721, 624_048), Segment(0, 592_560))
    assert (header.mode, header.n_groups, header.n_segments) == (InfusionMode.FLEX, 2, 3)
    assert [tuple(group) for group in header.groups[:2]] == [(0x1F, 2, 299_995), (0x60, 1, 296_280)]
    assert header.groups[0].dose_ng_per_day == round((12_000 * 721 + 13_001 * 719) / 60)


def test_a_flexible_program_is_set_with_the_drug_of_the_active_one(bench: TestBench) -> None:
    pump = bench.open_programmer()
    before = pump.program().header
    executed = pump.set_flex_program([DayGroup(Days.EVERY_DAY, HALVES)], base_rev=1)
    after = pump.program()
    assert after.program_rev == executed.reply.program_rev == 2
    assert (after.header.drug_id, after.header.concentration_ng_per_ml) == (
        before.drug_id,
        before.concentration_ng_per_ml,
    )
    with pytest.raises(DeviceRefused):
        pump.set_flex_program([DayGroup(Days.EVERY_DAY, HALVES)], base_rev=1)


def test_a_flexible_program_is_staged_again_where_its_session_dies(bench: TestBench) -> None:
    pump = bench.open_programmer()
    bench.line.drop(Direction.FROM_PUMP, 3, skip=3)  # an answer in the middle of staging
    executed = pump.set_flex_program([DayGroup(Days.EVERY_DAY, HALVES)])
    bench.line.check_all_fired()
    assert executed.reply.program_rev == 2


def test_more_groups_than_a_week_has_days_are_refused_before_anything_is_sent(bench: TestBench) -> None:
    pump = bench.open_programmer()
    with pytest.raises(UsageError, match="8 groups of days"):
        pump.stage_flex_program([DayGroup(Days(0), HALVES)] * 8)
    with pytest.raises(UsageError, match="n_segments"):
        pump.stage_flex_program([DayGroup(Days.EVERY_DAY, (DoseStep(0, 12_000),) * 256)])
    with pytest.raises(UsageError, match="rate_nl_per_day"):
        pump.stage_flex_program([DayGroup(Days.EVERY_DAY, (DoseStep(0, -12_000), DoseStep(1, 24_000)))])
    with pytest.raises(UsageError, match="above 0"):
        pump.stage_flex_program([DayGroup(Days.EVERY_DAY, HALVES)], concentration_ng_per_ml=0)
    assert pump.status().program_rev == 1


def test_a_refused_step_is_named_by_its_place_and_by_the_order_that_it_breaks(bench: TestBench) -> None:
    days = (
        DayGroup(Days.WORKDAYS, (DoseStep(0, 8_000),)),
        DayGroup(Days.WEEKEND, (DoseStep(0, 8_000), DoseStep(60, 8_000), DoseStep(60, 8_000))),
    )
    with pytest.raises(ProgramRefused) as caught:
        bench.open_programmer().set_flex_program(days)
    said = str(caught.value)
    assert "TIME_RANGE in group 2, step 3: value 60 min" in said
    assert "after the one before it" in said
    assert "clock" not in said, "60 is a time that the pump's clock can have"


# FI 54
def test_a_program_that_the_pump_reads_otherwise_than_it_was_staged_is_not_committed(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump = bench.open_programmer()
    ask = pump.session.ask

    def ask_and_misread(opcode: Opcode, payload: bytes, deadline: Deadline) -> Answer:
        answer = ask(opcode, payload, deadline)
        if opcode is not Opcode.PROG_VERIFY:
            return answer
        assert isinstance(answer, Replied)
        verified = decode(ProgVerifyReply, answer.payload)
        return Replied(encode(verified._replace(staged_crc=verified.staged_crc ^ 1)))

    monkeypatch.setattr(pump.session, "ask", ask_and_misread)
    with pytest.raises(DeviceError, match="reads another program than was staged"):
        pump.set_simple_program(350_000)
    assert pump.status().program_rev == 1


def test_a_program_that_is_replaced_while_it_is_read_is_read_again_whole(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steps(dose_ng_per_hour: int) -> list[DayGroup]:
        course = tuple(DoseStep(60 * hour, dose_ng_per_hour + 100 * (hour % 2)) for hour in range(13))
        return [DayGroup(day, course) for day in list(Days)[:4]]

    pump = bench.open_programmer()
    pump.set_flex_program([*steps(12_000), DayGroup(Days(0b111_0000), HALVES)])
    ask = pump.session.ask
    replaced: list[bool] = []

    def ask_and_replace(opcode: Opcode, payload: bytes, deadline: Deadline) -> Answer:
        answer = ask(opcode, payload, deadline)
        if opcode is Opcode.GET_PROGRAM and not replaced:
            replaced.append(True)
            bench.open_programmer().set_flex_program([*steps(13_000), DayGroup(Days(0b111_0000), HALVES)])
        return answer

    monkeypatch.setattr(pump.session, "ask", ask_and_replace)
    whole = pump.program()
    assert whole.program_rev == 3
    assert whole.segments == bench.open_programmer().program().segments
