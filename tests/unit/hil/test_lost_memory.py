"""A pump that has lost memory is believed nothing about the past, whatever it is called and however far it ran on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.address import parse
from hil.bench_of_test import TestBench
from hil.bench_session import BenchSession
from hil.errors import BenchLost, NotExecuted, OutcomeUnknown
from hil.noise import Direction
from hil.outcome_store import FiledCommand, MarkedEntry, Marks
from hil.programmer.programmer import Programmer
from hil.programmer.verdicts import contradiction_of
from protocol.identifiers import Outcome, Role, State
from protocol.log.types import LogName, LogType

TO_PUMP, FROM_PUMP = Direction.TO_PUMP, Direction.FROM_PUMP
VOLUME_NL = 20_000


class Clinic:
    """One programmer's state file, and pumps that all say that they are the same memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._session = BenchSession(parse("emulator"))
        self._other_seed = BenchSession(parse("emulator"), seed=2)
        self._benches: list[TestBench] = []

    def pump(self) -> TestBench:
        """A new pump of the usual seed, and so of the usual memory_id."""
        bench = self._session.open_bench(f"pump {len(self._benches)}")
        self._benches.append(bench)
        return bench

    def pump_that_lost_its_memory(self) -> TestBench:
        """A pump of the same serial number with another memory_id: as if its image had been cut short."""
        bench = self._other_seed.open_bench(f"pump {len(self._benches)}")
        self._benches.append(bench)
        return bench

    def close(self) -> None:
        for bench in self._benches:
            bench.close()
        self._session.close()
        self._other_seed.close()

    def programmer(self, bench: TestBench, role: Role = Role.CLINICIAN) -> Programmer:
        """The programmer, started anew."""
        return bench.open_programmer(role, state_path=self.path)


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    clinic = Clinic(tmp_path / "state.json")
    yield clinic
    clinic.close()


def give_unanswered(clinic: Clinic, bench: TestBench) -> int:
    """A bolus whose answer never came, of a programmer that was killed then; its id."""
    pump = clinic.programmer(bench)
    pump.ledger.unknown()
    bench.line.drop(FROM_PUMP, 500, skip=2)
    with pytest.raises(OutcomeUnknown) as caught:
        pump.bolus(VOLUME_NL, 600)
    bench.line.clear()
    pump.store.close()
    return caught.value.cmd_id


def give_answered(clinic: Clinic, bench: TestBench) -> int:
    """A bolus that the pump has said to be running, of a programmer that was killed then; its id."""
    pump = clinic.programmer(bench)
    executed = pump.bolus(VOLUME_NL, 600)
    assert executed.outcome is Outcome.RUNNING
    pump.store.close()
    return executed.cmd_id


def run_past(bench: TestBench, sessions: int = 8) -> None:
    """Let a pump live on until each of its numbers is beyond all that was seen of the other."""
    for _ in range(sessions):
        careless = bench.open_programmer()
        careless.stop()
        careless.resume()
        bench.target.rig.power_cut()
        bench.target.rig.power_restore(3_600_000)
        bench.target.rig.advance(60_000)
    for _ in range(3):  # the bolus of the other clinic is no longer what the ledger knows last
        bench.open_programmer().stop()


GIVEN = [give_unanswered, give_answered]


@pytest.mark.parametrize("give", GIVEN)
@pytest.mark.parametrize("ahead", [False, True], ids=["behind", "run past every number"])
def test_another_pump_under_the_same_memory_id_is_not_believed_about_a_bolus_that_was_given(
    clinic: Clinic, give: object, ahead: bool
) -> None:
    assert callable(give)
    cmd_id = give(clinic, clinic.pump())
    other = clinic.pump()
    if ahead:
        run_past(other)
    pump = clinic.programmer(other)
    assert pump.status().state in {State.RUN, State.STOP}, "reading goes on"
    with pytest.raises(OutcomeUnknown, match="the pump has lost memory") as caught:
        pump.ledger.resolve()
    assert f"pumpbench program accept {cmd_id}" in str(caught.value)
    assert sum("lost memory" in notice for notice in pump.notices) == 1
    with pytest.raises(OutcomeUnknown):
        pump.query(cmd_id)
    with pytest.raises(OutcomeUnknown):
        pump.void(cmd_id)
    with pytest.raises(OutcomeUnknown):
        pump.prepare_bolus(VOLUME_NL, 600)
    assert all(entry.type is not LogType.CMD_VOID for entry in pump.read_log().entries)
    assert [filed.cmd_id for filed in pump.ledger.unknown()] == [cmd_id]


