"""What is unknown stays on file until it is known, over the death of a programmer and the loss of a ledger [SPEC 9]."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hil.bench_of_test import TestBench
from hil.errors import DeviceError, DeviceRefused, LinkError, OutcomeUnknown, UsageError
from hil.noise import Direction, FaultyLine
from hil.outcome_store import FiledCommand, OutcomeStore
from hil.programmer.programmer import Programmer
from hil.programmer.verdicts import verdict_of
from protocol.identifiers import Opcode, Outcome, State
from protocol.messages.ledger import QueryCmdReply

TO_PUMP, FROM_PUMP = Direction.TO_PUMP, Direction.FROM_PUMP
VOLUME_NL = 20_000


def kill(pump: Programmer) -> None:
    """What is left of a programmer that was killed: its state file's lock is free, nobody said goodbye."""
    pump.store.close()


@pytest.mark.parametrize("direction", [TO_PUMP, FROM_PUMP])
def test_a_killed_programmer_resolves_its_last_bolus_when_it_starts_again(
    bench: TestBench, tmp_path: Path, direction: Any
) -> None:
    path = tmp_path / "state.json"
    pump = bench.open_programmer(state_path=path)
    pump.ledger.unknown()
    bench.line.drop(direction, 500, skip=2)  # the line is dead from the commit on
    with pytest.raises(OutcomeUnknown) as caught:
        pump.bolus(VOLUME_NL, 600)
    kill(pump)
    bench.line.clear()
    bench.target.rig.advance(60_000)  # unanswered hellos have used up the pump's budget for this minute
    again = bench.open_programmer(state_path=path)
    assert not again.ledger.unknown()
    (filed,) = [c for c in again.store.commands(again.info().memory_id) if c.cmd_id == caught.value.cmd_id]
    bench.target.rig.advance(700_000)
    found_out = (filed.outcome, again.delivery().bolus_nl)
    assert found_out == (("RUNNING", VOLUME_NL) if direction is FROM_PUMP else ("NEVER_RECEIVED", 0))


