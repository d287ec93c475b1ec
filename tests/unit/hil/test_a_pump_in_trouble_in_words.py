"""`checkup` and `report` of a pump that is not well: its state alone, or its active alarms alone, would say that it is.

Each was told as a pump that works, or as one without an alarm, while it stood still, beeped, or gave another rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from hil.cli.hindrance import Hindrance
from hil.cli.patient_commands import (
    CALL,
    MEANINGS,
    NEVER_ACTIVE,
    NO_TONE,
    NO_TONE_NOW,
    NOT_GIVEN,
    PRIMED,
    STATES,
    TONES,
    checkup_of,
)
from hil.cli.refill_command import check_rows
from hil.cli.report_command import UNKNOWN, page, patient_rows, read_report, result_words
from hil.cli.therapy_commands import check_of_last_refill
from hil.procedures.reservoir import Missed, check_refill, missed_since_fill
from hil.programmer.log_reading import LostRange
from hil.programmer.staging import DayGroup, Days, DoseStep
from protocol.identifiers import AlarmClass, AlarmId, Role, State
from protocol.log.types import LogType
from protocol.messages.program import PatientBlock

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_of_test import TestBench
    from hil.bench_session import BenchSession

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WORKS = STATES[State.RUN]


def lose_power(bench: TestBench) -> None:
    bench.target.rig.power_cut()
    bench.target.rig.power_restore(60_000)


def lose_power_in_a_bolus(bench: TestBench) -> None:
    clinician = bench.open_programmer()
    clinician.bolus(20_000, 600)
    bench.target.rig.advance(300_000)
    lose_power(bench)


def lose_the_clock_of_a_schedule(bench: TestBench) -> None:
    clinician = bench.open_programmer()
    clinician.set_flex_program([DayGroup(Days.EVERY_DAY, (DoseStep(0, 8_000), DoseStep(360, 16_000)))])
    clinician.end_session()
    lose_power(bench)


def stall(bench: TestBench) -> None:
    bench.target.rig.stall(on=True)
    bench.target.rig.advance(HOUR_MS)


def refill_after_the_alarm(bench: TestBench) -> None:
    bench.target.rig.advance(27 * DAY_MS)
    clinician = bench.open_programmer()
    clinician.refill(18_000_000, aspirated_nl=1_800_000)
    clinician.end_session()


def heard(alarm_class: AlarmClass, alarm: AlarmId) -> str:
    return f"{TONES[alarm_class]} means: {MEANINGS[alarm]}"


class Trouble(NamedTuple):
    happen: Callable[[TestBench], None]
    pump: str
    tone: str
    result: str


TROUBLES = {
    "well": Trouble(lambda _bench: None, WORKS, NO_TONE, "completed"),
    "power went": Trouble(lose_power, WORKS, heard(AlarmClass.CRITICAL, AlarmId.RESET), "completed"),
    "power went in a bolus": Trouble(
        lose_power_in_a_bolus, WORKS, heard(AlarmClass.NON_CRITICAL, AlarmId.BOLUS_PARTIAL), "completed"
    ),
    "the clock of a schedule is lost": Trouble(
        lose_the_clock_of_a_schedule,
        NOT_GIVEN[Hindrance.CLOCK],
        heard(AlarmClass.NON_CRITICAL, AlarmId.WALL_INVALID),
        "INCOMPLETE: the pump does not know the time of day, and gives 0.6 mL/day instead of its program",
    ),
    "the motor stands still": Trouble(
        stall,
        NOT_GIVEN[Hindrance.ALARM],
        heard(AlarmClass.CRITICAL, AlarmId.MOTOR_STALL),
        "INCOMPLETE: MOTOR_STALL, a critical alarm is on, and the pump may not give what its program says",
    ),
    "an alarm that is over was not acknowledged": Trouble(
        refill_after_the_alarm, WORKS, NO_TONE_NOW, "completed"
    ),
}


@pytest.mark.parametrize("name", sorted(TROUBLES))
def test_a_pump_in_trouble_is_not_told_as_one_that_is_well(name: str, bench: TestBench) -> None:
    trouble = TROUBLES[name]
    trouble.happen(bench)
    rows, part = checkup_of(bench.open_programmer(role=Role.PATIENT))
    assert ("my pump", trouble.pump) in rows
    assert ("the tone", trouble.tone) in rows
    assert part["working"] is (trouble.result == "completed")
    assert result_words(read_report(bench.open_programmer(role=Role.OBSERVER), None)) == trouble.result


def test_each_alarm_that_is_never_active_is_heard_until_it_is_acknowledged(bench: TestBench) -> None:
    lose_power(bench)
    clinician = bench.open_programmer()
    told = [(tone["alarm_id"], tone["sounds"]) for tone in checkup_of(clinician)[1]["tones"]]
    assert told[0] == (AlarmId.RESET, TONES[AlarmClass.CRITICAL])
    assert bench.target.rig.tones()[-1].critical
    clinician.acknowledge_alarm(AlarmId.RESET)
    assert AlarmId.RESET not in {tone["alarm_id"] for tone in checkup_of(clinician)[1]["tones"]}
    assert AlarmId.RESET in NEVER_ACTIVE


def test_a_pump_that_is_primed_before_its_first_program_is_told_as_one(session: BenchSession) -> None:
    bench = session.open_bench("prime", "factory")
    bench.target.rig.fill(20_000_000, 500_000)
    clinician = bench.open_programmer()
    clinician.refill(20_000_000, aspirated_nl=0, concentration_ng_per_ml=500_000, drug_id=1)
    clinician.prime(338_000, 1_217)
    rows, part = checkup_of(clinician)
    assert ("my pump", PRIMED) in rows
    assert part["working"] is False
    seen = read_report(clinician, None)
    assert "under way prime: command 2, 0.338 mL left" in [
        " ".join(line.split()) for line in page(seen, None, "", "")
    ]
    bench.close()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_date_without_a_clock_is_a_time_from_now_and_says_whose_it_is(
    stopped: bool, bench: TestBench
) -> None:
    lose_the_clock_of_a_schedule(bench)
    clinician = bench.open_programmer()
    if stopped:
        clinician.stop()
    rows, _ = checkup_of(clinician)
    words = dict(rows)["refill"]
    assert words == "not while the pump gives no drug" if stopped else words.startswith("in 26 d")
    text = " ".join(" ".join(page(read_report(clinician, None), None, "", "")).split())
    whose = "the program does not run" if stopped else "the pump does not know the time of day"
    assert f"look {whose}: these are the dates at the rate of now" in text


def test_a_report_counts_what_the_log_has_overwritten_and_says_it_where_it_is_of_this_visit(
    session: BenchSession,
) -> None:
    bench = session.open_bench("small log", model={"log_capacity": 128})
    bench.target.rig.advance(90 * DAY_MS)
    clinician = bench.open_programmer()
    oldest = clinician.read_log().first_seq
    assert oldest > 1
    lost = f"entries 1 to {oldest - 1} are lost: the log overwrote them"
    for from_seq, first, is_said in ((None, 1, True), (1, 1, True), (oldest + 5, oldest + 5, False)):
        seen = read_report(clinician, from_seq)
        text = " ".join(" ".join(page(seen, None, "", "")).split())
        assert f"EVENTS FROM ENTRY {first} OF THE LOG {lost if is_said else f'#{first}'} " in text
        assert f"{len(seen.history.entries)} entries, {oldest - 1} lost" in text
        assert not seen.history.complete
    bench.close()


def test_a_refill_whose_ratio_alone_is_out_of_bounds_is_in_the_report_and_heard_before_a_start(
    bench: TestBench,
) -> None:
    bench.target.rig.advance(10 * DAY_MS)
    clinician = bench.open_programmer()
    expected_nl = clinician.reservoir().reservoir_calc_nl
    clinician.refill(18_000_000, aspirated_nl=expected_nl + 1_000_000)
    whole = clinician.read_log().entries
    refills = clinician.read_log(type_filter=1 << (LogType.REFILL >> 8)).entries
    told = check_of_last_refill(clinician.reservoir(), whole)
    assert told.startswith("INVESTIGATE before the pump runs: 1 mL more than expected came out")
    assert check_of_last_refill(clinician.reservoir(), refills) == told
    assert check_of_last_refill(clinician.reservoir(), refills[-1:]) == "", "1 mL by itself is as expected"
    torn = refills[0]._replace(type=LogType.CORRUPT_SLOT)
    assert check_of_last_refill(clinician.reservoir(), [refills[0], torn, *refills[1:]]) == ""


def test_a_refill_after_a_stall_tells_what_of_the_difference_the_stall_explains(bench: TestBench) -> None:
    rig, clinician = bench.target.rig, bench.open_programmer()

    def missed() -> Missed:
        return missed_since_fill(clinician.read_log(type_filter=1 << (LogType.REFILL >> 8)).entries)

    rig.advance(10 * DAY_MS)
    assert missed() == Missed(0, 0, whole=True)
    rig.stall(on=True)
    rig.advance(DAY_MS)
    assert missed() == Missed(0, 1, whole=False), "it lasts, and no entry tells yet what it took"
    rig.stall(on=False)
    rig.advance(DAY_MS)
    assert missed() == Missed(600_000, 1, whole=True)
    held, left_nl = clinician.reservoir(), rig.state().truth["true_nl_ppm"] // 1_000_000
    check = check_refill(held.last_fill_nl, held.reservoir_calc_nl, left_nl)
    assert (check.delta_nl, check.investigate) == (600_000, False), "the belief counts what was commanded"
    rows = dict(check_rows(check, missed()))
    assert rows["stalls"].startswith("1 since the last fill: 0.6 mL was commanded and never turned")
    assert rows["stalls"].endswith("without it the difference is 0 mL")
    assert rows["verdict"] == "within the limits, but the motor has stood still"
    unsure = dict(check_rows(check, missed()._replace(whole=False)))
    assert "at least 0.6 mL" in unsure["stalls"]
    clinician.refill(18_000_000, aspirated_nl=left_nl)
    assert missed() == Missed(0, 0, whole=True)
    assert dict(check_rows(check, missed()))["verdict"] == "as expected"


def test_a_date_that_is_past_is_not_told_as_one_of_today(bench: TestBench) -> None:
    bench.target.rig.advance(28 * DAY_MS)
    text = " ".join(" ".join(page(read_report(bench.open_programmer(), None), None, "", "")).split())
    assert "low (2 mL) reached already empty 2026-04-01 10:00:00 UTC+00:00 (in 2 d) " in text
    assert "look it is low DELIVERED" in text
    rows, _ = checkup_of(bench.open_programmer())
    (refill,) = [words for label, words in rows if label == "refill"]
    assert refill.startswith(f"it is due: {CALL}; by its count ")


def test_boluses_of_the_patient_are_counted_from_the_last_visit_not_from_the_last_session(
    bench: TestBench,
) -> None:
    clinician = bench.open_programmer()
    clinician.set_simple_program(300_000, patient=PatientBlock(10_000, 600, 3_600, 86_400, 4))
    clinician.end_session()
    bench.target.rig.advance(HOUR_MS)
    patient = bench.open_programmer(role=Role.PATIENT)
    for _ in range(2):
        patient.patient_bolus()
    patient.end_session()
    bench.open_programmer().end_session()
    seen = read_report(bench.open_programmer(), None)
    assert (seen.dates.reservoir.ptm_granted, seen.dates.reservoir.ptm_denied) == (0, 0)
    rows = dict(patient_rows(seen))
    assert (rows["granted"], rows["denied (logged: 12 a day)"]) == ("1", "1")
    torn = seen.history._replace(lost=(LostRange(1, 2),))
    assert dict(patient_rows(seen._replace(history=torn)))["granted"] == "at least 1"
    assert dict(patient_rows(seen._replace(history=torn, since_seq=3)))["granted"] == "1"
    hidden = read_report(bench.open_programmer(role=Role.OBSERVER), None)
    assert dict(patient_rows(hidden))["granted"] == UNKNOWN


def test_a_low_reservoir_is_told_with_what_is_left_and_until_when_and_no_word_of_the_next_days(
    bench: TestBench,
) -> None:
    """1.2 mL last two days: who waits some days has no drug left. It said "tell your clinic in the next days"."""
    bench.target.rig.advance(28 * DAY_MS)
    rows, part = checkup_of(bench.open_programmer(role=Role.PATIENT))
    (tone,) = part["tones"]
    assert tone["means"].startswith(
        f"the drug is running low and must be refilled: {CALL}; by its count 1.2 mL are left"
    )
    assert "(in 2 d" in tone["means"]
    assert "next days" not in tone["means"]
    (refill,) = [words for label, words in rows if label == "refill"]
    assert tone["means"].endswith(refill.removeprefix(f"it is due: {CALL}; "))


def test_a_tone_that_the_clinic_let_be_heard_is_not_called_somebody_elses(bench: TestBench) -> None:
    clinician = bench.open_programmer()
    clinician.test_alarm(AlarmClass.CRITICAL)
    clinician.end_session()
    rows, _part = checkup_of(bench.open_programmer(role=Role.PATIENT))
    assert ("the tone", NO_TONE) in rows
    assert "a test by your clinic" in NO_TONE
    assert "not your pump's" not in NO_TONE
