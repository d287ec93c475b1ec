"""The command line as its users meet it: tables, JSON, one sentence where something is wrong, and exit codes."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import termios
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.cli.key_commands import keys
from hil.cli.program import program
from hil.errors import PumpbenchError, UsageError
from hil.key_file import read_key
from hil.plugin import verifies
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import run_python

HOUSE = Path(__file__).resolve().parents[3]
EMULATOR = ("--target", "emulator")  # a pump that is gone with the command, named as such


def run(*arguments: str) -> Result:
    """One command against a new virtual pump."""
    return CliRunner().invoke(main.cli, list(arguments))


def output(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def exit_code(*arguments: str) -> tuple[int, str]:
    """Exit code and stderr of the real command."""
    command = [sys.executable, "-m", "hil.cli", *arguments]
    done = run_python(command)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_help_lists_the_commands_and_says_what_this_is_not() -> None:
    text = output("--help")
    assert all(name in text for name in main.GROUPS)
    assert "Not a medical device" in text


def new_python(program: str, *, check: bool = False) -> subprocess.CompletedProcess[str]:
    """A Python that has imported nothing yet, on a program; to its end."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, cwd=HOUSE, timeout=PATIENCE_S, check=check)


def test_help_imports_none_of_the_groups() -> None:
    program = (
        "import sys\n"
        "from hil.cli.main import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted(sys.modules))"
    )
    done = new_python(program, check=True)
    for heavy in ("construct", "cryptography", "serial", "pytest", "hil.programmer", "firmware_emu.cli"):
        assert f"'{heavy}'" not in done.stdout


INTERRUPTED_IMPORT = """
import os, signal, sys

class AtImportOf:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, AtImportOf())
{before}
sys.argv = ["pumpbench", "--help"]
from hil.cli.__main__ import main
main()
"""


@pytest.mark.parametrize("module", ["hil.cli.main", "click", "hil.errors"])
def test_an_interrupt_while_it_is_imported_ends_it_without_a_traceback(module: str) -> None:
    program = INTERRUPTED_IMPORT.format(module=module, before="")
    done = new_python(program)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "pumpbench: interrupted: nothing was sent\n"


def test_an_interrupt_that_was_ignored_when_it_started_stays_ignored() -> None:
    ignoring = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
    program = INTERRUPTED_IMPORT.format(module="click", before=ignoring)
    done = new_python(program)
    assert done.returncode == 0, done.stderr
    assert "Commands" in done.stdout


def test_the_command_is_imported_from_a_module_that_imports_almost_nothing() -> None:
    (command,) = (point for point in entry_points(group="console_scripts") if point.name == "pumpbench")
    program = f"import sys, {command.module}; print(*sys.modules)"
    done = new_python(program, check=True)
    ours = {name for name in done.stdout.split() if name.split(".")[0] in {"hil", "protocol", "click"}}
    assert ours == {"hil", "hil.cli", "hil.cli.__main__"}


def test_status_shows_a_pump_at_work() -> None:
    text = output("program", "status")
    for part in (
        "EMULATED pump",
        "RUN",
        "300 mcg/day",
        "500 mcg/mL",
        "0.6 mL/day",
        "25 uL/h",
        "18 mL (calculated)",
    ):
        assert part in text


def test_status_as_json_has_raw_integers_with_units_in_their_names() -> None:
    status = json.loads(output("program", "status", "--json"))
    assert status["device"]["kind"] == "EMULATOR"
    assert (status["state"], status["rate_nl_per_day"], status["reservoir_calc_nl"]) == (
        "RUN",
        600_000,
        18_000_000,
    )
    assert status["program"]["header"]["concentration_ng_per_ml"] == 500_000


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("info", "tubing"),
        ("limits", "0.048 mL/day to 24 mL/day"),
        ("delivery", "boluses, hour"),
        ("reservoir", "2026-04-01 10:00:00"),
        ("alarms", "no alarms"),
        ("link", "replay drop"),
        ("log", "PROGRAM_COMMIT"),
        ("time", "2026-03-02 10:00:00"),
        ("ping", "the pump answers"),
    ],
)
def test_every_question_has_a_table_and_json(command: str, part: str) -> None:
    assert part in output("program", command)
    assert json.loads(output("program", command, "--json"))