@pytest.mark.parametrize("give", GIVEN)
@pytest.mark.parametrize("ahead", [False, True], ids=["behind", "run past every number"])
def test_an_older_copy_of_a_memory_is_not_believed_about_a_bolus_that_was_given_since(
    clinic: Clinic, give: object, ahead: bool
) -> None:
    assert callable(give)
    bench = clinic.pump()
    clinic.programmer(bench).store.close()
    copy = bench.target.snapshot()  # type: ignore[attr-defined]
    cmd_id = give(clinic, bench)
    bench.target.restore(copy)  # type: ignore[attr-defined]
    if ahead:
        run_past(bench)
    pump = clinic.programmer(bench)
    with pytest.raises(OutcomeUnknown, match="lost memory"):
        pump.ledger.resolve()
    assert [filed.cmd_id for filed in pump.ledger.unknown()] == [cmd_id]


@pytest.mark.parametrize("give", GIVEN)
def test_the_right_memory_put_back_is_believed_again(clinic: Clinic, give: object) -> None:
    assert callable(give)
    bench = clinic.pump()
    cmd_id = give(clinic, bench)
    other = clinic.programmer(clinic.pump())
    with pytest.raises(OutcomeUnknown):
        other.ledger.resolve()
    other.store.close()
    bench.target.rig.advance(700_000)
    again = clinic.programmer(bench)
    assert not again.ledger.unknown()
    assert again.query(cmd_id).outcome is Outcome.DONE


def test_an_answer_is_never_overridden_by_one_that_contradicts_it(clinic: Clinic) -> None:
    """The marks are as they were: only the word about this one command has changed."""
    bench = clinic.pump()
    cmd_id = give_answered(clinic, bench)
    copy = clinic.pump()
    pump = clinic.programmer(copy)
    memory_id = pump.info().memory_id
    history = pump.read_log(LogName.SECURITY)
    own = history.entries[-1]
    mark = MarkedEntry(LogName.SECURITY, history.epoch, own.seq, own.pack().hex())
    pump.store.mark(memory_id, Marks(boot_count=0, t_mono_s=0, last_cmd_id=0, entries=(mark,)))
    pump.end_session()
    with pytest.raises(
        OutcomeUnknown, match="contradicts itself: it says NEVER_RECEIVED now, and it had answered RUNNING"
    ):
        pump.ledger.resolve()
    assert [filed.cmd_id for filed in pump.ledger.unknown()] == [cmd_id]


def test_what_was_done_and_told_stays_so_when_the_pump_denies_it_later(clinic: Clinic) -> None:
    bench = clinic.pump()
    pump = clinic.programmer(bench)
    cmd_id = pump.stop().cmd_id
    pump.store.close()
    again = clinic.programmer(clinic.pump())
    with pytest.raises(
        OutcomeUnknown, match="had answered DONE: it has lost memory, and what was known before stands"
    ):
        again.query(cmd_id)


def test_where_nothing_is_open_a_lost_memory_is_said_once_and_work_goes_on(clinic: Clinic) -> None:
    pump = clinic.programmer(clinic.pump())
    pump.stop()
    pump.store.close()
    again = clinic.programmer(clinic.pump())
    executed = again.stop()
    assert executed.outcome is Outcome.DONE
    assert sum("lost memory" in notice for notice in again.notices) == 1
    again.store.close()
    third = clinic.programmer(clinic.pump())
    third.ledger.unknown()
    assert sum("lost memory" in notice for notice in third.notices) == 1


