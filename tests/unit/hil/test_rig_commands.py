"""`pumpbench rig`: an emulated pump from outside, from a shell: what it does, tells, and refuses; for programs too."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from firmware_emu.bench.profile_file import load_profile
from hil.cli import main
from hil.cli.rig_documents import RIG_DOCUMENTS
from hil.errors import BadConfiguration, DeviceError, PumpbenchError
from tests.unit.bench.processes import ThreadBench
from tests.unit.hil.test_json_schema import check

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main.cli, ["rig", *arguments])


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[str]:
    """A file with the ready line of a bench."""
    bench = ThreadBench(seed=1)
    path = tmp_path / "ready.json"
    path.write_text(json.dumps(bench.ready) + "\n")
    yield str(path)
    bench.close()


@pytest.fixture
def shell(ready: str) -> Callable[..., str]:
    """Runs a command on the bench; it must do what was asked."""

    def run_well(*arguments: str) -> str:
        done = run(*arguments, "--ready", ready)
        assert done.exception is None, done.exception
        return done.output

    return run_well


def refused(*arguments: str) -> PumpbenchError:
    """The error of a command that is refused."""
    error = run(*arguments).exception
    assert isinstance(error, PumpbenchError), error
    return error


Shell = Callable[..., str]


def test_time_passes_fluid_comes_and_goes_and_the_state_says_so(shell: Shell) -> None:
    assert shell("advance", "24:00") == "the bench stands at 1 d\n"
    assert shell("aspirate", "1.5") == "1.5 mL came out\n"
    assert shell("fill", "0.5", "--concentration", "500") == "0.5 mL went in\n"
    seen = json.loads(shell("state", "--json"))
    assert (seen["now_ms"], seen["powered"]) == (86_400_000, True)
    assert seen["belief"]["reservoir_calc_nl"] == 17_400_000, (
        "18 mL and a day of 0.6 mL; the syringe it does not see"
    )


def test_fluid_without_drug_is_filled_in_no_silence(shell: Shell) -> None:
    shell("aspirate")
    assert shell("fill", "5", "--concentration", "500") == "5 mL went in\n"
    assert shell("fill", "5") == "5 mL went in\n", "of what is in it"
    shell("aspirate")
    assert shell("fill", "5").startswith("5 mL went in, without drug: there was none in the reservoir")
    assert shell("fill", "1", "--concentration", "0") == "1 mL went in\n", "it was said"


def test_truth_and_belief_stand_side_by_side_in_words_and_units(shell: Shell) -> None:
    shell("advance", "24:00")
    shell("aspirate", "1.5")
    lines = shell("state").splitlines()
    assert lines[0].split("  ")[-1].strip() == "so the pump believes"
    reservoir, delivered = (
        next(line for line in lines if line.startswith(word)) for word in ("reservoir", "deliv")
    )
    assert reservoir.split() == ["reservoir", "15.9", "mL", "17.4", "mL"]
    assert delivered.split() == ["delivered", "0.6", "mL", "0.6", "mL"]
    labels = [line.split("  ")[0] for line in lines]
    assert len(set(labels)) == len(labels), "each label means one thing"
    shell("power", "cut")
    assert "no power: no belief" in shell("state")
    assert "15.9 mL" in shell("truth")


def test_time_passes_by_steps_with_the_state_before_and_after_each(shell: Shell) -> None:
    shell("inject", "motor-stall", "--after", "1:00")
    told = [json.loads(line) for line in shell("advance", "2:30", "--every", "1:00", "--json").splitlines()]
    for document in told:
        check("rig-advance", document)
    assert [each["now_ms"] for each in told] == [0, 3_600_000, 7_200_000, 9_000_000]
    assert [each["faults_on"] for each in told] == [[], *3 * [["motor-stall"]]]
    assert [each["truth"]["strokes_turned"] for each in told] == [0, 50, 50, 50]
    assert shell("advance", "0:30", "--every", "0:20").splitlines()[0] == (
        "0 d 02:30:00.000  reservoir 17.975 mL, believed 17.9375 mL; delivered 0.025 mL, believed 0.025 mL; motor-stall"
    )


@pytest.mark.parametrize(
    ("arguments", "stands_at"),
    [
        (("event", "DAY_TOTAL"), "0 d 14:00:00.000"),
        (("event", "DAY_TOTAL", "--count", "2"), "1 d 14:00:00.000"),
        (("alarm", "EMPTY"), "30 d 00:00:00.000"),
        (("truth", "strokes_turned >= 100"), "0 d 02:00:00.000"),
        (("truth", "strokes_turned", "==", "100"), "0 d 02:00:00.000"),
        (("belief", "state == RUN"), "0 d 00:00:00.000"),
        (("truth", "ran_dry_at_ms == none"), "0 d 00:00:00.000"),
        (("truth", "stalled != true"), "0 d 00:00:00.000"),
    ],
)
def test_a_run_ends_at_what_is_named(shell: Shell, arguments: tuple[str, ...], stands_at: str) -> None:
    assert shell("run-until", *arguments).splitlines()[-1] == f"the bench stands at {stands_at}"


def test_what_does_not_happen_in_time_is_said_and_ends_with_8_also_for_programs(ready: str) -> None:
    done = run("run-until", "alarm", "--within", "1:00", "--json", "--ready", ready)
    assert isinstance(done.exception, DeviceError)
    assert done.exception.exit_code == 8
    told = json.loads(done.output)
    assert (told["reached"], told["now_ms"], told["error"]["exit_code"]) == (False, 3_600_000, 8)


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run-until", "event", "BOOTS"), "there is no event 'BOOTS'; there are AlarmCleared, "),
        (("run-until", "event", "BOOT", "EOS"), "event takes one name, and 2 were given"),
        (("run-until", "event", "--cleared"), "cleared says nothing of event"),
        (("run-until", "alarm", "EMPTI"), "there is no alarm 'EMPTI'; there are LOW_RESERVOIR, "),
        (("run-until", "truth", "edges"), "takes FIELD OPERATOR VALUE, and 1 words were given; quote them"),
        (("run-until", "truth", "edgs > 5"), "truth has no field 'edgs'; truth has now_ms, "),
        (("run-until", "truth", "edges => 5"), "operator: Input should be '<', '<=', "),
        (("run-until", "truth", "edges > five"), "edges of truth is a whole number, and is never 'five'"),
        (("run-until", "truth", "edges > 5", "--count", "2"), "count says nothing of truth"),
        (("clock", "fast"), "time 'fast' is none; say real, manual, or x1 to x1000000"),
        (("power", "cut", "--torn", "3"), "--torn says how a write is torn; say which one"),
        (("power", "restore", "--off", "1:00"), "power is on; cut it before"),
        (("trace", "1000000"), "1000000 is no mark"),
        (("watch", "1000000"), "1000000 is no mark"),
        (("lease", "take", " "), "' ' is no name for a lease; say who you are in 1 to 80 printable ASCII"),
        (("lease", "take", "a" * 81), "is no name for a lease"),
        (("inject", "mri", "--at-event", "LUNCH"), "there is no event 'LUNCH'; there are AlarmCleared, "),
        (("inject", "mri", "--at-alarm", "EMPTI"), "there is no alarm 'EMPTI'; there are LOW_RESERVOIR, "),
        (("inject", "mri", "--when", "truth edgs > 5"), "truth has no field 'edgs'; truth has now_ms, "),
        (
            ("inject", "mri", "--when", "edges > 5"),
            "--when begins with 'edges', and truth or belief is expected",
        ),
        (("inject", "mri", "--when", ""), "--when begins with '', and truth or belief is expected"),
        (
            ("inject", "mri", "--when", "truth edges"),
            "quote them for the shell: --when 'truth FIELD >= VALUE'",
        ),
        (("inject", "mri", "--after", "1:00", "--at-stroke", "5"), "--after and --at-stroke each say when"),
        (("inject", "mri", "--after", "1:00", "--count", "5"), "--count is of --at-event and --at-alarm"),
        (("inject", "mri", "--at-event", "BOOT", "--cleared"), "--cleared is of --at-alarm"),
        (("inject", "mri", "--times", "2"), "a fault that starts 2 times at time needs every_ms"),
        (("inject", "mri", "--every", "1:00"), "every_ms says how long between two starts, and there is one"),
        (("inject", "flood"), "there is no fault 'flood'; there are motor-stall, mri, "),
        (("clear", "flood"), "there is no fault 'flood'; there are motor-stall, mri, "),
        (("faults", "flood"), "there is no fault 'flood'; there are motor-stall, mri, "),
        (
            ("inject", "mri", "times=2"),
            "mri has no parameter 'times'; it takes field_duration_ms, restart_delay",
        ),
        (("inject", "magnet", "strength=9"), "magnet has no parameter 'strength'; it takes no parameters"),
        (
            ("inject", "mri", "restart_delay"),
            "'restart_delay' is no NAME=VALUE; `pumpbench rig faults mri` has",
        ),
        (
            ("inject", "mri", "backward_strokes=few"),
            "backward_strokes of mri is 'few', and a whole number is",
        ),
        (("inject", "mri", "restart_delay_ms=1:00"), "a time is NAME_ms=MS or NAME=H:MM"),
        (
            ("inject", "mri", "restart_delay=1:00", "restart_delay_ms=5"),
            "restart_delay_ms of mri is given twice",
        ),
        (
            ("inject", "mri", "field_duration=0:00"),
            "field_duration_ms of mri must be a whole number from 1 to",
        ),
        (("inject", "siphon"), "siphon needs rate_nl_per_day, 1 to 100000000"),
        (("advance", "1:00", "--lease", "a\nb"), "the id of a lease is letters and digits"),
        (("advance", "1:00", "--lease", "0123456789abcdef"), "no lease with this id is known here"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence_with_what_can(
    ready: str, arguments: tuple[str, ...], sentence: str
) -> None:
    error = refused(*arguments, "--ready", ready)
    assert sentence in str(error)
    assert error.exit_code == 2
    told = json.loads(run(*arguments, "--json", "--ready", ready).stdout)
    assert (told["schema"], told["error"]["message"]) == ("pumpbench/error", error.message)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fill", "100.5"), "out of range: 0 to 100 mL"),
        (("aspirate", "4000"), "out of range: 0 to 100 mL"),
        (("power", "cut", "--after-writes", "0"), "out of range: 1 to "),
        (("trace", "-1"), "No such option"),
        (
            ("inject", "mri", "--after", "12"),
            "'12' is no time of 0:00:01 to 99999:59:59: write 6:00 for six hours",
        ),
        (("inject", "mri", "--for", "0:00"), "'0:00' is no time of "),
        (("inject", "mri", "--at-stroke", "0"), "out of range: 1 to "),
        (("run-until", "lunch"), "is not one of 'event', 'alarm', 'truth', 'belief'"),
    ],
)
def test_a_number_that_no_bench_takes_is_refused_by_the_command_line(
    ready: str, arguments: tuple[str, ...], said: str
) -> None:
    done = run(*arguments, "--ready", ready)
    assert (done.exit_code, said in done.output) == (2, True), done.output
    told = json.loads(run(*arguments, "--json", "--ready", ready).stdout)
    assert told["error"]["exit_code"] == 2


def test_the_clock_runs_as_it_is_told_and_is_turned_by_hand_again(shell: Shell) -> None:
    assert shell("clock") == "time is turned by hand; the bench stands at 0 d 00:00:00.000\n"
    assert shell("clock", "x1000").startswith("time runs x1000; the bench stands at 0 d 00:00:")
    assert shell("clock", "real").startswith("time runs real; ")
    assert json.loads(shell("clock", "manual", "--json"))["mode"] == "manual"


def test_power_goes_now_or_in_a_write_to_come_and_comes_back(shell: Shell) -> None:
    assert shell("power", "restore") == "the power was on; a cut that was armed is disarmed\n"
    assert (
        shell("power", "cut", "--after-writes", "2", "--torn", "3") == "the power goes in write 2 from now\n"
    )
    shell("advance", "1:00")
    assert json.loads(shell("state", "--json"))["powered"] is True
    shell("advance", "1:00")
    assert json.loads(shell("state", "--json"))["powered"] is False
    assert shell("power", "restore", "--off", "0:05") == "the power is back\n"
    assert shell("power", "cut") == "the power is off\n"
    assert shell("power", "restore", "--json").count('"was_off": true') == 1


def test_a_trace_since_a_mark_has_what_was_done_since_and_the_next_mark(shell: Shell) -> None:
    shell("advance", "24:00")
    mark = shell("mark").strip()
    assert shell("trace", mark) == f"no such event\nmark {mark}\n"
    shell("aspirate", "1")
    told = shell("trace", mark).splitlines()
    assert told == ["1 d 00:00:00.000  SyringeAspirated: volume_nl 1000000", f"mark {int(mark) + 1}"]
    assert "MemoryChanged" not in shell("trace")
    assert "MemoryChanged" in shell("trace", "--all")
    written = json.loads(shell("trace", "--kind", "MemoryChanged", "--json"))
    assert {event["kind"] for event in written["events"]} == {"MemoryChanged"}
    assert all(len(line) <= 160 for line in shell("trace", "--all").splitlines())


def test_watching_shows_a_line_an_event_and_ends_after_so_many_or_with_the_bench(shell: Shell) -> None:
    shell("advance", "24:00")
    shown = shell("watch", "0", "--count", "2").splitlines()
    assert shown[0] == "0 d 00:00:00.000  PowerOn: boot_count 1, first True"
    told = [json.loads(line) for line in shell("watch", "0", "--count", "3", "--json").splitlines()]
    assert [each["event"]["kind"] for each in told] == ["PowerOn", "LogWritten", "LogWritten"]


def test_a_lease_is_taken_used_and_released_by_its_id(shell: Shell, ready: str) -> None:
    assert shell("lease", "show") == "nobody has the bench to itself\n"
    taken = json.loads(shell("lease", "take", "rig A", "--seconds", "60", "--json"))
    assert taken["who"] == "rig A"
    error = refused("advance", "1:00", "--ready", ready)
    assert "rig A has this bench to itself" in str(error)
    assert error.exit_code == 11
    for _ in range(2):
        shell("advance", "1:00", "--lease", taken["lease"])
    assert shell("lease", "take", "rig A", "--lease", taken["lease"]).strip() == taken["lease"]
    assert shell("lease", "show").startswith("rig A has the bench to itself for another ")
    assert shell("lease", "release", "--lease", taken["lease"]) == "everybody may use the bench\n"
    shell("advance", "1:00")


def test_the_profile_in_force_has_its_values_and_what_the_clinic_changed_and_no_key(shell: Shell) -> None:
    shown = shell("profile").splitlines()
    assert shown[0].split() == ["profile", "implanted"]
    assert shown[-1].split() == ["configured", "nothing"]
    told = shell("profile", "--json")
    assert json.loads(told)["model"]["reservoir_size_nl"] == 20_000_000
    profile = load_profile("implanted")
    assert not [key for key in profile.keys if key.key.hex() in told]


def test_tones_are_listed_with_their_times(shell: Shell) -> None:
    assert shell("tones") == "no tone\n"
    shell("run-until", "alarm")
    assert shell("tones").endswith("one pitch, 1000 ms\n")


def started(shell: Shell) -> list[str]:
    """When faults were injected and cleared, and which, by the trace."""
    told = json.loads(shell("trace", "--kind", "FaultInjected", "--kind", "FaultCleared", "--json"))
    return [
        f"{event['now_ms'] / 1_000:g} {event['kind'].removeprefix('Fault')} {event['fields']['name']}"
        for event in told["events"]
    ]


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    ("words", "told", "happened"),
    [
        (("--for", "2:00"), "is on, ends at 0 d 02:00:00.000", ["0 Injected", "7200 Cleared"]),
        (("--after", "1:00:30"), "is not on yet, starts at 0 d 01:00:30.000", ["3630 Injected"]),
        (("--at-stroke", "5"), "is not on yet, starts behind stroke 5 from now", ["360 Injected"]),
        (
            ("--at-write", "3"),
            "is not on yet, starts behind write 3 to the memory from now",
            ["10800 Injected"],
        ),
        (("--at-frame", "3"), "is not on yet, starts as frame 3 from now has come", []),
        (("--at-event", "DAY_TOTAL"), "is not on yet, starts at event DAY_TOTAL", ["50400 Injected"]),
        (
            ("--at-event", "DAY_TOTAL", "--count", "2"),
            "is not on yet, starts at event DAY_TOTAL (2 to go)",
            ["136800 Injected"],
        ),
        (("--at-alarm", "EMPTY", "--cleared"), "is not on yet, starts when alarm EMPTY ends", []),
        (
            ("--when", "truth strokes_turned >= 100"),
            "is not on yet, starts when truth strokes_turned >= 100",
            ["7200 Injected"],
        ),
        (("--when", "belief state == RUN"), "is on", ["0 Injected"]),
        (
            ("--for", "0:30", "--every", "24:00", "--times", "3"),
            "is on, ends at 0 d 00:30:00.000; starts again at 1 d 00:00:00.000 for 30 min; then 1 more, 1 d apart",
            ["0 Injected", "1800 Cleared", "86400 Injected", "88200 Cleared"],
        ),
    ],
)
def test_a_fault_starts_when_the_shell_says(
    shell: Shell, words: tuple[str, ...], told: str, happened: list[str]
) -> None:
    assert shell("inject", "motor-stall", *words) == f"motor-stall {told}\n"
    shell("advance", "47:00")
    assert started(shell) == [f"{each} motor-stall" for each in happened]


def test_numbers_of_a_fault_are_whole_and_times_may_be_hours_and_minutes(shell: Shell) -> None:
    shell("inject", "mri", "field_duration=0:30", "restart_delay=24:00", "backward_strokes=7")
    shell("inject", "clock-jump", "jump_ms=-5000")
    told = json.loads(shell("trace", "--kind", "FaultInjected", "--json"))["events"]
    given = [{each["name"]: each["value"] for each in event["fields"]["parameters"]} for event in told]
    assert given == [
        {"field_duration_ms": 1_800_000, "restart_delay_ms": 86_400_000, "backward_strokes": 7},
        {"jump_ms": -5_000},
    ]


def test_faults_are_listed_with_how_they_stand_and_one_is_told_whole(shell: Shell) -> None:
    shell("inject", "motor-stall")
    shell("inject", "mri", "--at-alarm", "EMPTY")
    shell("advance", "2:00")
    rows = [line.split(maxsplit=4) for line in shell("faults").splitlines()]
    assert rows[0] == ["FAULT", "WHERE", "ON", "EFFECTS", "TO COME"]
    assert rows[1] == ["motor-stall", "plant", "on", "100"]
    assert rows[2] == ["mri", "plant", "-", "0", "starts when alarm EMPTY"]
    told = dict(line.split("  ", maxsplit=1) for line in shell("faults", "mri").splitlines())
    assert "MOTOR_STALL" in told["pump sees"]
    assert told["field_duration_ms"] == "1 or more, in ms; left out: 1800000 (30 min)"
    assert "must be given" in shell("faults", "siphon")
    assert shell("clear", "motor-stall") == "motor-stall is over; its effects so far: 100\n"
    assert shell("clear", "mri") == "mri was called off before it came\n"
    assert shell("clear", "mri") == "mri was neither on nor to come\n"


DOCUMENTS_OF: list[tuple[str, ...]] = [
    ("state",), ("truth",), ("clock",), ("clock", "manual"), ("advance", "1:00"), ("run-until", "event"),
    ("run-until", "belief", "state == RUN"), ("mark",), ("trace",), ("watch", "0", "--count", "1"),
    ("aspirate", "1"), ("fill", "1"), ("power", "cut", "--after-writes", "9"), ("power", "restore"),
    ("tones",), ("inject", "magnet"), ("inject", "mri", "--when", "truth stalled == true"), ("faults",),
    ("faults", "mri"), ("clear", "magnet"), ("lease", "show"), ("snapshot", "one"),
    ("snapshot", "two"), ("snapshot",), ("diff", "one", "two"), ("restore", "one"), ("lease", "take", "me"),
    ("profile",),
]  # fmt: skip


def test_every_command_tells_a_document_that_is_valid_by_its_schema(shell: Shell) -> None:
    told = {}
    for arguments in DOCUMENTS_OF:
        document = json.loads(shell(*arguments, "--json"))
        name = document["schema"].removeprefix("pumpbench/")
        check(name, document)
        told[name] = document
    assert set(told) | {"rig-fork"} == set(RIG_DOCUMENTS), "that needs a second bench"


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        error = refused("state", "--ready", str(path))
        assert isinstance(error, BadConfiguration)
        assert "is no file" in str(error) or "cannot be read" in str(error)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "does not begin with a ready line"),
        ("[" * 100_000, "does not begin with a ready line"),
        ('{"ready": true}', "does not begin with a ready line"),
        ('{"control": "http://127.0.0.1:1", "token": 5}', "does not begin with a ready line"),
        ('{"control": ["http://127.0.0.1:1"], "token": "a"}', "does not begin with a ready line"),
        ('{"control": null, "token": null}', "has no rig control; start it with --control 127.0.0.1:0"),
    ],
    ids=[
        "none",
        "empty",
        "nested",
        "without a place",
        "a number for a token",
        "a list for a place",
        "without rig control",
    ],
)
def test_a_file_that_names_no_bench_is_said_with_what_would(
    content: str | None, sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "ready.json"
    if content is not None:
        path.write_text(content)
    error = run("state", "--ready", str(path)).exception
    assert isinstance(error, BadConfiguration)
    assert sentence in error.one_line()


def test_a_span_is_hours_and_minutes(ready: str) -> None:
    done = run("advance", "24", "--ready", ready)
    assert done.exit_code == 2
    assert "write 6:00 for six hours" in done.output


@pytest.mark.parametrize("arguments", [("state",), ("trace",), ("faults",)], ids=" ".join)
def test_a_command_without_a_bench_says_both_ways_to_name_one(arguments: tuple[str, ...]) -> None:
    error = refused(*arguments)
    assert (error.exit_code, error.accused) == (2, "usage")
    assert "--ready FILE" in str(error)
    assert "$PUMPBENCH_READY" in str(error)