def test_the_log_as_json_says_that_it_is_complete() -> None:
    log = json.loads(output("program", "log", "--json", "--last", "3"))
    assert log["complete"]
    assert [entry["seq"] for entry in log["entries"]] == [5, 6, 7]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("bolus", "--dose", "25", "--duration", "600", "--yes"), "0.05 mL"),
        (("bolus", "--volume", "0.02", "--duration", "600", "--yes"), "RUNNING"),
        (("set", "--dose", "350", "--yes"), "0.7 mL/day"),
        (("stop", "--yes", "--leave-stopped"), "STOP"),
        (("resume",), "RUN"),
        (("refill", "--filled", "20", "--aspirated", "17", "--yes"), "-1 mL"),
        (("time", "2026-03-02T11:30:00+01:00", "--reason", "zone", "--yes"), "moved by"),
        (("void", "9"), "VOIDED"),
    ],
)
def test_every_deed_says_what_it_did(arguments: tuple[str, ...], part: str) -> None:
    assert part in output("program", *arguments, *EMULATOR)


def test_a_deed_as_json_tells_its_outcome() -> None:
    done = json.loads(
        output("program", "bolus", "--volume", "0.02", "--duration", "600", "--yes", "--json", *EMULATOR)
    )
    assert (done["outcome"], done["cmd_id"]) == ("RUNNING", 1)


