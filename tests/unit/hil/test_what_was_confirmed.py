"""What a human said yes to is what is sent, and what did not happen as asked never looks as if it had."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from hil.cli.connection import Options
from hil.cli.program_commands import set_as_confirmed
from hil.cli.tables import query_rows
from hil.cli.therapy_commands import bolus_as_confirmed, report
from hil.errors import DeviceError, DeviceRefused, InUse, OutcomeUnknown, UsageError
from hil.outcome_store import FiledCommand, OutcomeStore
from hil.programmer.programmer import Programmer
from protocol.identifiers import ErrorCode, Opcode, Outcome
from protocol.messages.ledger import QueryCmdReply
from tests.support.patience import PATIENCE_S
from tests.support.warm_python import run_python
from tests.unit.bench.processes import Emulator
from tests.unit.hil.test_answers_that_find_no_room import VOLUME_NL, HookedLine, command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hil.bench_of_test import TestBench

DOSE_NG = 25_000
TABLE = Options(
    None,
    as_json=False,
    key_path=None,
    role=None,
    state_path=None,
    open_profile=False,
    verbose=False,
    command="bolus",
    told=[],
)


@pytest.mark.parametrize("amount", [{"dose_ng": DOSE_NG}, {"volume_nl": VOLUME_NL}], ids=["dose", "volume"])
def test_a_bolus_is_refused_where_the_program_changed_while_a_human_was_asked(
    bench: TestBench, amount: dict[str, int]
) -> None:
    pump = bench.open_programmer()

    def ask(_question: str) -> None:
        bench.open_programmer().set_simple_program(275_000)

    with pytest.raises(DeviceRefused) as caught:
        bolus_as_confirmed(pump, 600, **amount, ask=ask)
    assert caught.value.code == ErrorCode.REV_MISMATCH
    bench.target.rig.advance(700_000)
    assert bench.open_programmer().delivery().bolus_nl == 0


def test_a_program_is_refused_where_another_was_committed_while_a_human_was_asked(bench: TestBench) -> None:
    pump = bench.open_programmer()

    def ask(_question: str) -> None:
        bench.open_programmer().set_simple_program(275_000)

    with pytest.raises(DeviceRefused) as caught:
        set_as_confirmed(pump, 350_000, ask=ask)
    assert caught.value.code == ErrorCode.REV_MISMATCH
    assert bench.open_programmer().program().header.groups[0].dose_ng_per_day == 275_000


def test_where_nothing_changed_what_was_asked_is_done(bench: TestBench) -> None:
    questions: list[str] = []
    pump = bench.open_programmer()
    seen, executed = set_as_confirmed(pump, 350_000, ask=questions.append)
    assert (seen.program.peak_rate_nl_per_day, executed.outcome) == (700_000, Outcome.DONE)
    prepared, given = bolus_as_confirmed(pump, 600, dose_ng=DOSE_NG, ask=questions.append)
    assert (prepared.volume_nl, given.outcome) == (50_000, Outcome.RUNNING)
    assert questions == [
        "program 350 mcg/day of 500 mcg/mL (0.7 mL/day)",
        "give a bolus of 25 mcg (0.05 mL of 500 mcg/mL) over 10 min",
    ]


@pytest.mark.parametrize("writes", [2, 8])
def test_a_bolus_that_was_not_started_for_want_of_power_is_said_and_is_no_success(
    bench: TestBench, capsys: pytest.CaptureFixture[str], writes: int
) -> None:
    line = HookedLine(bench.channel)
    pump = Programmer(line, store=OutcomeStore())
    pump.connect()
    pump.ledger.unknown()
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    bench.target.rig.power_cut(writes)
    line.hook, line.after = (lambda: bench.target.rig.power_restore(1_000)), 2  # COMMIT, then a greeting
    executed = pump.commit_bolus(prepared)
    assert executed.outcome is Outcome.NOT_STARTED
    with pytest.raises(
        DeviceError, match="BOLUS_COMMIT 1 was accepted and not completed: NOT_STARTED"
    ) as caught:
        report(TABLE, executed, [])
    assert caught.value.exit_code == 8
    assert "NOT_STARTED" in capsys.readouterr().out


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    emulator = Emulator()
    yield emulator
    emulator.end()


def run(emulator: Emulator, state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_python(command(emulator, state, *arguments))


def test_a_void_of_a_command_that_the_pump_has_is_no_success(emulator: Emulator, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    for arguments, code, words in (
        (("bolus", "--volume", "0.02", "--duration", "600", "--yes"), 0, "RUNNING"),
        (("void", "1"), 8, "command 1 was not voided: the pump answers RUNNING"),
        (("void", "2"), 0, "command 2: VOIDED"),
    ):
        done = run(emulator, state, *arguments)
        assert done.returncode == code, done.stderr
        assert words in done.stdout + done.stderr


def test_that_a_command_never_arrived_is_qualified_where_nothing_on_file_can_confirm_it(
    bench: TestBench, tmp_path: Path
) -> None:
    pump = bench.open_programmer(state_path=tmp_path / "state.json")
    assert pump.query(7).outcome is Outcome.NEVER_RECEIVED
    (notice,) = pump.notices
    assert "NEVER_RECEIVED about command 7, and nothing here can confirm it" in notice
    pump.stop()
    pump.query(7)
    assert "it was not sent from here" in pump.notices[-1], "also of a memory that is proven"


def test_a_memory_that_was_lost_is_not_believed_about_a_command_that_is_not_on_file(
    bench: TestBench, tmp_path: Path
) -> None:
    copy = bench.target.snapshot()  # type: ignore[attr-defined]
    pump = bench.open_programmer(state_path=tmp_path / "state.json")
    pump.stop()
    pump.store.close()
    bench.target.restore(copy)  # type: ignore[attr-defined]
    again = bench.open_programmer(state_path=tmp_path / "state.json")
    for question in (again.query, again.void):
        with pytest.raises(OutcomeUnknown, match="about command 7, and it has lost memory"):
            question(7)


def test_two_names_of_one_state_file_are_one_lock_and_a_link_stays_a_link(
    bench: TestBench, tmp_path: Path
) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    link.symlink_to(real)
    pump = bench.open_programmer(store=OutcomeStore(link))
    with pytest.raises(InUse):
        OutcomeStore(real).open()
    pump.stop()
    pump.store.close()
    assert link.is_symlink()
    assert f'"opcode": {int(Opcode.STOP)}' in real.read_text()


def test_a_human_hears_of_a_memory_that_was_lost_before_he_is_asked(tmp_path: Path) -> None:
    human, terminal = pty.openpty()
    heard = []
    for arguments in (
        ("stop", "--yes", "--leave-stopped"),
        ("bolus", "--volume", "0.02", "--duration", "600"),
    ):
        emulator = Emulator()  # each with a memory of its own
        process = subprocess.Popen(
            command(emulator, tmp_path / "state.json", *arguments),
            stdin=terminal,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        seen = b""
        while b"[y/N]:" not in seen and (more := os.read(process.stderr.fileno(), 4_096)):
            seen += more
        os.write(human, b"n\n")
        _, rest = process.communicate(timeout=PATIENCE_S)
        emulator.end()
        heard.append((seen + rest).decode())
    os.close(human)
    os.close(terminal)
    assert heard[0] == ""
    assert heard[1].index("another memory") < heard[1].index("give a bolus of 0.02 mL")


def test_after_an_unknown_bolus_was_found_to_be_given_the_next_is_not_sent_before_that_was_read(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Also in scripts: whoever repeats it for want of an answer would give it twice."""
    state = tmp_path / "state.json"
    again = ("bolus", "--volume", "0.02", "--duration", "600", "--yes")
    assert run(emulator, state, *again).returncode == 0
    document = json.loads(state.read_text())  # as a programmer leaves it that is killed before the answer
    (memory,) = document["memories"].values()
    memory["commands"][0]["outcome"] = ""
    state.write_text(json.dumps(document))
    done = run(emulator, state, *again)
    assert done.returncode == 8
    assert "BOLUS_COMMIT 1, whose outcome was not known, is RUNNING" in done.stderr
    assert "nothing was sent: BOLUS_COMMIT 1 was received by the pump after all" in done.stderr
    assert '"last_cmd_id": 1' in state.read_text()
    assert "BOLUS_ACTIVE" in run(emulator, state, *again).stderr, "and then it is asked for as it is"


