"""Programs: what is staged is what is committed, or nothing is."""

import pytest

from hil.bench_session import TestBench
from hil.errors import CommandRefused, UsageError
from hil.noise import Direction
from hil.programmer.staging import ProgramRefused, simple_program
from protocol.identifiers import ErrorCode, InfusionMode, ProgramSlot
from protocol.messages.program import ProgBegin, ProgVerify, ProgWrite, Segment


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