@pytest.mark.parametrize(
    "deed",
    [
        ("bolus", "--volume", "0.02", "--duration", "600"),
        ("set", "--dose", "350"),
        ("stop",),
        ("refill", "--filled", "20", "--aspirated", "17"),
        ("prime", "--kind", "revision"),
        ("config", "tubing", "0.2"),
    ],
)
@verifies("PRC-013")
def test_nothing_is_prepared_without_a_yes(deed: tuple[str, ...]) -> None:
    result = run("program", *deed, *EMULATOR)
    assert isinstance(result.exception, PumpbenchError)
    assert "--yes" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (("program", "status", "--target", "pty:/nowhere"), 10, "there is no port at /nowhere"),
        (("program", "status", "--target", "nonsense"), 10, "no such target address"),
        (
            ("program", "status", "--target", "rig1"),
            10,
            "a board that your bench file calls so is bench:rig1",
        ),
        (("program", "status", "--key", "/nowhere"), 10, "key file"),
        (
            ("program", "bolus", "--volume", "0.02", "--duration", "1", "--yes", *EMULATOR),
            8,
            "nearest acceptable",
        ),
        (("program", "set", "--dose", "1", "--yes", *EMULATOR), 8, "RATE"),
        (("program", "stop", "--role", "observer", "--yes", *EMULATOR), 8, "ROLE"),
        (("program", "time", "2026-03-02T10:00:00"), 2, "offset"),
        (("program", "ack", "empty", *EMULATOR), 2, "not there"),
        (("program", "self-test", "--role", "service", *EMULATOR), 8, "RUNNING"),
        (("program", "self-test", *EMULATOR), 8, "ROLE"),
        (("program", "alarm-test", "critical", "--role", "patient", *EMULATOR), 8, "ROLE"),
        (("program", "accept", "3", "--yes", *EMULATOR), 2, "not one whose outcome is unknown"),
        (("program", "bolus", "--duration", "600", "--yes"), 2, "either --dose or --volume"),
        (("program", "bolus", "--volume", "0.0000001", "--duration", "600"), 2, "exactly"),
        (("program", "nonsense"), 2, "nonsense"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_its_exit_code(
    arguments: tuple[str, ...], code: int, part: str
) -> None:
    found, stderr = exit_code(*arguments)
    assert found == code, stderr
    assert part in stderr


def test_a_key_file_is_used_and_its_role_with_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    rows = [{"key_id": 1, "role": "observer", "key": b"devkey:observer.".hex()}]
    path.write_text(json.dumps(rows))
    path.chmod(0o600)
    assert read_key(path).key_id == 1
    assert "RUN" in output("program", "status", "--key", str(path))


def test_the_state_file_is_where_it_was_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    output("program", "stop", "--yes", "--leave-stopped", "--state", str(path), *EMULATOR)
    assert json.loads(path.read_text())["schema"] == "pumpbench-outcomes/2"


CHANGES = [
    ("set", "--dose", "350", "--yes"),
    ("minimum-rate", "--yes"),
    ("flex", "00:00=12mcg/h", "--yes"),
    ("write", "program.toml", "--yes"),
    ("bolus", "--volume", "0.02", "--duration", "600", "--yes"),
    ("prime", "--kind", "new", "--length-cm", "90", "--yes"),
    ("patient-bolus", "--yes"),
    ("cancel",),
    ("stop", "--yes", "--leave-stopped"),
    ("stop",),
    ("resume",),
    ("refill", "--filled", "20", "--aspirated", "17", "--yes"),
    ("time", "2026-03-02T11:30:00+01:00", "--yes"),
    ("void", "9"),
    ("ack", "empty"),
    ("alarm-test", "critical"),
    ("self-test",),
    ("accept", "3", "--yes"),
    ("link", "--clear"),
    ("config", "notes", "by hand", "--yes"),
    ("keys", "add", "patient", "new-key.json"),
    ("keys", "revoke", "1", "--yes"),
]
READS = [
    "config",
    "status",
    "info",
    "limits",
    "delivery",
    "reservoir",
    "alarms",
    "link",
    "log",
    "time",
    "ping",
    "report",
    "show",
]


def test_what_changes_a_pump_and_what_reads_one_is_every_command() -> None:
    computing = {"dose", "path", "bridge", "dates", "checkup"}
    assert {*(change[0] for change in CHANGES), *READS, *computing, "query"} == set(program.commands)


@pytest.mark.parametrize("change", CHANGES, ids=" ".join)
@pytest.mark.parametrize("environment", [None, ""])
def test_a_command_that_changes_a_pump_which_nobody_named_is_refused_and_says_how_to_name_one(
    change: tuple[str, ...], environment: str | None
) -> None:
    result = CliRunner().invoke(main.cli, ["program", *change], env={"PUMPBENCH_TARGET": environment})
    assert isinstance(result.exception, UsageError), result.output
    for part in ("nothing was sent", "--target", "$PUMPBENCH_TARGET", "pty:PATH", "pumpbench emulate"):
        assert part in str(result.exception)


def test_a_pump_may_be_named_by_the_environment() -> None:
    result = CliRunner().invoke(
        main.cli, ["program", "stop", "--yes", "--leave-stopped"], env={"PUMPBENCH_TARGET": "emulator"}
    )
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("read", READS)
def test_who_reads_a_pump_that_nobody_named_is_told_which_it_is(read: str) -> None:
    assert "new emulated pump" in run("program", read).stderr
    assert "new emulated pump" not in run("program", read, *EMULATOR).stderr


def lead_a_terminal() -> None:
    """Make stdin the controlling terminal, so that a Ctrl-C typed there is a signal."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.one_in(6)
@pytest.mark.parametrize(
    "answer",
    [b"n\n", b"\n", b"\x04", b"\x03", b"\xff\n", b"y\xe4\n"],
    ids=["no", "nothing", "Ctrl-D", "Ctrl-C", "no UTF-8", "yes in Latin-1"],
)
@pytest.mark.parametrize(
    "change", [("stop",), ("bolus", "--volume", "0.02", "--duration", "600")], ids=" ".join
)
def test_a_prompt_that_is_not_answered_with_yes_ends_with_13_and_says_that_nothing_was_sent(
    answer: bytes, change: tuple[str, ...]
) -> None:
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "hil.cli", "program", *change, *EMULATOR],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=HOUSE,
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},  # as in the locale of a person
        preexec_fn=lead_a_terminal,  # noqa: PLW1509 - one thread
    )
    assert process.stderr is not None
    said = b""
    while b"[y/N]" not in said:
        byte = process.stderr.read(1)
        assert byte, said
        said += byte
    while process.poll() is None:
        os.write(master, answer)  # again: a Ctrl-C just before the process begins to read is not heard
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    out, rest = process.communicate(timeout=PATIENCE_S)
    os.close(master)
    os.close(slave)
    assert (process.returncode, out) == (13, b"")
    assert rest.decode().rstrip().endswith("pumpbench: declined: nothing was sent")


@pytest.mark.parametrize(("typed", "code"), [(b"200\n", 2), (b"\x04", 13)], ids=["another", "Ctrl-D"])
def test_a_concentration_that_is_typed_otherwise_the_second_time_is_not_sent(typed: bytes, code: int) -> None:
    master, slave = os.openpty()
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "hil.cli",
            "program",
            "refill",
            "--filled",
            "18",
            "--aspirated",
            "18",
            "--concentration",
            "2000",
            "--no-bridge",
            *EMULATOR,
        ],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=HOUSE,
        preexec_fn=lead_a_terminal,  # noqa: PLW1509 - one thread
    )
    assert process.stderr is not None
    said = b""
    while b"in mcg/mL" not in said:
        byte = process.stderr.read(1)
        assert byte, said
        said += byte
    while process.poll() is None:
        os.write(master, typed)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    out, rest = process.communicate(timeout=PATIENCE_S)
    os.close(master)
    os.close(slave)
    assert (process.returncode, out) == (code, b"")
    assert b"nothing was sent" in rest


@pytest.mark.parametrize("command", ["status", "info"])
def test_every_line_of_a_table_fits_a_terminal_of_80_columns(command: str) -> None:
    assert max(map(len, output("program", command).splitlines())) <= 80


def test_verbose_shows_each_frame_decoded_on_stderr_and_what_the_pump_has_dropped() -> None:
    result = run(
        "program", "bolus", "--volume", "0.02", "--duration", "600", "--yes", "-v", "--json", *EMULATOR
    )
    assert json.loads(result.stdout)["outcome"] == "RUNNING"
    lines = result.stderr.splitlines()
    frames = [line for line in lines if "-->" in line or "<--" in line]
    for part in ("CLIENT_HELLO", "BOLUS_PREPARE", "volume_nl=20000", "BOLUS_COMMIT"):
        assert any(part in line for line in frames), part
    assert all(" ms " in line for line in frames)
    assert not any("not decrypted" in line for line in frames)
    assert any("the pump's link has counted" in line for line in lines)
    assert run("program", "ping", *EMULATOR).stderr == ""


@pytest.mark.parametrize(
    "command", [*sorted(set(program.commands) - {"keys"}), *(f"keys {name}" for name in keys.commands)]
)
def test_every_command_of_the_programmer_takes_v(command: str) -> None:
    assert " -v " in output("program", *command.split(), "--help")


def test_the_frames_of_a_session_that_could_not_be_opened_are_shown_too(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"key_id": 3, "role": "clinician", "key": "77" * 16}))
    path.chmod(0o600)
    result = run("program", "ping", "-v", "--key", str(path), *EMULATOR)
    assert isinstance(result.exception, PumpbenchError)
    assert "CLIENT_HELLO" in result.stderr


def test_a_stop_whose_end_is_not_as_asked_says_so_though_it_stopped() -> None:
    asked = (
        *("program", "stop", "--on-expiry", "resume", "--yes", "--leave-stopped"),
        *("--target", "emulator"),
    )
    changed = run(*asked, "--reason", "overdose")
    assert changed.exit_code == 0
    assert "it does ALARM_ONLY, not RESUME as asked" in changed.stderr
    assert "as asked" not in run(*asked).stderr