def test_a_stop_that_a_doubted_memory_has_carried_out_does_not_make_it_believed_of_what_was_before(
    clinic: Clinic,
) -> None:
    cmd_id = give_unanswered(clinic, clinic.pump())
    bench = clinic.pump()
    run_past(bench)
    for _ in range(2):
        pump = clinic.programmer(bench)
        assert pump.stop().outcome is Outcome.DONE, "a STOP gets through, whatever is unknown"
        with pytest.raises(OutcomeUnknown):
            pump.query(cmd_id)
        with pytest.raises(OutcomeUnknown):
            pump.bolus(VOLUME_NL, 600)
        pump.close()


def test_after_a_human_has_accepted_it_the_pump_is_trusted_from_what_it_is_now(clinic: Clinic) -> None:
    cmd_id = give_unanswered(clinic, clinic.pump())
    bench = clinic.pump()
    pump = clinic.programmer(bench)
    pump.ledger.accept_unknown(cmd_id)
    pump.ledger.unknown()
    with pytest.raises(OutcomeUnknown, match="you accepted it as unknown"):
        pump.query(cmd_id)
    bench.line.drop(TO_PUMP, 3, skip=2)
    with pytest.raises(NotExecuted):  # and its "never received" is good again
        pump.bolus(VOLUME_NL, 600)
    bench.line.check_all_fired()
    assert pump.bolus(VOLUME_NL, 600).outcome is Outcome.RUNNING


def test_what_the_log_has_overwritten_proves_nothing(clinic: Clinic) -> None:
    bench = clinic.pump()
    pump = clinic.programmer(bench)
    pump.ledger.unknown()
    bench.line.drop(TO_PUMP, 500, skip=2)
    with pytest.raises(OutcomeUnknown) as caught:
        pump.bolus(VOLUME_NL, 600)
    bench.line.clear()
    pump.store.close()
    for _ in range(110):  # two entries each, and the security log holds 200
        bench.target.rig.advance(61_000)
        reader = bench.open_programmer(Role.OBSERVER)
        reader.status()
        reader.end_session()
    again = clinic.programmer(bench)
    with pytest.raises(OutcomeUnknown, match=r"cannot prove .* was overwritten"):
        again.ledger.resolve()
    assert [filed.cmd_id for filed in again.ledger.unknown()] == [caught.value.cmd_id]


def test_a_state_file_of_before_there_were_marks_proves_nothing(clinic: Clinic) -> None:
    cmd_id = give_unanswered(clinic, clinic.pump())
    document = json.loads(clinic.path.read_text())
    document["schema"] = "pumpbench-outcomes/1"
    for memory in document["memories"].values():
        del memory["marks"]
        for command in memory["commands"]:
            del command["doubt"]
    clinic.path.write_text(json.dumps(document))
    pump = clinic.programmer(clinic.pump())
    with pytest.raises(OutcomeUnknown, match="cannot prove"):
        pump.ledger.resolve()
    assert [filed.cmd_id for filed in pump.ledger.unknown()] == [cmd_id]


def test_a_lost_bolus_is_still_known_to_be_lost_where_the_memory_is_proven(clinic: Clinic) -> None:
    bench = clinic.pump()
    pump = clinic.programmer(bench)
    pump.ledger.unknown()
    bench.line.drop(TO_PUMP, 500, skip=2)
    with pytest.raises(OutcomeUnknown):
        pump.bolus(VOLUME_NL, 600)
    bench.line.clear()
    pump.store.close()
    bench.target.rig.power_cut()
    bench.target.rig.power_restore(86_400_000)
    again = clinic.programmer(bench)
    assert not again.ledger.unknown()
    (notice,) = again.notices
    assert "whose outcome was not known, is NEVER_RECEIVED" in notice
    assert again.found_out == []


