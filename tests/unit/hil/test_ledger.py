"""Never twice, and never the word failed for what was delivered [SPEC 5, 9]. With a real pump behind a bad line."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from hil.bench_of_test import TestBench
from hil.errors import (
    CommandRefused,
    DeviceRefused,
    ExitCode,
    LinkError,
    NotExecuted,
    OutcomeUnknown,
    RefusalLost,
    UsageError,
)
from hil.noise import Direction
from hil.programmer.programmer import Programmer
from protocol.identifiers import ErrorCode, Outcome, Role, State

TO_PUMP, FROM_PUMP = Direction.TO_PUMP, Direction.FROM_PUMP
ROUNDS = 3  # the link sends a request three times before it gives up
VOLUME_NL = 20_000
REQUEST_CTR_MAX = 1_048_576  # 2^20 [SPEC 5, R9]


def stopped(pump: Programmer) -> None:
    pump.stop()


def nothing(pump: Programmer) -> None:
    pass


COMMANDS: list[tuple[str, Callable[[Programmer], None], Callable[[Programmer], Any]]] = [
    ("bolus", nothing, lambda pump: pump.bolus(VOLUME_NL, 600)),
    ("cancel", nothing, lambda pump: pump.cancel_bolus()),
    ("stop", nothing, lambda pump: pump.stop()),
    ("resume", stopped, lambda pump: pump.resume()),
    ("program", nothing, lambda pump: pump.set_simple_program(350_000)),
    ("refill", nothing, lambda pump: pump.refill(20_000_000, aspirated_nl=17_000_000)),
    ("time", nothing, lambda pump: pump.set_time(pump.status().wall_s + 10, 0)),
]
NAMES = [name for name, _, _ in COMMANDS]
COMMIT_FRAMES = {"bolus": 2, "cancel": 0, "stop": 0, "resume": 1, "program": 5, "refill": 2, "time": 1}
"""How many requests go before the command itself."""


def intents(pump: Programmer) -> int:
    """How many boluses the pump started."""
    return sum(entry.type.name == "BOLUS_START" for entry in pump.read_log().entries)


@pytest.fixture(params=COMMANDS, ids=NAMES)
def ready(request: pytest.FixtureRequest, bench: TestBench) -> Any:
    """A pump at the moment before a command, and what counts its frames from here."""
    name, prepare, command = request.param
    pump = bench.open_programmer()
    prepare(pump)
    pump.ledger.unknown()  # what the ledger needs to know of the pump is known
    return name, pump, command, bench


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_request_is_sent_again_by_the_link(ready: Any, lost: int) -> None:
    name, pump, command, bench = ready
    bench.line.drop(TO_PUMP, lost, skip=COMMIT_FRAMES[name])
    executed = command(pump)
    bench.line.check_all_fired()
    assert executed.answer is not None
    assert not executed.dup


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_reply_is_asked_for_again_by_the_link(ready: Any, lost: int) -> None:
    name, pump, command, bench = ready
    bench.line.drop(FROM_PUMP, lost, skip=COMMIT_FRAMES[name])
    executed = command(pump)
    bench.line.check_all_fired()
    assert executed.answer is not None
    assert intents(pump) == (name == "bolus")


def test_when_every_reply_is_lost_the_outcome_is_asked_for(ready: Any) -> None:
    name, pump, command, bench = ready
    bench.line.drop(FROM_PUMP, ROUNDS, skip=COMMIT_FRAMES[name])
    executed = command(pump)
    bench.line.check_all_fired()
    assert executed.answer is None
    assert executed.outcome in {Outcome.RUNNING, Outcome.DONE}
    assert intents(pump) == (name == "bolus")
    with pytest.raises(UsageError, match="lost"):
        _ = executed.reply
    with pytest.raises(UsageError, match="lost"):  # and it is not entry 0
        _ = executed.seq


def test_when_every_request_is_lost_nothing_was_done_and_the_programmer_knows(ready: Any) -> None:
    name, pump, command, bench = ready
    before = pump.status()
    bench.line.drop(TO_PUMP, ROUNDS, skip=COMMIT_FRAMES[name])
    if name == "bolus":
        with pytest.raises(NotExecuted) as caught:
            command(pump)
        assert caught.value.outcome in {Outcome.NEVER_RECEIVED, Outcome.VOIDED}
        assert pump.query(caught.value.cmd_id).outcome is Outcome.VOIDED
        assert pump.status().delivered_total_nl == before.delivered_total_nl
    else:
        executed = command(pump)  # sent again under another id, since the first provably never arrived
        assert executed.answer is not None
        assert pump.query(executed.cmd_id - 1).outcome is Outcome.VOIDED
    bench.line.check_all_fired()
    assert not pump.ledger.unknown()


def test_a_refusal_whose_answer_was_lost_is_the_devices_word_all_the_same(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.ledger.unknown()
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    bench.target.rig.advance(11_000)  # its token lives 10 s
    bench.line.drop(FROM_PUMP, ROUNDS)
    with pytest.raises(RefusalLost, match="was refused by the pump, and nothing was done") as caught:
        pump.commit_bolus(prepared)
    bench.line.check_all_fired()
    assert caught.value.exit_code is ExitCode.DEVICE_REFUSED
    assert caught.value.one_line().startswith("device: ")


def test_every_frame_twice_is_one_execution(ready: Any) -> None:
    name, pump, command, bench = ready
    bench.line.duplicate(TO_PUMP, 40, copies=1)
    bench.line.duplicate(FROM_PUMP, 40, copies=1)
    executed = command(pump)
    assert executed.answer is not None
    bench.line.clear()
    assert intents(pump) == (name == "bolus")


def test_late_replies_do_no_harm(ready: Any) -> None:
    name, pump, command, bench = ready
    bench.line.delay(FROM_PUMP, 700, 2, skip=COMMIT_FRAMES[name])
    executed = command(pump)
    bench.line.check_all_fired()
    assert executed.answer is not None
    assert intents(pump) == (name == "bolus")


def test_a_held_command_never_runs_after_it_was_voided(bench: TestBench) -> None:
    pump = bench.open_programmer()
    pump.ledger.unknown()
    bench.line.hold(TO_PUMP, ROUNDS, skip=2)
    with pytest.raises(NotExecuted):
        pump.bolus(VOLUME_NL, 600)
    assert bench.line.release(TO_PUMP) == ROUNDS
    bench.target.rig.advance(700_000)
    assert pump.delivery().bolus_nl == 0
    assert intents(pump) == 0


def test_a_refusal_is_a_failure_with_its_reason_and_uses_up_nothing(bench: TestBench) -> None:
    pump = bench.open_programmer()
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    bench.target.rig.advance(11_000)  # the token lives 10 s
    with pytest.raises(CommandRefused) as caught:
        pump.commit_bolus(prepared)
    assert caught.value.code == ErrorCode.TOKEN
    assert not pump.ledger.unknown()
    assert pump.bolus(VOLUME_NL, 600).outcome is Outcome.RUNNING


def test_a_refused_prepare_names_the_nearest_acceptable_value(bench: TestBench) -> None:
    pump = bench.open_programmer()
    with pytest.raises(DeviceRefused) as caught:
        pump.prepare_bolus(VOLUME_NL, 1)
    assert caught.value.code == ErrorCode.RATE
    assert pump.prepare_bolus(VOLUME_NL, caught.value.error.nearest).announced.quantised_nl == VOLUME_NL


def test_two_programmers_of_one_key_do_not_collide_for_ever(bench: TestBench) -> None:
    one = bench.open_programmer()
    one.stop()
    two = bench.open_programmer()
    two.resume()
    assert one.stop().reply.state is State.STOP  # its session was replaced, and its id was used by the other
    assert one.resume().reply.state is State.RUN


def test_a_session_that_ended_is_opened_again_by_itself(bench: TestBench) -> None:
    pump = bench.open_programmer()
    for _ in range(3):
        bench.target.rig.advance(3_600_000)
        assert pump.stop().reply.state is State.STOP
        bench.target.rig.advance(3_600_000)
        assert pump.resume().reply.state is State.RUN
        bench.target.rig.advance(3_600_000)
        assert pump.bolus(VOLUME_NL, 600).outcome is Outcome.RUNNING
        bench.target.rig.advance(3_600_000)
        pump.set_simple_program(300_000)


def test_an_observer_reads_and_is_refused_the_rest(bench: TestBench) -> None:
    pump = bench.open_programmer(Role.OBSERVER)
    assert pump.status().state is State.RUN
    with pytest.raises(DeviceRefused) as caught:
        pump.stop()
    assert caught.value.code == ErrorCode.ROLE


@pytest.mark.parametrize("seed", range(40))
def test_on_a_line_that_loses_doubles_and_delays_a_bolus_is_given_once_or_not_at_all(
    bench: TestBench, seed: int
) -> None:
    chance = random.Random(seed)
    pump = bench.open_programmer()
    for _ in range(12):
        direction = chance.choice([TO_PUMP, FROM_PUMP])
        skip = chance.randrange(8)
        match chance.randrange(5):
            case 0 | 1:
                bench.line.drop(direction, chance.randrange(1, 4), skip=skip)
            case 2:
                bench.line.duplicate(direction, chance.randrange(1, 3), skip=skip)
            case 3:
                bench.line.delay(direction, chance.randrange(50, 3_000), skip=skip)
            case _:
                bench.line.swap(direction, skip=skip)
    known = None
    try:
        known = pump.bolus(VOLUME_NL, 600).outcome
    except NotExecuted:
        known = Outcome.NEVER_RECEIVED
    except (OutcomeUnknown, LinkError, DeviceRefused):
        known = None  # nothing is claimed
    bench.line.clear()
    bench.target.rig.advance(700_000)
    pump.ledger.resolve()
    assert not pump.ledger.unknown()
    delivered_nl = pump.delivery().bolus_nl
    assert delivered_nl in {0, VOLUME_NL}
    if known is not None:
        assert delivered_nl == (VOLUME_NL if known in {Outcome.RUNNING, Outcome.DONE} else 0)


REFUSED: list[tuple[str, Callable[[Programmer], Any], ErrorCode]] = [
    ("refill", lambda pump: pump.refill(99_000_000, aspirated_nl=0), ErrorCode.RESERVOIR),
    ("time", lambda pump: pump.set_time(pump.status().wall_s + 86_400, 0), ErrorCode.CONFIRM),
    ("zone", lambda pump: pump.set_time(pump.status().wall_s, 900), ErrorCode.TIME_RANGE),
]


@pytest.mark.parametrize(
    ("command", "code"), [row[1:] for row in REFUSED], ids=[name for name, _, _ in REFUSED]
)
@pytest.mark.parametrize("lost", [0, 1, ROUNDS])
def test_whatever_is_refused_is_filed_as_refused_also_where_the_answer_was_lost(
    bench: TestBench, command: Callable[[Programmer], Any], code: ErrorCode, lost: int
) -> None:
    pump = bench.open_programmer()
    pump.ledger.unknown()
    if lost:
        bench.line.drop(
            FROM_PUMP, lost, skip=COMMIT_FRAMES["refill" if code is ErrorCode.RESERVOIR else "time"]
        )
    with pytest.raises(CommandRefused) as caught:  # nothing was done, so it was asked again under another id
        command(pump)
    bench.line.check_all_fired()
    assert caught.value.code is code
    sent = pump.ledger.last_command()
    assert sent is not None
    filed = [pump.ledger.filed(cmd_id) for cmd_id in range(1, sent.cmd_id + 1)]
    assert [each.outcome for each in filed if each is not None] == ["REFUSED"] * (2 if lost == ROUNDS else 1)
    assert not pump.ledger.unknown()
    found = pump.query(sent.cmd_id)
    assert (found.outcome, found.reason, found.op) == (Outcome.REFUSED, code, sent.opcode)
    assert pump.stop().reply.state is State.STOP


def expire_the_session(pump: Programmer) -> None:
    """Bring the session's counter to its end, without its client knowing: the pump refuses SESSION_EXPIRED."""
    pump.session._end._ctr = REQUEST_CTR_MAX


