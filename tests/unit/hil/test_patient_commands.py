"""What a patient may ask on the command line: for his bolus, and whether all is well."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hil.cli import main
from hil.cli.patient_commands import DENIED, MEANINGS, STATES, TONES, allowance, waiting_s
from hil.errors import DeviceError
from protocol.identifiers import AlarmClass, AlarmId, ConfigId, DenyReason, Role, State
from protocol.messages.program import PatientBlock
from tests.support.for_each import for_each

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_of_test import TestBench
    from hil.programmer.programmer import Programmer

EMULATOR = ("--target", "emulator")
BLOCK = PatientBlock(volume_nl=10_000, duration_s=600, lockout_s=3_600, window_s=86_400, max_count=4)
HOUR_MS = 3_600_000
VENDORS = {alarm for alarm in AlarmId if alarm.name.startswith("VENDOR")}
OF_THE_BENCH = {AlarmId.RNG_FAILED, AlarmId.KEY_RECOVERY, AlarmId.NVM}


def pump_and_handset(bench: TestBench, *, may_read: bool, patient: PatientBlock = BLOCK) -> Programmer:
    """A handset on a pump whose program allows boluses; `may_read`: the entries about therapy, too."""
    clinician = bench.open_programmer()
    clinician.set_simple_program(300_000, patient=patient)
    clinician.configure(ConfigId.PATIENT_MAY_READ_THERAPY, may_read)
    clinician.end_session()
    return bench.open_programmer(role=Role.PATIENT)


def told_and_done(handset: Programmer) -> tuple[tuple[DenyReason | None, int], tuple[DenyReason, int]]:
    """What `checkup` would tell, and what the pump answers then."""
    told = allowance(handset, handset.program().header, handset.status())
    reply = handset.patient_bolus().reply
    return (told.deny, told.next_allowed_s), (reply.deny, reply.next_allowed_s)


def by_a_clinician(bench: TestBench, handset: Programmer, deed: Callable[[Programmer], object]) -> None:
    handset.end_session()
    clinician = bench.open_programmer()
    deed(clinician)
    clinician.end_session()
    handset.connect()


def test_a_checkup_tells_what_the_pump_answers_through_a_day_of_requests(bench: TestBench) -> None:
    handset = pump_and_handset(bench, may_read=True)
    answers = []
    for wait_ms in (
        0,
        HOUR_MS - 60_000,
        60_000,
        60_000,
        600_000,
        HOUR_MS,
        HOUR_MS,
        HOUR_MS,
        HOUR_MS,
        20 * HOUR_MS,
    ):
        bench.target.rig.advance(wait_ms)
        told, done = told_and_done(handset)
        assert told[0] is done[0], (told, done)
        if done[0] in {DenyReason.LOCKOUT, DenyReason.COUNT}:
            assert told[1] == done[1]
        answers.append(done[0])
    assert {DenyReason.GRANTED, DenyReason.LOCKOUT, DenyReason.COUNT, DenyReason.ANOTHER_ACTIVE} == set(
        answers
    )


@pytest.mark.parametrize("may_read", [True, False])
def test_a_stopped_pump_is_told_as_one_whatever_the_patient_may_read(
    may_read: bool, bench: TestBench
) -> None:
    handset = pump_and_handset(bench, may_read=may_read)
    bench.target.rig.advance(HOUR_MS)
    by_a_clinician(bench, handset, lambda clinician: clinician.stop())
    told, done = told_and_done(handset)
    assert told[0] is done[0] is DenyReason.STOPPED


def test_an_alarm_is_told_as_the_reason(bench: TestBench) -> None:
    handset = pump_and_handset(bench, may_read=True)
    bench.target.rig.advance(HOUR_MS)
    bench.target.rig.stall(on=True)
    bench.target.rig.advance(HOUR_MS)
    told, done = told_and_done(handset)
    assert told[0] is done[0] is DenyReason.ALARM


def test_a_limit_of_the_hour_is_told_as_the_reason(bench: TestBench) -> None:
    handset = pump_and_handset(bench, may_read=True)
    bench.target.rig.advance(HOUR_MS)
    bolus_max_nl = handset.limits().bolus_max_nl

    def use_up_the_hour(clinician: Programmer) -> None:
        clinician.configure(ConfigId.HOUR_MAX_NL, bolus_max_nl)
        clinician.bolus(bolus_max_nl - 5_000, 3_700)

    by_a_clinician(bench, handset, use_up_the_hour)
    bench.target.rig.advance(3_760_000)
    told, done = told_and_done(handset)
    assert told[0] is done[0] is DenyReason.LIMIT


def test_a_log_that_no_longer_holds_the_last_bolus_forbids_none() -> None:
    assert waiting_s(BLOCK, (), 5_000_000) == {DenyReason.LOCKOUT: 0, DenyReason.COUNT: 0}


def test_what_a_patient_may_not_read_is_no_reason_to_say_yes(bench: TestBench) -> None:
    handset = pump_and_handset(bench, may_read=False)
    assert allowance(handset, handset.program().header, handset.status()).deny is None


def test_a_program_without_boluses_for_the_patient_is_told_as_one(bench: TestBench) -> None:
    handset = bench.open_programmer(role=Role.PATIENT)
    told, done = told_and_done(handset)
    assert told[0] is done[0] is DenyReason.NOT_PROGRAMMED


def test_every_reason_state_tone_and_alarm_has_its_words() -> None:
    assert set(DENIED) == set(DenyReason) - {DenyReason.GRANTED}
    assert set(STATES) == set(State)
    assert set(TONES) == set(AlarmClass)
    assert set(MEANINGS) == set(AlarmId) - VENDORS - OF_THE_BENCH


@for_each(
    ("label", "words"),
    [
        ("my pump", "yes, your pump is working"),
        ("the tone", "no alarm is on: what you hear is a test by your clinic, or no tone of your pump"),
        ("refill", "before 2026-03-29 02:00:00 UTC+00:00 (in 26 d 16 h)"),
        ("a bolus now", "no: your program has no bolus that you may ask for"),
    ],
)
def test_a_checkup_answers_in_plain_words(label: str, words: str) -> None:
    done = CliRunner().invoke(main.cli, ["program", "checkup", *EMULATOR])
    assert (label, words) in [tuple(line.split("  ", 1)) for line in _squeezed(done.stdout)]


def _squeezed(text: str) -> list[str]:
    """Lines whose label and words have two spaces between them."""
    rows = (line.split("  ", 1) for line in text.splitlines())
    return [f"{label}  {words.strip()}" for label, words in rows]


def test_a_bolus_that_is_denied_ends_with_8_and_says_why_and_when() -> None:
    done = CliRunner().invoke(main.cli, ["program", "patient-bolus", "--yes", "--json", *EMULATOR])
    assert isinstance(done.exception, DeviceError)
    assert done.exception.exit_code == 8
    document = json.loads(done.stdout)
    assert (document["outcome"], document["reply"]["deny"]) == ("REFUSED", "NOT_PROGRAMMED")
    assert document["error"]["message"] == "no bolus is given: your program has no bolus that you may ask for"
    assert document["error"]["advice"] == "the next may be asked for: not by waiting alone"