def test_a_bolus_of_a_memory_that_the_pump_has_lost_blocks_until_a_person_has_decided(clinic: Clinic) -> None:
    cmd_id = give_unanswered(clinic, clinic.pump())
    bench = clinic.pump_that_lost_its_memory()
    pump = clinic.programmer(bench)
    assert pump.status().state in {State.RUN, State.STOP}, "reading goes on"
    (notice,) = [notice for notice in pump.notices if f"accept {cmd_id}" in notice]
    assert "may have been carried out" in notice
    with pytest.raises(OutcomeUnknown, match="has lost the memory that it had then"):
        pump.bolus(VOLUME_NL, 600)
    with pytest.raises(OutcomeUnknown, match="says nothing of it"):
        pump.query(cmd_id)
    with pytest.raises(OutcomeUnknown, match="says nothing of it"):
        pump.void(cmd_id)
    assert all(entry.type is not LogType.CMD_VOID for entry in pump.read_log().entries)
    assert [filed.cmd_id for filed in pump.ledger.unknown()] == [cmd_id]
    pump.stop()  # always allowed
    pump.ledger.accept_unknown(cmd_id)
    assert pump.ledger.unknown() == ()
    assert pump.resume().outcome is Outcome.DONE
    pump.store.close()
    assert not clinic.programmer(bench).ledger.unknown()


def test_what_is_known_of_a_command_stands_when_a_new_memory_says_something_else(clinic: Clinic) -> None:
    cmd_id = give_answered(clinic, clinic.pump())
    bench = clinic.pump_that_lost_its_memory()
    pump = clinic.programmer(bench)
    with pytest.raises(OutcomeUnknown, match="it had answered RUNNING; that it is NEVER_RECEIVED now"):
        pump.query(cmd_id)
    with pytest.raises(OutcomeUnknown, match="it had answered RUNNING; that it is VOIDED now"):
        pump.void(cmd_id)
    assert all(entry.type is not LogType.CMD_VOID for entry in pump.read_log().entries)


def test_where_nothing_is_unknown_a_new_memory_is_said_before_the_first_command(clinic: Clinic) -> None:
    pump = clinic.programmer(clinic.pump())
    pump.stop()
    pump.store.close()
    bench = clinic.pump_that_lost_its_memory()
    again = clinic.programmer(bench)
    again.ledger.resolve()
    assert [("another memory" in notice) for notice in again.notices] == [True]
    assert again.stop().outcome is Outcome.DONE
    again.store.close()
    third = clinic.programmer(bench)
    third.ledger.resolve()
    assert third.notices == []


def test_another_pump_is_not_held_up_by_what_is_unknown_of_this_one(clinic: Clinic) -> None:
    give_unanswered(clinic, clinic.pump())
    document = json.loads(clinic.path.read_text())
    for memory in document["memories"].values():
        memory["serial"] = "ANOTHER00001"
    clinic.path.write_text(json.dumps(document))
    pump = clinic.programmer(clinic.pump_that_lost_its_memory())
    assert pump.stop().outcome is Outcome.DONE
    assert pump.notices == []


@pytest.mark.parametrize("resolve", ["query", "resolve"])
def test_the_same_bolus_of_another_programmer_with_the_same_key_is_not_taken_for_ones_own(
    clinic: Clinic, tmp_path: Path, resolve: str
) -> None:
    """Same id, volume, duration and program: the token of its PREPARE is what tells them apart."""
    bench = clinic.pump()
    own = clinic.programmer(bench)
    own.ledger.unknown()
    bench.line.drop(TO_PUMP, 500, skip=2)  # status and PREPARE pass, COMMIT never arrives
    with pytest.raises(OutcomeUnknown) as caught:
        own.bolus(VOLUME_NL, 600)
    bench.line.clear()
    own.store.close()
    other = bench.open_programmer(state_path=tmp_path / "other.json")
    given = other.bolus(VOLUME_NL, 600)
    assert (given.cmd_id, given.outcome) == (caught.value.cmd_id, Outcome.RUNNING)
    other.store.close()
    again = clinic.programmer(bench)
    if resolve == "query":
        again.query(given.cmd_id)
    again.ledger.resolve()
    (filed,) = again.store.commands(again.info().memory_id)
    assert filed.outcome == "NEVER_RECEIVED"