@pytest.mark.parametrize("arguments", [("cancel",), ("cancel", "7")])
def test_a_cancel_that_ends_nothing_is_no_success(
    emulator: Emulator, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    state = tmp_path / "state.json"
    if len(arguments) > 1:
        run(emulator, state, "bolus", "--volume", "0.02", "--duration", "600", "--yes")
    done = run(emulator, state, *arguments)
    assert done.returncode == 8
    assert "none was ended" in done.stdout
    assert "NEVER_RECEIVED" not in done.stdout
    assert "nothing was cancelled: " in done.stderr
    delivered = run(emulator, state, "status").stdout
    assert ("bolus" in delivered) == (len(arguments) > 1)


def test_a_query_tells_what_is_known_here_and_no_zero_for_what_is_not_known(
    emulator: Emulator, tmp_path: Path
) -> None:
    """The pump's ledger holds eight commands; what was told before, and filed, is not forgotten with it."""
    own, other = tmp_path / "own.json", tmp_path / "other.json"
    run(emulator, own, "bolus", "--volume", "0.02", "--duration", "600", "--yes")
    run(emulator, own, "cancel")
    run(emulator, own, "query", "1")
    for _ in range(5):
        run(emulator, own, "stop", "--yes", "--leave-stopped")
        run(emulator, own, "resume")
    known = run(emulator, own, "query", "1")
    assert "BOLUS_COMMIT" in known.stdout
    assert "PARTIAL" in known.stdout
    assert "pump says  TOO_OLD" in known.stdout
    unknown = run(emulator, other, "query", "1", "--json")
    document = json.loads(unknown.stdout)
    assert (document["outcome"], document["delivered_nl"]) == ("TOO_OLD", None)


def test_a_query_says_plainly_of_what_was_never_received_and_tells_no_volume_of_it(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Neither of an id that nothing is known of here, nor of one that was voided: "delivered 0 mL" is of a bolus."""
    state = tmp_path / "state.json"
    never = run(emulator, state, "query", "77")
    assert never.returncode == 0, "the question was answered"
    assert "NEVER_RECEIVED: the pump says that it never received it" in never.stdout
    assert "delivered" not in never.stdout
    document = json.loads(run(emulator, state, "query", "77", "--json").stdout)
    told = (document["outcome"], document["delivered_nl"], document["uncertain_nl"])
    assert told == ("NEVER_RECEIVED", None, None)
    run(emulator, state, "void", "1")
    voided = run(emulator, state, "query", "1")
    assert "VOIDED: the pump says that it never received it, and will not carry it out" in voided.stdout
    assert "delivered" not in voided.stdout


@pytest.mark.parametrize(("lost", "words"), [("NEVER_RECEIVED", "received it"), ("VOIDED", "carry it out")])
def test_what_is_on_file_as_never_received_is_no_longer_the_word_of_the_pump_alone(
    lost: str, words: str
) -> None:
    reply = QueryCmdReply(Outcome.NEVER_RECEIVED, 0, 0, 0, 0, 0, 0, 0)
    rows = dict(query_rows(7, reply, FiledCommand(7, Opcode.BOLUS_COMMIT, 1, 50_000, outcome=lost)))
    assert rows["outcome"].startswith(f"{lost}: the pump never received it")
    assert rows["outcome"].endswith(words)
    assert "delivered" not in rows


def test_a_bolus_that_another_gave_while_a_human_was_asked_is_told_instead_of_a_second(
    bench: TestBench,
) -> None:
    pump = bench.open_programmer()

    def ask(_question: str) -> None:
        bench.open_programmer().bolus(VOLUME_NL, 600)
        bench.target.rig.advance(4 * 3_600_000)

    with pytest.raises(
        DeviceError, match=r"0\.02 mL were given on top of the basal rate while you were asked"
    ):
        bolus_as_confirmed(pump, 600, volume_nl=VOLUME_NL, ask=ask)
    assert bench.open_programmer().delivery().bolus_nl == VOLUME_NL


def test_a_concentration_of_0_is_wrong_and_not_the_one_of_the_program(bench: TestBench) -> None:
    pump = bench.open_programmer()
    with pytest.raises(UsageError, match="above 0"):
        set_as_confirmed(pump, 350_000, concentration_ng_per_ml=0, ask=lambda _question: None)
    with pytest.raises(UsageError, match="above 0"):
        pump.set_simple_program(350_000, concentration_ng_per_ml=0)
    with pytest.raises(DeviceRefused) as caught:
        pump.refill(10_000_000, aspirated_nl=1, concentration_ng_per_ml=0)
    assert caught.value.code == ErrorCode.CONC
