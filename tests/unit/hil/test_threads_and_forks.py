"""One programmer in several threads, and in a fork: nobody takes another's answer, id or session."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import hil
from hil.errors import UsageError
from hil.programmer.command_ledger import Executed
from hil.programmer.programmer import Programmer
from hil.targets.choices import PumpChoice
from hil.targets.process import ProcessTarget

THREADS, ROUNDS = 4, 6


def in_threads(work: Callable[[int], object]) -> list[object]:
    """What each call of `work` gave, or what it raised."""
    found: list[object] = []

    def run(number: int) -> None:
        for _ in range(ROUNDS):
            try:
                found.append(work(number))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
                found.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_that_command_one_programmer_take_turns_and_no_id_is_two_commands(tmp_path: Path) -> None:
    with hil.connect("emulator", state=tmp_path / "state.json") as pump:
        done = in_threads(lambda number: pump.resume() if number % 2 else pump.stop(3_600 + number))
        assert [each for each in done if not isinstance(each, Executed)] == []
        executed = [each for each in done if isinstance(each, Executed)]
        assert sorted(each.cmd_id for each in executed) == list(range(1, THREADS * ROUNDS + 1))
        assert not any(each.dup for each in executed)


def test_threads_that_read_and_stage_one_program_at_a_time_hear_the_answer_to_their_own_question() -> None:
    def work(number: int, pump: Programmer) -> str:
        if number == 0:
            return type(pump.set_simple_program(300_000).reply).__name__
        return type((pump.status, pump.limits, pump.alarms)[number - 1]()).__name__

    with hil.connect("emulator", state=False) as pump:
        found = in_threads(lambda number: work(number, pump))
    assert {str(each) for each in found} == {
        "ProgCommitReply",
        "GetStatusReply",
        "GetLimitsReply",
        "GetAlarmsReply",
    }
    assert len(found) == THREADS * ROUNDS


def test_a_fork_sends_nothing_with_its_parents_programmer_and_closes_nothing_of_it(tmp_path: Path) -> None:
    target = ProcessTarget(PumpChoice(time_mode="real"))
    heard_read, heard_write = os.pipe()
    try:
        target.start()
        with hil.connect(f"pty:{target.ready['port']}", state=tmp_path / "state.json") as pump:
            before = pump.session.session_number
            child = os.fork()
            if not child:
                said = b"it commanded the pump"
                try:
                    pump.stop()
                except UsageError as error:
                    said = str(error).encode()
                finally:
                    os.write(heard_write, said)
                    try:
                        pump.close()
                    finally:
                        os._exit(0)
            os.waitpid(child, 0)
            assert b"fork" in os.read(heard_read, 1_000)
            assert pump.stop().cmd_id == 1
            assert pump.session.session_number == before, "the fork has ended its parent's session"
    finally:
        os.close(heard_read)
        os.close(heard_write)
        target.close()


def test_a_fork_that_leaves_the_with_block_leaves_its_parents_pump_and_session_as_they_are() -> None:
    context = hil.connect("emulator:process", state=False)
    with context as pump:
        before = pump.session.session_number
        child = os.fork()
        if not child:
            try:
                context.__exit__(None, None, None)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert pump.stop().cmd_id == 1
        assert pump.session.session_number == before