@pytest.mark.parametrize(("name", "prepare", "command"), COMMANDS, ids=NAMES)
def test_a_session_that_expires_in_the_middle_of_asking_is_opened_again(
    bench: TestBench,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    prepare: Callable[[Programmer], None],
    command: Callable[[Programmer], Any],
) -> None:
    monkeypatch.setattr("protocol.link.client_end.REQUEST_CTR_MAX", 1 << 31)  # a client that does not count
    pump = bench.open_programmer()
    prepare(pump)
    pump.ledger.unknown()
    before = pump.session.session_number
    expire_the_session(pump)
    executed = command(pump)
    assert executed.outcome in {Outcome.RUNNING, Outcome.DONE}
    assert pump.session.session_number == before + 1
    assert intents(pump) == (name == "bolus")
    assert not pump.ledger.unknown()


def test_a_commit_in_a_session_that_has_expired_was_not_done_and_dies_with_its_token(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.link.client_end.REQUEST_CTR_MAX", 1 << 31)
    pump = bench.open_programmer()
    pump.ledger.unknown()
    prepared = pump.prepare_bolus(VOLUME_NL, 600)
    expire_the_session(pump)
    with pytest.raises(NotExecuted, match="met no session") as caught:
        pump.commit_bolus(prepared)
    assert caught.value.outcome is Outcome.NEVER_RECEIVED
    assert not pump.ledger.unknown()
    assert intents(pump) == 0
    assert pump.bolus(VOLUME_NL, 600).outcome is Outcome.RUNNING
    assert intents(pump) == 1


def test_reading_goes_on_in_a_new_session_when_the_old_one_expires(
    bench: TestBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("protocol.link.client_end.REQUEST_CTR_MAX", 1 << 31)
    pump = bench.open_programmer()
    status = pump.status()
    expire_the_session(pump)
    assert pump.status().state is status.state
    assert pump.session.session_number == 2
