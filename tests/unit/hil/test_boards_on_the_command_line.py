"""A board of the bench file on the command line: its holder is shown and named to others, and can be stopped."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hil.address import parse
from hil.bench_file import nearest_bench_file
from hil.bench_session import BenchSession
from hil.cli.main import cli
from hil.errors import BadConfiguration, BenchLost, InUse
from hil.leases import LETS_GO_WITHIN_S
from hil.report.records import FirmwareFile, RunRecord
from hil.targets.board import BoardTarget, bench_target
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import PipedProcess
from tests.unit.bench.processes import Emulator, ThreadBench
from tests.unit.hil.runs import environment, pytest_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

SERIAL = "EMU000000001"


class Lab:
    """A directory with a bench file, whose board rig1 is a pump on a PTY."""

    def __init__(self, directory: Path, port: str) -> None:
        self.directory = directory
        self.port = port
        self.write()

    def write(self, serial: str = SERIAL, more: str = "") -> None:
        (self.directory / "pumpbench.toml").write_text(
            f'leases = "leases"\n[targets.rig1]\naddress = "{self.port}"\nidentity = {{serial = "{serial}"}}\n{more}\n'
        )

    def target(self) -> BoardTarget:
        return bench_target("bench:rig1", nearest_bench_file(self.directory).target("rig1"))


def no_run_begins(*command: object) -> None:
    raise AssertionError(f"a run begins: {command[1]}")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    bench = ThreadBench(seed=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(os, "execve", no_run_begins)  # it would go on in place of these tests
    yield Lab(tmp_path, str(bench.ready["port"]))
    bench.close()


def pumpbench(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def refused(*words: str, error: type[Exception]) -> str:
    done = pumpbench(*words)
    assert isinstance(done.exception, error), done.output
    return str(done.exception)


@pytest.mark.usefixtures("lab")
def test_a_name_of_the_bench_file_is_an_address_for_every_command() -> None:
    done = pumpbench("program", "info", "--target", "bench:rig1", "--json")
    assert json.loads(done.stdout)["serial"] == SERIAL, done.output


def test_another_pump_than_the_bench_file_says_is_sent_no_bolus(lab: Lab) -> None:
    lab.write(serial="PUMP-17")
    done = pumpbench(
        "program", "bolus", "--dose", "25", "--duration", "600", "--yes", "--target", "bench:rig1"
    )
    assert getattr(done.exception, "exit_code", done.exception) == 7, done.output
    assert re.search(
        rf"another pump answers at bench:rig1: serial {SERIAL}, .*the bench file says serial PUMP-17",
        str(done.exception),
    )


def test_the_board_is_listed_with_its_holder_and_its_pump(lab: Lab) -> None:
    lab.write(more='[targets.rig1.instruments.balance]\nport = "/dev/x"')
    (board,) = json.loads(pumpbench("hil", "targets", "--json", "--ask").stdout)["targets"]
    assert (board["name"], board["address"], board["instruments"]) == ("rig1", lab.port, ["balance"])
    assert board["held_by"] is None
    assert f"EMULATED pump (virtual, not a medical device), serial {SERIAL}" in board["identity"]
    with closing(lab.target()) as target:
        target.purpose = "the night run"
        target.start()
        (board,) = json.loads(pumpbench("hil", "targets", "--json", "--ask").stdout)["targets"]
        assert board["identity"] is None  # who holds it is not disturbed
        assert board["held_by"]["purpose"] == "the night run"
        assert board["held_by"]["pid"] == os.getpid()
        assert re.search(
            r"bench:rig1 .*@.* for 0 min: the night run \(process", pumpbench("hil", "targets").stdout
        )


def test_a_second_user_is_refused_with_the_name_of_the_first_under_whatever_name_of_the_board(
    lab: Lab,
) -> None:
    with closing(lab.target()) as target:
        target.purpose = "the night run"
        target.start()
        said = refused("program", "status", "--target", "bench:rig1", error=InUse)
        assert "the night run" in said
        said = refused(
            "hil", "run", "--target", "bench:rig1", "--wait", "1", "--report", "report", error=InUse
        )
        assert "the night run" in said
        with (
            closing(BenchSession(parse("bench:rig1"))) as session,
            pytest.raises(InUse, match="the night run"),
        ):
            session.reach()


def test_taking_a_lease_away_says_from_whom(lab: Lab) -> None:
    assert pumpbench("hil", "targets", "--revoke", "rig1").stdout == "rig1: nobody holds it\n"
    with closing(lab.target()) as target:
        target.purpose = "the night run"
        target.start()
        done = pumpbench("hil", "targets", "--revoke", "rig1", "--why", "I need it")
        assert re.match(r"rig1: taken from .*@.* for 0 min: the night run", done.stdout), done.output
        assert target.lock.holder() is None


def test_a_board_cannot_be_named_where_there_is_no_bench_file_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name was called no address, which nobody had taken it for."""
    monkeypatch.chdir(tmp_path)
    done = pumpbench("hil", "targets", "--revoke", "rig1")
    assert isinstance(done.exception, BadConfiguration)
    assert done.exception.message == f"there is no bench file: no pumpbench.toml in {tmp_path} or above it"


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--revoke", "emulator"), 10, "nobody can hold emulator"),
        (("--revoke", "rig9"), 10, "has no target 'rig9'; it has: rig1"),
        (("--revoke", ""), 10, "--revoke names no board"),
        (("--why", "so"), 2, "--why says why a lease is taken away"),
    ],
)
def test_what_cannot_be_taken_away_is_said(words: tuple[str, ...], code: int, said: str) -> None:
    done = pumpbench("hil", "targets", *words, "--json")
    assert getattr(done.exception, "exit_code", done.exception) == code
    assert said in json.loads(done.stdout)["error"]["message"]


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("--target", "bench:rig1"),
            10,
            "nobody has said how bench:rig1 is reset; write reset = one of dtr, rts",
        ),
        (("--target", "bench:rig1", "--by", "dtr"), 10, "has no DTR"),
        (("--target", "bench:rig1", "--by", "command"), 10, "bench:rig1 has no reset_command"),
        (("--target", "emulator"), 10, "nothing was reset: emulator is no board"),
        ((), 2, "nothing was reset: no board is named"),
    ],
)
def test_what_cannot_be_reset_is_said(words: tuple[str, ...], code: int, said: str) -> None:
    done = pumpbench("hil", "reset", *words)
    assert getattr(done.exception, "exit_code", done.exception) == code
    assert said in str(done.exception)


