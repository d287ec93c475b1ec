"""Refusals as a person reads them: code, values in mL and mcg, cause and way on."""

import pytest
from click.testing import CliRunner

from hil.bench_session import BenchSession
from hil.cli.main import cli
from hil.errors import DeviceRefused
from hil.programmer.staging import ProgramRefused
from hil.refusal_words import CAUSES, sentence_of_refusal
from protocol.codec.layouts import path_offset
from protocol.identifiers import ErrorCode, Opcode, Role, State
from protocol.messages.errors import ErrorReply, refusal
from protocol.messages.program import NO_GROUP, ProgramHeader, ProgramRefusal


def test_every_code_of_the_wire_has_a_cause_and_a_way_on() -> None:
    assert set(CAUSES) == set(ErrorCode)
    for code, row in CAUSES.items():
        assert row.cause, code
        assert row.way_on, code
        for text in row:
            assert code.name not in text, f"{code.name}: the words are its name again"


@pytest.mark.parametrize("code", ErrorCode)
@pytest.mark.parametrize("number", [0, 1, 500_000, 2**32 - 1])
def test_a_refusal_of_any_code_and_value_is_a_sentence_with_its_cause(code: ErrorCode, number: int) -> None:
    for opcode in Opcode:
        error = DeviceRefused(opcode, refusal(code, detail=number, limit=number, nearest=number))
        text = str(error)
        assert text.startswith(f"{opcode.name} refused: {code.name}")
        assert CAUSES[code].cause in text
        assert text.endswith(CAUSES[code].way_on)


SAID = [
    (Opcode.STOP, refusal(ErrorCode.ROLE, detail=Role.OBSERVER), "role observer"),
    (Opcode.BOLUS_PREPARE, refusal(ErrorCode.STOPPED, detail=State.STOP), "state STOP"),
    (Opcode.BOLUS_PREPARE, refusal(ErrorCode.ALARM_BLOCKS, detail=0b110), "LOW_RESERVOIR and EMPTY"),
    (
        Opcode.RESUME,
        refusal(ErrorCode.REV_MISMATCH, detail=3, limit=4, nearest=4),
        "revision 3, the pump has 4",
    ),
    (
        Opcode.TIME_SET,
        refusal(ErrorCode.CONFIRM, detail=-3_600, limit=120, nearest=9),
        "by -3600 s, limit 120 s",
    ),
    (
        Opcode.BOLUS_PREPARE,
        refusal(ErrorCode.RATE, detail=1, limit=24_000_000, nearest=72, field_offset=5),
        "duration 1 s, limit 24 mL/day, nearest acceptable 1 min 12 s",
    ),
    (
        Opcode.BOLUS_PREPARE,
        refusal(ErrorCode.RATE, detail=100, limit=500, nearest=2, field_offset=1),
        "volume 0.0001 mL, limit 0.0005 mL, nearest acceptable 2 s",
    ),
    (
        Opcode.BOLUS_PREPARE,
        refusal(ErrorCode.HOUR_MAX, detail=2**40, limit=1_000_000, nearest=500_000, field_offset=1),
        "volume at least 4294.967295 mL, limit 1 mL, nearest acceptable 0.5 mL",
    ),
    (
        Opcode.BOLUS_PREPARE,
        refusal(ErrorCode.GAP, detail=5, limit=600, nearest=700),
        "only 5 s, limit 10 min",
    ),
    (
        Opcode.PROG_COMMIT,
        refusal(ErrorCode.CONC, detail=500_000, limit=2_000_000),
        "concentration 500 mcg/mL, limit 2000",
    ),
    (
        Opcode.PROG_COMMIT,
        refusal(ErrorCode.CONC, detail=500_000, limit=500_000),
        "CONC, another drug of the same concentration, 500 mcg/mL: ",
    ),
    (
        Opcode.KEY_ADD,
        refusal(ErrorCode.BUSY, detail=7, limit=8, nearest=0, field_offset=0),
        "BUSY, key id 7: ",
    ),
    (
        Opcode.STOP,
        refusal(ErrorCode.BUSY, detail=7, limit=65_542, nearest=7),
        "BUSY, command id 7, the next is 7: ",
    ),
    (
        Opcode.REFILL,
        refusal(ErrorCode.CONC, detail=2, limit=1, field_offset=12),
        "CONC, drug id 2, limit 1: ",
    ),
]


@pytest.mark.parametrize(("opcode", "error", "part"), SAID, ids=[row[1].code.name for row in SAID])
def test_values_are_those_that_people_read(opcode: Opcode, error: ErrorReply, part: str) -> None:
    assert part in sentence_of_refusal(opcode, error)


def test_a_program_for_a_pump_that_was_never_filled_says_so(session: BenchSession) -> None:
    bench = session.open_bench("empty", "factory")
    with pytest.raises(DeviceRefused) as caught:
        bench.open_programmer().set_simple_program(300_000, concentration_ng_per_ml=500_000, drug_id=1)
    bench.close()
    text = str(caught.value)
    assert "PROG_COMMIT refused: CONC, concentration 500 mcg/mL" in text
    assert "never filled" in text
    assert text.endswith("`pumpbench program refill` with --concentration and --drug")


def test_an_offset_of_a_clock_is_signed() -> None:
    error = refusal(ErrorCode.TIME_RANGE, detail=-721, limit=-720, nearest=-720, field_offset=8)
    assert "tz -721 min, limit -720 min" in sentence_of_refusal(Opcode.TIME_SET, error)


def test_a_token_and_a_check_value_tell_nobody_anything_and_are_left_out() -> None:
    for code in (ErrorCode.TOKEN, ErrorCode.VERIFY_CRC):
        assert "123456" not in sentence_of_refusal(Opcode.BOLUS_COMMIT, refusal(code, detail=123_456))


def test_a_program_that_would_not_run_is_refused_in_words() -> None:
    text = str(ProgramRefused([ProgramRefusal(ErrorCode.RATE, 0, 0, 2_000, 48_000, 48_000)]))
    assert "RATE: value 0.002 mL/day, limit 0.048 mL/day, nearest acceptable 0.048 mL/day" in text
    assert CAUSES[ErrorCode.RATE].cause in text


def test_a_field_of_a_block_is_named_with_its_own_unit_and_cause() -> None:
    lockout = path_offset(ProgramHeader, "patient.lockout_s")
    volume = path_offset(ProgramHeader, "periodic.volume_nl")
    text = str(
        ProgramRefused(
            [
                ProgramRefusal(ErrorCode.RATE, NO_GROUP, lockout, 600, 600, 601),
                ProgramRefusal(ErrorCode.HOUR_MAX, NO_GROUP, volume, 2_000_000, 1_000_000, 1_000_000),
            ]
        )
    )
    assert "RATE: patient's bolus: lockout 10 min, limit 10 min" in text
    assert "the next bolus would come before the last is over" in text
    assert "HOUR_MAX: periodic bolus: volume 2 mL, limit 1 mL" in text


@pytest.mark.parametrize("command", [("stop", "--role", "observer", "--yes")])
def test_the_command_line_says_the_way_on(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, ["program", *command, "--target", "emulator"])
    assert isinstance(result.exception, DeviceRefused)
    assert "STOP refused: ROLE, role observer" in result.exception.one_line()
    assert "--role" in result.exception.one_line()
