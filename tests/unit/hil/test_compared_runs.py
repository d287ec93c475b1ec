"""`pumpbench hil compare`: two runs are alike, or what is not the same is named by test: outcome, timing, bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner

from hil.cli.json_schema import json_schema
from hil.cli.main import cli
from hil.latency import Quantiles, Shift, quantiles_of
from hil.noise import Direction
from hil.programmer.entropy import SeededEntropy
from hil.report.records import JSON_NAME, CaseRecord, Verdict
from hil.suite.raw_client import RawClient, decoded, with_new_crc
from protocol.identifiers import Opcode, Role
from protocol.link.development_keys import development_key
from tests.unit.hil.made_reports import ASKED, made_report, status, status_often
from tests.unit.hil.test_boards_on_the_command_line import lab
from tests.unit.hil.test_json_schema import closed

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.bench_of_test import TestBench
    from tests.unit.hil.test_boards_on_the_command_line import Lab

__all__ = ["lab"]


def compared(*words: str | Path) -> tuple[int, str, str]:
    """Exit code, what was printed, and the sentence that it ended with."""
    done = CliRunner().invoke(cli, ["hil", "compare", *map(str, words)])
    return int(getattr(done.exception, "exit_code", done.exit_code)), done.stdout, str(done.exception or "")


def document(*words: str | Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(compared(*words, "--json")[1])
    jsonschema.Draft202012Validator(closed(json_schema("hil-compare"))).validate(said)
    return said


def program(bench: TestBench) -> None:
    bench.open_programmer().program()


def test_two_runs_that_differ_in_what_is_other_each_time_alone_are_alike(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_one": status, "test_two": program}, seed=1)
    second = made_report(tmp_path / "b", {"test_two": program, "test_one": status}, seed=2)
    code, shown, _ = compared(first, second)
    assert code == 0, shown
    assert "outcome: of 2 tests all end alike; 2 executed on both" in shown
    assert re.search(r"bytes: \d\d messages of 2 tests compared: the same", shown)
    assert "the same by a rule alone: ClientHello.nonce_c" in shown
    said = document(first, second)
    assert (said["alike"], said["executed"], said["fields"], said["outcomes"]) == (True, 2, [], [])


def test_a_test_whose_name_is_no_text_is_compared_too(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_\udcff": status})
    assert document(first, first)["compared_tests"] == 1


def test_a_field_that_differs_is_named_with_both_values_its_tests_and_its_packets(tmp_path: Path) -> None:
    talks = {"test_one": status, "test_two": status}
    first = made_report(tmp_path / "a", talks)
    second = made_report(tmp_path / "b", talks, profile="spinal")
    code, shown, sentence = compared(first, second)
    assert code == 15
    assert re.search(
        r"^  GetStatusReply\.rate_nl_per_day: 2 tests, 2 times: 600000 \| 400000 nL/day\n    test_one, packet 7 \| 7$",
        shown,
        re.MULTILINE,
    )
    assert re.search(r"a and .*/b differ: \d+ fields in what was said$", sentence)
    said = document(first, second)
    (rate,) = [each for each in said["fields"] if each["place"] == "GetStatusReply.rate_nl_per_day"]
    assert [seen["test"] for seen in rate["shown"]] == ["test_one", "test_two"]
    assert (rate["shown"][0]["first_value"], rate["shown"][0]["second_value"]) == ("600000", "400000")
    assert said["error"]["exit_code"] == 15


def test_what_one_side_alone_says_is_summed_with_its_test(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_one": status})
    second = made_report(tmp_path / "b", {"test_one": status_often()})
    code, shown, _ = compared(first, second)
    assert code == 15
    assert (
        f"said in the second alone: one test, {2 * ASKED} times: GetStatus, GetStatusReply\n    test_one"
        in shown
    )


def test_tests_that_do_not_end_alike_are_named_by_how_and_why_and_what_one_skipped_is_not_compared(
    tmp_path: Path,
) -> None:
    reason = "bench:rig1 cannot: time"
    first = made_report(tmp_path / "a", {"test_one": status, "test_two": status, "test_three": status})
    second = made_report(
        tmp_path / "b",
        {"test_three": program, "test_one": status, "test_two": program},  # skipped in the middle
        unlike=[
            CaseRecord("test_two", Verdict.SKIPPED, 0.0, reason=reason),
            CaseRecord("test_one", Verdict.FAILED, 0.1, reason="x.py:1: assert 1 == 2\nmore"),
            CaseRecord("test_four", Verdict.PASSED, 0.1),
        ],
    )
    code, shown, sentence = compared(first, second)
    assert code == 15
    assert f"  passed | skipped, one test: {reason}\n    test_two\n" in shown
    assert "  passed | failed, one test\n    test_one: x.py:1: assert 1 == 2\n" in shown
    assert "  absent | passed, one test\n    test_four\n" in shown
    assert "3 tests in outcome" in sentence
    said = document(first, second)
    assert {seen["test"] for each in said["fields"] for seen in each["shown"]} == {"test_three"}


@pytest.mark.parametrize(
    ("delay_ms", "late", "shifted"), [(0, 0, []), (40, ASKED, ["GET_STATUS", "all requests"]), (40, 3, [])]
)
def test_a_latency_that_is_another_is_named_and_a_few_late_answers_are_noise(
    delay_ms: int, late: int, shifted: list[str], tmp_path: Path
) -> None:
    first = made_report(tmp_path / "a", {"test_one": status_often()})
    second = made_report(tmp_path / "b", {"test_one": status_often(delay_ms, late=late)})
    said = document(first, second, "--no-bytes")
    assert [each["request"] for each in said["timing"] if each["shifted"]] == shifted
    code, shown, _ = compared(first, second, "--no-bytes")
    assert code == (15 if shifted else 0)
    assert bool(re.search(r"GET_STATUS +median 0\.0 \| 40\.0 ms", shown)) is bool(shifted)
    assert document(first, second, "--no-bytes", "--no-timing")["timing"] == []


def spread(median_us: int, within_us: int, answers: int = 100) -> Quantiles:
    return quantiles_of([median_us + within_us * step // answers for step in range(-answers, answers + 1, 2)])


@pytest.mark.parametrize(
    ("first", "second", "judged", "shifted"),
    [
        (spread(20_000, 1_000), spread(26_000, 1_000), True, True),
        (spread(26_000, 1_000), spread(20_000, 1_000), True, True),
        (spread(20_000, 9_000), spread(26_000, 9_000), True, False),  # within what they scatter
        (spread(20_000, 9_000), spread(26_000, 100), True, False),  # within what the first scatters
        (spread(20_000, 100), spread(21_500, 100), True, False),  # less than 10 %
        (spread(2_000, 10), spread(2_900, 10), True, False),  # less than 1 ms
        (spread(20_000, 100), spread(26_000, 100, answers=10), False, False),
        (quantiles_of([5_000] * 100), quantiles_of([5_000] * 60 + [900_000] * 5), True, False),
    ],
)
def test_a_shift_is_more_than_the_scatter_of_each_side(
    first: Quantiles, second: Quantiles, judged: bool, shifted: bool
) -> None:
    shift = Shift("PING", first, second)
    assert (shift.is_judged, shift.is_shifted) == (judged, shifted)


def test_times_of_a_pump_in_virtual_time_are_not_held_against_those_of_a_clock(lab: Lab) -> None:
    first = made_report(lab.directory / "a", {"test_one": status_often()})
    second = made_report(lab.directory / "b", {"test_one": status_often()}, address="bench:rig1")
    said = document(first, second)
    assert said["timing"] == []
    assert said["timing_not_compared"] == "the times of one run are those of a pump in virtual time"
    assert said["compared_tests"] == 1


def test_what_the_harness_asks_and_says_on_a_device_that_stays_is_no_difference(lab: Lab) -> None:
    first = made_report(lab.directory / "a", {"test_one": status, "test_two": program})
    second = made_report(lab.directory / "b", {"test_one": status, "test_two": program}, address="bench:rig1")
    code, shown, _ = compared(first, second)
    assert code == 0, shown
    assert "bench:rig1 was there before: what earlier tests left in it may show below" in shown


def damaging(bench: TestBench) -> None:
    programmer = bench.open_programmer()
    bench.line.flip(Direction.TO_PUMP, 40)
    programmer.status()


def test_a_damaged_frame_is_compared_by_being_there_and_not_by_its_sealed_bytes(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_one": damaging}, seed=1)
    code, shown, _ = compared(first, made_report(tmp_path / "b", {"test_one": damaging}, seed=2))
    assert code == 0, shown
    code, shown, _ = compared(first, made_report(tmp_path / "c", {"test_one": status}, seed=2))
    assert (code, "said in the first alone: one test" in shown, "BadFrame" in shown) == (15, True, True)


def test_runs_that_are_not_complete_are_never_alike(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_one": status}, missing=["test_two"])
    second = made_report(tmp_path / "b", {"test_one": status}, missing=["test_two"])
    code, shown, sentence = compared(first, second)
    assert code == 10
    assert re.search(r"!!! the run in .*/a is not complete: 1 passed, 1 did not run", shown)
    assert sentence.endswith("what could be compared is alike")
    assert document(first, second)["alike"] is False


def test_without_a_recording_it_is_said_that_bytes_and_timing_were_not_compared(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_one": status})
    second = made_report(tmp_path / "b", {"test_one": status}, recorded=False)
    code, shown, _ = compared(first, second)
    assert code == 0
    for what in ("timing", "bytes"):
        assert f"{what}: not compared: {second} holds no recording" in shown


def forging(count: int) -> Callable[[TestBench], None]:
    """Two good requests, and so many between them whose tags do not hold, which no key opens."""

    def talk(bench: TestBench) -> None:
        client = RawClient(bench.channel, development_key(Role.CLINICIAN), SeededEntropy("forging"))
        client.connect()
        client.status()
        for _ in range(count):
            frame = bytearray(decoded(client.request_frame(Opcode.PING)))
            frame[-6] ^= 1
            client.send(with_new_crc(bytes(frame)))
        client.status()

    return talk


def test_frames_that_a_test_has_forged_are_counted_and_make_no_difference(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_one": forging(1)})
    code, shown, _ = compared(first, first)
    assert code == 0
    assert "  not compared: one frame of one test that no key opens (--key FILE)" in shown
    assert document(first, first)["sealed"] == 1


def test_recordings_of_which_no_key_opens_most_are_never_alike(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_one": forging(12)})
    code, _, sentence = compared(first, first)
    assert code == 10
    assert "no key opens 12 frames, and 8 messages were compared; what could be compared is alike" in sentence


def test_a_test_that_one_recording_alone_has_is_a_difference(tmp_path: Path) -> None:
    unlike = [CaseRecord("test_two", Verdict.PASSED, 0.1)]
    first = made_report(tmp_path / "a", {"test_one": status, "test_two": status})
    second = made_report(tmp_path / "b", {"test_one": status}, unlike=unlike)
    code, shown, sentence = compared(first, second)
    assert (code, "test_two is in one recording alone" in shown) == (15, True)
    assert "one test recorded on one side alone" in sentence


def torn(report: Path) -> None:
    recording = report / "recording.pcapng"
    recording.write_bytes(recording.read_bytes()[:-20])


def test_a_damaged_recording_is_said_and_never_alike(tmp_path: Path) -> None:
    first = made_report(tmp_path / "a", {"test_one": status})
    second = made_report(tmp_path / "b", {"test_one": status})
    torn(second)
    code, _, sentence = compared(first, second)
    assert code == 10
    assert re.search(r"/b: recording\.pcapng: byte \d+: ", sentence)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"is no whole report: report.json cannot be read \(No such file or directory\); name the dir"),
        ("{", r"report.json is damaged \(JSONDecodeError"),
        ("[]", r"report.json is damaged \(TypeError"),
        ('{"schema": {"name": "pumpbench-report", "version": 9}}', "is a pumpbench-report of version 9, and a .* 1 is"),
        ('{"schema": {"name": "pumpbench-report", "version": 1}, "tests": 5}', r"is damaged \(TypeError"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_one_sentence(content: str | None, said: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / JSON_NAME).write_text(content)
    code, shown, sentence = compared(tmp_path, tmp_path, "--json")
    assert code == 10
    assert re.search(said, sentence)
    assert json.loads(shown)["error"]["message"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("/nowhere", "."), "there is neither a report nor a port at /nowhere"),
        (
            ("nowhere", "."),
            "'nowhere' is neither a directory with a report nor a target: no such target address",
        ),
        (("", "."), "one of them is empty"),
        ((".", ".", "-k", "x"), "-k, --profile, --seed and what follows -- choose what a run does"),
        (
            ("pty:x", ".", "--seed", "5"),
            "--seed is for emulated pumps alone, and neither target makes its pump",
        ),
        (("bench:none", "emulator"), "there is no bench file"),
        (("./first", "emulator", "--report", "."), "neither a report nor a port at ./first"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_runs(
    words: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, sentence = compared(*words)
    assert (code, said in sentence) == (10, True), sentence
    assert not list(tmp_path.iterdir())


def test_a_run_does_not_replace_the_report_that_it_is_compared_with(tmp_path: Path) -> None:
    second = made_report(tmp_path / "first", {"test_one": status})
    code, _, sentence = compared("emulator", second, "--report", tmp_path)
    assert (code, "the run would replace the report" in sentence) == (10, True), sentence
    assert (second / JSON_NAME).exists()


def test_two_runs_of_which_neither_has_executed_a_test_are_not_alike(tmp_path: Path) -> None:
    unlike = [CaseRecord("test_one", Verdict.SKIPPED, 0.0, reason="x")]
    first = made_report(tmp_path / "a", {}, unlike=unlike)
    code, _, sentence = compared(first, made_report(tmp_path / "b", {}, unlike=unlike))
    assert (code, "no test was executed in both runs" in sentence) == (10, True)


def test_a_target_is_run_and_its_report_kept_beside_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    earlier = made_report(tmp_path / "earlier", {"suite/test_reading.py::test_gone": status})
    words = ("emulator", earlier, "--json", "--report", "kept", "-k", "reading_changes_nothing")
    code, shown, sentence = compared(*words)
    assert code == 15, sentence
    said = json.loads(shown)
    assert said["first"]["report"] == "kept/first"
    assert [each["first"] for each in said["outcomes"]] == ["passed", "absent"]
    assert "1 passed" in (tmp_path / "kept" / "first" / "summary.txt").read_text()
    assert "1 passed" in capfd.readouterr().err  # what the run said


def test_a_run_that_cannot_be_ends_the_comparison_with_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, sentence = compared("emulator", "emulator", "--", "--hil-seed=1")
    assert code == 10
    assert (
        "the run on emulator ended with 10, and there is nothing to compare yet; what it said stands"
        in sentence
    )
    assert "--hil-seed is no option for what follows --" in capfd.readouterr().err
    assert not (tmp_path / "hil-compare" / "second").exists()