def boot_count() -> int:
    done = pumpbench("program", "time", "--target", "bench:rig1", "--json")
    assert done.stdout, done.exception
    return int(json.loads(done.stdout)["boot_count"])


def test_a_board_is_reset_by_its_line_where_that_is_asked_for_and_by_opening_its_port_never(lab: Lab) -> None:
    emulator = Emulator("--rfc2217", "127.0.0.1:0,reset=dtr")
    try:
        lab.port = emulator.ready["target"]
        lab.write(more='reset = "dtr"')
        assert boot_count() == 1
        done = pumpbench("hil", "reset", "--target", "bench:rig1")
        assert done.stdout == "bench:rig1 was reset: DTR is turned over for 100 ms\n", done.exception
        assert boot_count() == 2  # its port was opened twice more
    finally:
        emulator.end()


def test_a_reset_by_command_runs_it_beside_the_bench_file(lab: Lab) -> None:
    lab.write(more='reset = "command"\nreset_command = "touch was-reset"')
    assert pumpbench("hil", "reset", "--target", "bench:rig1").exit_code == 0
    assert (lab.directory / "was-reset").exists()


def test_an_instrument_that_cannot_be_put_back_keeps_no_hook_from_running(lab: Lab) -> None:
    hooks = 'hooks = {after = "touch off"}'
    lab.write(more=f'{hooks}\n[targets.rig1.instruments.power]\non = "false"\noff = "true"')
    target = lab.target()
    target.start()
    target.rig.power_cut()
    with pytest.raises(BenchLost, match="the command that puts it on ended with 1"):
        target.close()
    assert (lab.directory / "off").exists()
    assert lab.target().lock.holder() is None


def test_a_run_that_cannot_begin_gives_the_board_back_with_its_hook_after(lab: Lab) -> None:
    lab.port = "/dev/no-such-port"
    lab.write(more='hooks = {before = "touch on", after = "touch off"}')
    with pytest.raises(BadConfiguration, match="there is no port at /dev/no-such-port"):
        BenchSession(parse("bench:rig1")).reach()
    assert (lab.directory / "on").exists()
    assert (lab.directory / "off").exists()
    assert lab.target().lock.holder() is None


@pytest.mark.parametrize(
    ("words", "more", "code", "said"),
    [
        (
            ("--flash",),
            "flash = \"sh -c 'echo no probe >&2; exit 1'\"",
            7,
            "flash of bench:rig1 ended with 1: no probe",
        ),
        (("--flash",), "", 10, "bench:rig1 has no command that flashes it"),
        (("--wait", "-1"), "", 10, "--wait must be a number of seconds from 0 to 86400, is -1"),
        (("--wait", "1", "--target", "emulator"), "", 10, "are for boards, and emulator is none"),
    ],
)
def test_a_board_that_cannot_be_prepared_begins_no_run(
    words: tuple[str, ...], more: str, code: int, said: str, lab: Lab
) -> None:
    lab.write(more=more)
    done = pumpbench("hil", "run", "--target", "bench:rig1", "--report", "report", *words)
    assert getattr(done.exception, "exit_code", done.exception) == code
    assert said in str(done.exception)
    assert lab.target().lock.holder() is None


def test_a_board_is_flashed_under_its_lease_beside_the_bench_file(lab: Lab) -> None:
    lab.write(more='flash = "touch flashed"')
    with closing(lab.target()) as target:
        target.start()
        target.flash()
    assert (lab.directory / "flashed").exists()