def test_a_pump_put_back_to_the_middle_of_a_bolus_is_not_believed_about_less_than_it_had_told(
    clinic: Clinic,
) -> None:
    """DONE that becomes NOT_STARTED, and a volume that falls, are taken back like RUNNING that never was."""
    bench = clinic.pump()
    pump = clinic.programmer(bench)
    cmd_id = pump.bolus(VOLUME_NL, 600).cmd_id
    pump.store.close()
    copy = bench.target.snapshot()  # type: ignore[attr-defined]
    bench.target.rig.advance(700_000)
    told = clinic.programmer(bench)
    assert told.query(cmd_id).outcome is Outcome.DONE
    told.store.close()
    bench.target.restore(copy)  # type: ignore[attr-defined]
    bench.target.rig.power_cut()
    bench.target.rig.power_restore()
    again = clinic.programmer(bench)
    assert any("the pump has lost memory" in notice for notice in again.notices), "who only reads hears of it"
    with pytest.raises(OutcomeUnknown, match="and it had answered DONE: it has lost memory"):
        again.query(cmd_id)


@pytest.mark.parametrize(
    ("before", "now", "contradicts"),
    [
        (("RUNNING", 5_000), (Outcome.NOT_STARTED, 0, 0), True),
        (("RUNNING", 5_000), (Outcome.PARTIAL, 4_000, 500), True),
        (("RUNNING", 5_000), (Outcome.PARTIAL, 4_500, 500), False),
        (("RUNNING", 0), (Outcome.NOT_STARTED, 0, 0), False),
        (("RUNNING", 0), (Outcome.INTENT, 0, 0), True),
        (("INTENT", 0), (Outcome.RUNNING, 0, 0), False),
        (("DONE", 20_000), (Outcome.PARTIAL, 20_000, 0), True),
        (("DONE", 20_000), (Outcome.DONE, 20_000, 0), False),
        (("PARTIAL", 5_000), (Outcome.DONE, 20_000, 0), True),
        (("PARTIAL", 5_000), (Outcome.RUNNING, 5_000, 0), True),
        (("REFUSED", 0), (Outcome.NEVER_RECEIVED, 0, 0), False),
        (("", 0), (Outcome.NEVER_RECEIVED, 0, 0), False),
    ],
)
def test_an_outcome_only_ever_goes_on(
    before: tuple[str, int], now: tuple[Outcome, int, int], contradicts: bool
) -> None:
    filed = FiledCommand(1, 0x21, 0xCAFE, 20_000, outcome=before[0], delivered_nl=before[1])
    assert bool(contradiction_of(filed, *now)) is contradicts


def test_what_was_found_out_of_an_unknown_bolus_is_said(clinic: Clinic) -> None:
    """Not in silence: whoever heard "not known" would give it again."""
    bench = clinic.pump()
    cmd_id = give_unanswered(clinic, bench)
    bench.target.rig.advance(700_000)
    pump = clinic.programmer(bench)
    (notice,) = pump.notices
    assert notice == f"BOLUS_COMMIT {cmd_id}, whose outcome was not known, is DONE, 20000 nL delivered"
    assert [filed.cmd_id for filed in pump.found_out] == [cmd_id]


def test_a_bolus_that_was_running_when_the_pump_lost_its_memory_is_named_and_can_be_accepted(
    clinic: Clinic,
) -> None:
    cmd_id = give_answered(clinic, clinic.pump())
    bench = clinic.pump_that_lost_its_memory()
    pump = clinic.programmer(bench)
    assert any(
        f"BOLUS_COMMIT {cmd_id} was RUNNING when it lost that memory" in notice for notice in pump.notices
    )
    pump.ledger.accept_unknown(cmd_id)
    pump.store.close()
    again = clinic.programmer(bench)
    assert not any("was RUNNING" in notice for notice in again.notices)


# FI 48
def test_nothing_is_sent_to_another_pump_than_the_one_that_was_talked_to_first(clinic: Clinic) -> None:
    """A cable that is moved while a human is asked: what he said yes to is about the first."""
    first, second = clinic.pump(), clinic.pump_that_lost_its_memory()
    pump = clinic.programmer(first)
    pump.ledger.resolve()
    moved = second.open_programmer()
    pump.session.channel = moved.session.channel
    pump.end_session()
    with pytest.raises(BenchLost, match="nothing was sent: another pump is on this line"):
        pump.bolus(VOLUME_NL, 600)
    assert second.open_programmer().delivery().bolus_nl == 0