def test_a_running_bolus_is_filed_as_done_by_the_next_programmer(bench: TestBench, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    pump = bench.open_programmer(state_path=path)
    executed = pump.bolus(VOLUME_NL, 600)
    kill(pump)
    bench.target.rig.advance(700_000)
    again = bench.open_programmer(state_path=path)
    filed = again.store.commands(again.info().memory_id)[-1]
    assert (filed.cmd_id, filed.outcome, filed.delivered_nl) == (executed.cmd_id, "DONE", VOLUME_NL)


def unknown_bolus(bench: TestBench) -> tuple[Programmer, int]:
    """A programmer whose last bolus is unknown, and its id."""
    pump = bench.open_programmer()
    pump.ledger.unknown()
    bench.line.drop(FROM_PUMP, 500, skip=2)
    with pytest.raises(OutcomeUnknown) as caught:
        pump.bolus(VOLUME_NL, 600)
    bench.line.clear()
    bench.target.rig.advance(60_000)  # unanswered hellos have used up the pump's budget for this minute
    return pump, caught.value.cmd_id


def test_the_next_command_finds_out_first(bench: TestBench) -> None:
    pump, cmd_id = unknown_bolus(bench)
    with pytest.raises(
        DeviceError, match=f"nothing was sent: BOLUS_COMMIT {cmd_id} was received by the pump"
    ):
        pump.refill(20_000_000, aspirated_nl=17_000_000)
    assert not pump.ledger.unknown()
    assert pump.query(cmd_id).outcome is Outcome.RUNNING
    assert pump.refill(20_000_000, aspirated_nl=17_000_000).outcome is Outcome.DONE


CHANGES: list[Callable[[Programmer], Any]] = [
    lambda pump: pump.bolus(VOLUME_NL, 600),
    lambda pump: pump.prepare_bolus(VOLUME_NL, 600),
    lambda pump: pump.set_simple_program(200_000),
    lambda pump: pump.refill(20_000_000, aspirated_nl=17_000_000),
    lambda pump: pump.set_time(825_000_000, 0, confirm=True),
    lambda pump: pump.resume(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_who_tries_again_after_an_unknown_outcome_is_refused_once_if_it_was_received(
    bench: TestBench, change: Callable[[Programmer], Any]
) -> None:
    pump, cmd_id = unknown_bolus(bench)
    before = pump.status().last_cmd_id
    with pytest.raises(DeviceError, match=f"BOLUS_COMMIT {cmd_id} was received .* it is RUNNING"):
        change(pump)
    assert pump.status().last_cmd_id == before
    with contextlib.suppress(DeviceRefused):  # by the pump now: a bolus is active
        change(pump)


def test_who_has_read_what_was_found_out_is_not_refused(bench: TestBench) -> None:
    pump, cmd_id = unknown_bolus(bench)
    pump.ledger.resolve()
    assert [filed.cmd_id for filed in pump.found_out] == [cmd_id]
    pump.found_out.clear()
    assert pump.refill(20_000_000, aspirated_nl=17_000_000).outcome is Outcome.DONE


def test_what_was_found_out_keeps_nobody_from_cancel_and_stop(bench: TestBench) -> None:
    pump, _ = unknown_bolus(bench)
    pump.ledger.resolve()
    assert pump.found_out
    assert pump.cancel_bolus().outcome is Outcome.DONE
    assert pump.stop().reply.state is State.STOP


def test_after_a_command_that_never_arrived_nobody_is_refused(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.ledger.unknown()
    bench.line.drop(TO_PUMP, 500, skip=2)
    with pytest.raises(OutcomeUnknown):
        pump.bolus(VOLUME_NL, 600)
    bench.line.clear()
    bench.target.rig.advance(60_000)
    assert pump.bolus(VOLUME_NL, 600).outcome is Outcome.RUNNING


def test_while_it_cannot_be_found_out_nothing_new_is_prepared(bench: TestBench) -> None:
    pump, cmd_id = unknown_bolus(bench)
    seen = len(bench.line.seen(TO_PUMP))
    bench.line.drop(FROM_PUMP, 500)
    with pytest.raises((OutcomeUnknown, LinkError)):
        pump.prepare_bolus(VOLUME_NL, 600)
    bench.line.clear()
    bench.target.rig.advance(60_000)
    prepare = bytes([Opcode.BOLUS_PREPARE])
    assert all(frame[2:3] != prepare for frame in bench.line.seen(TO_PUMP)[seen:])
    assert [c.cmd_id for c in pump.ledger.unknown()] == [cmd_id]


def test_reading_and_stopping_are_always_allowed(bench: TestBench) -> None:
    pump, cmd_id = unknown_bolus(bench)
    pump.status()
    assert pump.stop().reply.state is State.STOP
    assert [c.cmd_id for c in pump.ledger.unknown()] == [cmd_id]


def test_an_id_that_another_programmer_used_is_not_taken_as_our_own(bench: TestBench) -> None:
    pump = bench.open_programmer()
    memory_id = pump.info().memory_id
    theirs = pump.stop().cmd_id
    ours = FiledCommand(theirs, Opcode.BOLUS_COMMIT, 0xBAD, VOLUME_NL)
    pump.store.file(memory_id, ours)
    (settled,) = pump.ledger.resolve()
    assert settled.outcome == "NEVER_RECEIVED"


@pytest.mark.parametrize(
    ("outcome", "op", "crc", "verdict"),
    [
        (Outcome.DONE, 0x21, 7, Outcome.DONE),
        (Outcome.PARTIAL, 0x21, 7, Outcome.PARTIAL),
        (Outcome.DONE, 0x25, 7, Outcome.NEVER_RECEIVED),
        (Outcome.DONE, 0x21, 8, Outcome.NEVER_RECEIVED),
        (Outcome.NEVER_RECEIVED, 0, 0, Outcome.NEVER_RECEIVED),
        (Outcome.VOIDED, 0x23, 0, Outcome.VOIDED),
        (Outcome.REFUSED, 0x21, 7, Outcome.REFUSED),
        (Outcome.REFUSED, 0x21, 9, Outcome.NEVER_RECEIVED),
        (Outcome.TOO_OLD, 0, 0, None),
    ],
)
def test_an_outcome_is_ours_only_if_op_and_content_are(outcome: Any, op: Any, crc: Any, verdict: Any) -> None:
    reply = QueryCmdReply(outcome, op, 0, crc, 0, 0, 0, 0)
    assert verdict_of(FiledCommand(1, 0x21, 7), reply) is verdict


def old_bolus(bench: TestBench, direction: Direction) -> tuple[Programmer, FiledCommand, int]:
    """A bolus that was lost in one direction, nine commands ago, and never asked for."""
    pump = bench.open_programmer()
    pump.ledger.unknown()
    memory_id = pump.info().memory_id
    bench.line.drop(direction, 500, skip=2)
    with pytest.raises(OutcomeUnknown):
        pump.bolus(VOLUME_NL, 600)
    bench.line.clear()
    bench.target.rig.advance(700_000)
    (filed,) = pump.store.unknown_commands(memory_id)
    careless = bench.open_programmer()  # the same key, another memory of what it did
    for _ in range(5):
        careless.stop()
        careless.resume()
    return pump, filed, memory_id


def test_a_bolus_too_old_for_the_ledger_is_found_in_the_log(bench: TestBench) -> None:
    pump, filed, memory_id = old_bolus(bench, FROM_PUMP)
    assert pump.query(filed.cmd_id).outcome is Outcome.TOO_OLD
    (settled,) = pump.ledger.resolve()
    assert (settled.outcome, settled.delivered_nl) == ("DONE", VOLUME_NL)
    assert not pump.store.unknown_commands(memory_id)


def test_a_bolus_that_the_whole_log_does_not_have_was_never_received(bench: TestBench) -> None:
    pump, _, _ = old_bolus(bench, TO_PUMP)
    (settled,) = pump.ledger.resolve()
    assert settled.outcome == "NEVER_RECEIVED"
    assert pump.delivery().bolus_nl == 0


def test_what_nobody_can_find_out_blocks_until_a_human_takes_it_upon_himself(bench: TestBench) -> None:
    pump = bench.open_programmer()
    memory_id = pump.info().memory_id
    careless = bench.open_programmer()
    for _ in range(5):
        careless.stop()
        careless.resume()
    pump.store.file(
        memory_id, FiledCommand(1, Opcode.STOP, 0xBAD)
    )  # its number is in the log, its content is not
    pump.connect()  # reading must go on
    assert pump.status().state is State.RUN
    with pytest.raises(OutcomeUnknown, match="no proof") as caught:
        pump.refill(20_000_000, aspirated_nl=17_000_000)
    assert "pumpbench program accept 1" in caught.value.advice  # to ask again would never help
    assert any("accept 1" in notice for notice in pump.notices)
    pump.ledger.accept_unknown(1)
    assert not pump.notices  # no advice to do what was done
    assert pump.refill(20_000_000, aspirated_nl=17_000_000).outcome is Outcome.DONE
    with pytest.raises(UsageError):
        pump.ledger.accept_unknown(1)


class Death(BaseException):
    """The programmer's process ends here."""


class DyingLine(FaultyLine):
    """A line at whose next frame the programmer dies, before a byte of it leaves."""

    armed = False

    def send(self, data: bytes) -> None:
        if self.armed:
            raise Death
        super().send(data)


def test_the_id_is_on_the_disk_before_the_first_byte_leaves(bench: TestBench, tmp_path: Path) -> None:
    line = DyingLine(bench.channel)
    store = OutcomeStore(tmp_path / "state.json")
    pump = Programmer(line, store=store)
    pump.connect()
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    pump.ledger.unknown()
    line.armed = True
    with pytest.raises(Death):
        pump.commit_bolus(prepared)
    store.close()
    with OutcomeStore(tmp_path / "state.json") as read_again:
        assert read_again.has_open()
    again = bench.open_programmer(store=OutcomeStore(tmp_path / "state.json"))
    (filed,) = again.store.commands(again.info().memory_id)
    assert filed.outcome == "NEVER_RECEIVED"
