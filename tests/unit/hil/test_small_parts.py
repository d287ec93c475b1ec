"""Deadlines, capabilities, keys from files, quantities, the wire log's lines, the summary."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hil.bench_of_test import TestBench
from hil.capabilities import TargetCapability, parse_needs
from hil.cli.documents import json_text
from hil.cli.tables import alarm_names, moment, wall_text
from hil.deadline import Deadline
from hil.errors import (
    BadConfiguration,
    BenchLost,
    DeviceError,
    ExitCode,
    InUse,
    LinkError,
    NotExecuted,
    OutcomeUnknown,
    UsageError,
)
from hil.installation import check_protocol_is_ours
from hil.key_file import read_key, read_keys
from hil.noise import Direction
from hil.quantity_reading import exact
from hil.quantity_words import decimal_text, duration, mcg_per_day, ml
from hil.report.records import CaseRecord, RunRecord, Verdict
from hil.report.summary import one_line, summary_of
from hil.targets.choices import PumpChoice, profile_argument, profile_text
from hil.wire_log import clock_text
from protocol.identifiers import Role
from protocol.link.development_keys import development_key


def test_a_deadline_is_a_moment() -> None:
    deadline = Deadline.after(100, 50)
    assert (deadline.passed(149), deadline.passed(150)) == (False, True)
    assert (deadline.left_ms(50), deadline.left_ms(200)) == (100, 0)
    assert (deadline.sooner(None), deadline.sooner(120), deadline.sooner(200)) == (150, 120, 150)


def test_needs_are_known_by_name() -> None:
    assert parse_needs(("time", "faults")) == {TargetCapability.TIME, TargetCapability.FAULTS}
    with pytest.raises(ValueError, match="magic"):
        parse_needs(("magic",))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (BenchLost("x"), 7),
        (LinkError("x"), 7),
        (DeviceError("x"), 8),
        (OutcomeUnknown("x", cmd_id=1), 9),
        (BadConfiguration("x"), 10),
        (InUse("x"), 11),
    ],
)
def test_exit_codes_are_those_of_the_manual(error: Any, code: Any) -> None:
    assert error.exit_code == code
    assert error.exit_code in ExitCode


def test_no_word_of_failure_where_it_is_not_known() -> None:
    assert "fail" not in str(OutcomeUnknown("what became of it is not known", cmd_id=1))
    assert issubclass(NotExecuted, LinkError)


def key_file(tmp_path: Path, document: Any, mode: Any = 0o600) -> Any:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(document))
    path.chmod(mode)
    return path


KEY_ROWS = [
    {"key_id": 7, "role": "observer", "key": "00" * 16},
    {"key_id": 8, "role": "clinician", "key": "11" * 16},
]


def test_a_key_file_holds_one_key_or_several(tmp_path: Path) -> None:
    assert read_key(key_file(tmp_path, KEY_ROWS[0])).key_id == 7
    assert read_key(key_file(tmp_path, KEY_ROWS)).key_id == 8
    assert read_key(key_file(tmp_path, KEY_ROWS), Role.OBSERVER).key_id == 7
    with pytest.raises(BadConfiguration, match="service"):
        read_key(key_file(tmp_path, KEY_ROWS), Role.SERVICE)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="chmod 600"):
        read_key(key_file(tmp_path, KEY_ROWS, 0o644))


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        5,
        {"key_id": 1, "role": "clinician", "key": "secret-secret"},
        {"key_id": 1, "role": "king", "key": "00" * 16},
        {"key_id": 1, "role": "clinician", "key": "00" * 15},
        {"key_id": 0xFFFF, "role": "clinician", "key": "00" * 16},
    ],
)
def test_a_wrong_key_file_is_one_sentence_without_the_key(tmp_path: Path, document: Any) -> None:
    with pytest.raises(BadConfiguration) as caught:
        read_key(key_file(tmp_path, document))
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_of_two_keys_with_one_number_none_is_taken_in_silence(tmp_path: Path) -> None:
    rows = [{"key_id": 1, "role": "clinician", "key": digits * 16} for digits in ("00", "01")]
    with pytest.raises(BadConfiguration, match="several keys with the key_id 1"):
        read_keys(key_file(tmp_path, rows))
    assert len(read_keys(key_file(tmp_path, [rows[0], rows[0]]))) == 2


def test_a_key_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="--key"):
        read_key(tmp_path / "none")


def test_the_published_keys_are_marked_as_such(tmp_path: Path) -> None:
    key = development_key(Role.CLINICIAN)
    document = {"key_id": key.key_id, "role": "clinician", "key": key.key.hex()}
    assert read_key(key_file(tmp_path, document)).development
    assert not read_key(key_file(tmp_path, KEY_ROWS)).development


def test_protocol_is_ours() -> None:
    check_protocol_is_ours()


def test_an_intruder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol" / "__init__.py").write_text("")
    monkeypatch.delitem(sys.modules, "protocol")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadConfiguration, match=str(tmp_path / "protocol")):
        check_protocol_is_ours()


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0, 6, "0"),
        (600_000, 6, "0.6"),
        (18_000_000, 6, "18"),
        (1, 6, "0.000001"),
        (-895_500, 6, "-0.8955"),
        (300_000, 3, "300"),
        (2_400, 3, "2.4"),
    ],
)
def test_decimals_are_exact(value: int, places: int, text: str) -> None:
    assert decimal_text(value, places) == text


def test_quantities_are_read_exactly_or_not_at_all() -> None:
    assert exact("0.1", 6, "mL") == 100_000
    assert exact("25", 3, "mcg") == 25_000
    for wrong in ("0.0000001", "-1", "x", "nan", "inf", ""):
        with pytest.raises(ValueError, match="mL"):
            exact(wrong, 6, "mL")
    assert (ml(600_000), mcg_per_day(300_000)) == ("0.6 mL", "300 mcg/day")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (3_600, "1 h"), (90_061, "1 d 1 h 1 min 1 s")]
)
def test_durations_leave_out_what_is_zero(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_wall_time_is_in_the_pumps_zone() -> None:
    assert wall_text(825_760_800) == "2026-03-02 10:00:00 UTC+00:00"
    assert wall_text(825_760_800, -90) == "2026-03-02 08:30:00 UTC-01:30"
    assert wall_text(0, valid=False) == "not set"


def test_moments_are_told_from_now(bench: TestBench) -> None:
    status = bench.open_programmer().status()
    assert moment(0xFFFF_FFFF, status) == "never at this rate"
    assert moment(status.t_mono_s + 3_600, status) == "2026-03-02 11:00:00 UTC+00:00 (in 1 h)"
    unset = status._replace(flags=type(status.flags)(0), t_mono_s=100)
    assert moment(40, unset) == "1 min ago"


def test_alarms_by_name_also_unknown_ones() -> None:
    assert alarm_names(0) == "none"
    assert alarm_names(1 << 1 | 1 << 2) == "LOW_RESERVOIR, EMPTY"
    assert alarm_names(1 << 20) == "unknown alarm 20"


def test_json_has_raw_integers_and_names(bench: TestBench) -> None:
    pump = bench.open_programmer()
    status = json.loads(json_text("test", pump.status()))
    assert (status["state"], status["rate_nl_per_day"], status["flags"]) == ("RUN", 600_000, ["WALL_VALID"])
    assert json.loads(json_text("test", pump.info()))["serial"] == "EMU000000001"
    assert json.loads(json_text("test", {"x": b"\x01\x02"}))["x"] == "0102"


def test_pump_time_as_days_and_time_of_day() -> None:
    assert clock_text(0) == "0d 00:00:00.000"
    assert clock_text(2 * 86_400_000 + 3_723_004) == "2d 01:02:03.004"


def test_the_wire_log_decodes_every_frame(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.alarms()
    pump.bolus(20_000, 600)
    pump.read_log()
    text = pump.wire_log.text(1_000)
    assert "CLIENT_HELLO" in text
    assert "volume_nl=20000" in text
    assert "not decrypted" not in text
    assert len(text.splitlines()) == pump.wire_log.count
    assert pump.wire_log.text(2).splitlines()[0] == f"({pump.wire_log.count - 2} earlier frames)"


def test_the_wire_log_shows_what_was_damaged(bench: TestBench) -> None:
    pump = bench.open_programmer()
    bench.line.flip(Direction.FROM_PUMP, 77)
    pump.ping()
    assert "bad frame" in pump.wire_log.text(12)


def test_a_profile_that_differs_is_a_file_that_says_only_what_differs() -> None:
    choice = PumpChoice("implanted", model={"accuracy_ppm": 1_145_000}, implant={"filled_nl": 20_000_000})
    text = profile_text(choice)
    assert (
        text
        == 'based_on = "implanted"\n\n[model]\naccuracy_ppm = 1145000\n\n[implant]\nfilled_nl = 20000000\n'
    )
    with profile_argument(choice) as path:
        assert path.endswith(".toml")
    with profile_argument(PumpChoice("factory")) as name:
        assert name == "factory"


def test_the_summary_says_what_ran_and_what_failed() -> None:
    run = RunRecord("pty:./pump", "hardware, serial X")
    run.tests = [
        CaseRecord("test_a", Verdict.PASSED, 1.0, ("A-1",)),
        CaseRecord("test_b", Verdict.FAILED, 1.0, ("A-1", "A-2"), "assert 1 == 2", "pump 0d --> PING"),
        CaseRecord("test_c", Verdict.SKIPPED, 0.0, (), "pty:./pump cannot: time"),
        CaseRecord("test_d", Verdict.SKIPPED, 0.0, (), "pty:./pump cannot: time"),
    ]
    run.stopped = "bench: gone"
    text = summary_of(run)
    assert one_line(run) == "1 passed, 1 failed, 2 skipped on pty:./pump"
    for part in (
        "hardware, serial X",
        "FAILED test_b",
        "assert 1 == 2",
        "pump 0d --> PING",
        "2 x pty:./pump cannot: time",
        "A-1          1 passed, 1 failed",
        "stopped   bench: gone",
        "Not a medical device",
    ):
        assert part in text
    assert one_line(RunRecord("x")) == "no tests on x"


def test_an_error_is_one_line_whatever_the_name_in_it_would_do_to_a_terminal() -> None:
    """A name of a file may hold what looks like another sentence of ours."""
    error = BadConfiguration("no port at ./x\npumpbench: done\x1b[2J\udcff", advice="caf\u00e9")
    assert error.one_line() == r"configuration: no port at ./x\npumpbench: done\x1b[2J\udcff; caf" + "\u00e9"