def test_the_firmware_that_was_flashed_is_told_by_its_hash_also_where_the_command_builds_it(lab: Lab) -> None:
    lab.write(more='firmware = "fw.bin"\nflash = "sh -c \'echo built > fw.bin\'"')
    file, sha256 = lab.directory / "fw.bin", hashlib.sha256(b"built\n").hexdigest()
    done = pumpbench("hil", "run", "--target", "bench:rig1", "--report", "report", "--flash")
    assert f"'--hil-flashed={sha256}'" in str(done.exception)
    run = RunRecord("")
    with closing(BenchSession(parse("bench:rig1"))) as session:
        session.tell(run, sha256)
        assert run.firmware == FirmwareFile(str(file), sha256, flashed=True)
        session.tell(run, "")
        assert run.firmware == FirmwareFile(str(file), sha256, flashed=False)
        file.write_text("another")
        with pytest.raises(BadConfiguration, match=r"fw\.bin is not what was flashed a moment ago"):
            session.tell(run, sha256)
        file.unlink()
        with pytest.raises(BadConfiguration, match="the firmware of rig1 cannot be read"):
            session.tell(run, "")


@pytest.mark.parametrize(
    ("profile", "code", "said"),
    [
        ("implanted", 0, "profile       fit  implanted"),
        (
            "suite_on_a_port",
            7,
            "no pump of the profile suite_on_a_port: hello_per_min is 10 and not 1000, hello",
        ),
        ("no_such_profile", 10, "pumpbench.toml: targets.rig1.profile is none that can be read"),
        ("./bad.toml", 10, "bad.toml"),
    ],
)
def test_a_board_is_compared_with_the_profile_that_the_bench_file_says_it_has(
    profile: str, code: int, said: str, lab: Lab
) -> None:
    (lab.directory / "bad.toml").write_text("[model]\nstroke_nl = 'x'\n")
    lab.write(more=f'profile = "{profile}"')
    done = pumpbench("hil", "preflight", "--target", "bench:rig1")
    assert getattr(done.exception, "exit_code", 0) == code, done.output
    assert said in f"{done.stdout}{done.exception}"


def test_a_preflight_does_not_call_fit_what_a_run_would_not_begin_with(lab: Lab) -> None:
    lab.write(more='firmware = "never_built.bin"')
    done = pumpbench("hil", "preflight", "--target", "bench:rig1")
    assert getattr(done.exception, "exit_code", 0) == 10, done.output
    assert "the firmware of rig1 cannot be read" in str(done.exception)


def test_a_board_that_is_reset_is_made_from_the_profile_of_the_bench_file_where_a_test_names_none(
    lab: Lab,
) -> None:
    reset = "[targets.rig1.instruments.reset]\ncommand = \"sh -c 'echo $0 > made' {profile}\""
    lab.write(more=f'profile = "suite_on_a_port"\n{reset}')
    with closing(BenchSession(parse("bench:rig1"))) as session:
        assert session.profile == "suite_on_a_port"
        for named, made in ((None, "suite_on_a_port"), ("factory", "factory")):
            session.open_bench("a test", named).close()
            assert (lab.directory / "made").read_text() == f"{made}\n"


def test_a_board_that_its_bench_can_renew_is_free_for_each_test_of_a_run(lab: Lab) -> None:
    lab.write(more='[targets.rig1.instruments.reset]\ncommand = "true"')
    with closing(BenchSession(parse("bench:rig1"))) as session:
        for name in ("first", "second", "third"):
            bench = session.open_bench(name)
            bench.open_programmer().ping()
            bench.close()
    assert lab.target().lock.holder() is None


ASKS_FOR_EVER = """
    def test_asks(pump):
        open("begun", "w").close()
        while True:
            pump.ping()

    def test_is_not_begun(pump):
        pass
"""


def test_a_run_whose_lease_is_taken_away_stops_in_under_2_s_with_11_and_says_why(lab: Lab) -> None:
    command = pytest_command(
        lab.directory, ASKS_FOR_EVER, "--hil-target", "bench:rig1", "--hil-report", "report"
    )
    with Path(os.devnull).open("rb") as nothing:
        run = PipedProcess(
            *command[2:],
            cwd=lab.directory,
            env=environment(lab.directory),
            stdin=nothing.fileno(),
            merged=True,
        )
    give_up_at_s = time.monotonic() + PATIENCE_S
    while not (lab.directory / "begun").exists():
        assert time.monotonic() < give_up_at_s, run.communicate()
    lock = lab.target().lock
    holder = lock.holder()
    assert holder is not None
    assert (holder.purpose, holder.pid) == ("hil run, report report", run.pid)
    assert lock.revoke("alice@lab", "I need it")  # which gives it LETS_GO_WITHIN_S
    assert LETS_GO_WITHIN_S <= 2
    said = run.communicate()[0].decode()
    assert run.wait() == 11, said
    assert "alice@lab took it away: I need it" in said
    assert "1 failed" in said
    assert (lab.directory / "report" / "summary.txt").exists()
