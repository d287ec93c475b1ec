"""Evidence decides whose fault a failure is, a row of the table for each kind; where it does not, nobody knows."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.deadline import Deadline
from hil.errors import (
    AnswerNotWritten,
    BadConfiguration,
    BenchLost,
    Declined,
    DeviceError,
    DeviceUnsafe,
    InUse,
    LacksKey,
    LeaseLost,
    LineGap,
    LinkError,
    NotTheSame,
    OutcomeUnknown,
    SessionRefused,
    UsageError,
)
from hil.line_facts import LineFacts, damaged_since
from hil.noise import Direction
from hil.plugin import BENCH
from hil.report.records import Accused
from hil.run.raising_code import Code, concern_of, raised_in, went_through_test
from hil.run.reporting import judged
from hil.run.triage import LATE_MS, QUIET, Evidence, judge
from hil.targets.supervisor import Gap
from protocol.identifiers import Role, State
from protocol.link.development_keys import development_key
from protocol.messages.conversation import PingReply
from tests.unit.hil.runs import pytest_on
from tests.unit.hil.test_boards_on_the_command_line import lab

if TYPE_CHECKING:
    from tests.unit.hil.test_boards_on_the_command_line import Lab

__all__ = ["lab"]

SILENT = LinkError("nothing answers")
UNKNOWN_SINCE_LOST = OutcomeUnknown("not known", cmd_id=1)
UNKNOWN_SINCE_LOST.__cause__ = BenchLost("it is gone")
UNEXPECTED, EXPECTED = Gap(120, expected=False), Gap(80, expected=True)


def seen(
    error: BaseException | None, code: Code = Code.HARNESS, line: LineFacts = QUIET, **more: Any
) -> Evidence:
    return Evidence(error, code, line=line, **more)


def said(error: BaseException, code: Code = Code.TEST, **more: Any) -> Evidence:
    return seen(error, code, is_assertion=True, **more)


CASES = (
    # bench
    (seen(InUse("another run has it")), "bench", "somebody else has it"),
    (seen(LeaseLost("taken away")), "bench", "took it away (LeaseLost: taken away)"),
    (seen(BenchLost("no answer"), Code.INSTRUMENT), "bench", "an instrument failed (BenchLost: no answer)"),
    (seen(BenchLost("port is gone")), "bench", "line or bench is gone"),
    (seen(UNKNOWN_SINCE_LOST), "bench", "line or bench is gone (BenchLost: it is gone)"),
    (seen(Declined("nobody turned it")), "bench", "a person at the bench said no"),
    (seen(BadConfiguration("no such key file")), "bench", "address, key file or bench file are wrong"),
    (seen(BadConfiguration("weighs in lb"), Code.INSTRUMENT, through_test=True), "bench", "weighs in lb"),
    (seen(LacksKey("no key of patient"), through_test=True), "bench", "the bench has no key for it"),
    # test
    (seen(BadConfiguration("no such file"), through_test=True), "test", "names what cannot be right"),
    (seen(UsageError("a dose is a number"), through_test=True), "test", "cannot be asked for"),
    (seen(SILENT, line=LineFacts(power_off=True, rig_acts=True)), "test", "has cut the pump's power"),
    (seen(BenchLost("gone"), line=LineFacts(power_off=True)), "test", "has cut the pump's power"),
    (seen(None, Code.TEST), "test", "it passed, and its mark says that it is known to fail"),
    (said(AssertionError("1 == 2")), "test", "concerns nothing that came from the pump"),
    (seen(KeyError("x"), Code.TEST), "test", "the test's own code raised KeyError: 'x'"),
    # device
    (seen(DeviceUnsafe("an unknown state")), "device", "the pump itself answered so"),
    (seen(SessionRefused("not this key", reason=3, retry_after_s=0)), "device", "which carries no tag yet"),
    (seen(NotTheSame("rate was 1 and is 2")), "device", "otherwise than recorded"),
    (seen(SILENT, line=LineFacts(starts=1)), "device", "the pump has started again by itself"),
    (seen(LineGap("lost"), line=LineFacts(starts=1, gaps=(UNEXPECTED,))), "device", "started again by itself"),
    (said(AssertionError(), concern="status.state is State.RUN"), "device", "`status.state is State.RUN`"),
    (seen(AssertionError(), Code.HARNESS, beyond="12 uL"), "device", "measured beyond its limits: 12 uL"),
    (seen(IndexError("x"), Code.DEVICE), "device", "code of the emulated pump raised IndexError: x"),
    # link
    (seen(LineGap("lost for 120 ms")), "link", "the line was lost and came back: LineGap: lost for 120 ms"),
    (seen(SILENT, line=LineFacts(gaps=(UNEXPECTED,))), "link", "came back: unexpected, 120 ms"),
    (seen(LineGap("x"), line=LineFacts(gaps=(UNEXPECTED,), starts=1, rig_acts=True)), "link", "was lost"),
    (seen(SILENT, line=LineFacts(damaged_here=3)), "link", "arrived damaged [damaged frames here: 3]"),
    (seen(SILENT, line=LineFacts(damaged_at_pump=2)), "link", "[damaged frames at the pump: 2]"),
    (seen(SILENT, line=LineFacts(repeated=2, answers_now=True)), "link", "frames were lost"),
    (said(AssertionError(), timed_out=True, line=LineFacts(damaged_here=9)), "link", "arrived damaged"),
    # harness
    (seen(SILENT, line=LineFacts(late_ms=LATE_MS)), "harness", f"{LATE_MS} ms after its own deadline"),
    (seen(AttributeError("x")), "harness", "code of pumpbench raised AttributeError: x"),
    (seen(ValueError("x"), Code.INSTRUMENT), "harness", "code of an instrument raised ValueError: x"),
    (said(AssertionError("x"), Code.HARNESS), "harness", "which is none of its errors"),
    (seen(OSError(errno.ENOSPC, "no space"), Code.TEST), "harness", "this host has run out of something"),
    (seen(MemoryError(), Code.TEST), "harness", "this host has run out of something (MemoryError)"),
    # nobody knows
    (seen(SILENT, line=LineFacts(answers_now=False, repeated=2)), "not known", "without power or hang"),
    (seen(SILENT, line=LineFacts(answers_now=True)), "not known", "neither end counted a lost or damaged"),
    (seen(SILENT), "not known", "there is nobody to ask"),
    (seen(SILENT, line=LineFacts(gaps=(EXPECTED,), starts=1, answers_now=True)), "not known", "the pump answers now"),
    (seen(SILENT, line=LineFacts(faults_of_test=1, damaged_here=1)), "not known", "the test itself disturbed"),
    (seen(SILENT, line=LineFacts(by_hand=True, damaged_at_pump=4)), "not known", "used the bare line"),
    (seen(SILENT, line=LineFacts(late_ms=LATE_MS - 1)), "not known", "no answer came"),
    (said(AssertionError(), timed_out=True), "not known", "longer than its limit"),
    (seen(AnswerNotWritten("", "full")), "not known", "nobody is accused"),
    (seen(RuntimeError("x"), Code.ELSEWHERE), "not known", "raised in code of somebody else"),
)  # fmt: skip


@pytest.mark.parametrize(("evidence", "accused", "why"), CASES, ids=range(len(CASES)))
def test_evidence_decides_whose_fault_it_is(evidence: Evidence, accused: str, why: str) -> None:
    judged = judge(evidence)
    assert (judged.accused, why in judged.evidence) == (Accused(accused), True), judged


def test_what_is_counted_beside_it_is_told_whoever_is_accused() -> None:
    facts = LineFacts(damaged_here=2, gaps=(UNEXPECTED, EXPECTED), late_ms=7, faults_of_test=1)
    judged = judge(said(AssertionError(), concern="x", line=facts))
    assert judged.accused is Accused.DEVICE
    disturbed = "damaged frames here: 2, gaps of the line: 1, frames that the test disturbed: 1"
    assert judged.evidence.endswith(f" [{disturbed}, ms that the host was late: 7]")


def test_an_evidence_is_one_line_whatever_was_raised() -> None:
    judged = judge(seen(DeviceError("odd\x1b[2J\nand more"), concern="a\n  is b"))
    assert judged.evidence.isprintable()


@pytest.mark.parametrize(
    ("before", "now", "counted"), [(3, 5, 2), (3, 3, 0), (3, 1, 1), (None, 5, None), (5, None, None)]
)
def test_a_count_of_the_pump_is_its_own_since_the_test_began(
    before: int | None, now: int | None, counted: int | None
) -> None:
    assert damaged_since(before, now) == counted


# Whose code raised it, and whether it is about the pump.


def caught(action: Any) -> BaseException:
    try:
        action()
    except BaseException as error:  # noqa: BLE001 - also what pytest.fail raises
        return error
    raise AssertionError("it raised nothing")


def test_an_error_is_of_the_innermost_code_that_is_anybodys() -> None:
    assert raised_in(caught(lambda: [1].index(2))) is Code.TEST
    in_the_harness = caught(lambda: Deadline.after("soon", 1))  # type: ignore[arg-type]
    assert raised_in(in_the_harness) is Code.HARNESS
    assert went_through_test(in_the_harness)
    assert raised_in(caught(lambda: pytest.fail("x"))) is Code.TEST
    assert raised_in(caught(lambda: int("x"))) is Code.TEST
    assert raised_in(KeyError("never raised")) is Code.ELSEWHERE


@pytest.mark.parametrize(
    "call",
    [
        lambda pump: pump.bolus(volume_ml=1),
        lambda pump: pump.bolus(5),
        lambda pump: pump.refill(18_000_000),
        lambda pump: pump.stop(1, 2, 3, 4),
    ],
)
def test_a_call_with_an_argument_too_many_or_too_few_is_of_whoever_calls(call: Any, bench: Any) -> None:
    error = caught(lambda: call(bench.open_programmer()))
    assert isinstance(error, TypeError)
    assert raised_in(error) is Code.TEST


class Nurse:
    """What a user may write around a programmer."""

    def __init__(self, pump: Any) -> None:
        self.pump = pump

    def sees(self, wanted: object, what: object) -> None:
        seen = what
        equals(seen, wanted)


def equals(value: object, wanted: object) -> None:
    assert value == wanted


def are_alike(*values: object) -> None:
    assert values[0] == values[1]


def all_are(values: list[Any], wanted: object) -> None:
    assert all(each is wanted for each in values)


def is_so(_pump: object, value: object) -> None:
    assert value


def about_the_pump(pump: Any) -> dict[str, Any]:
    """Tests that fail by what came from the pump, each in another way."""

    def by_a_name() -> None:
        state = pump.status().state
        assert state is State.STOP

    def by_a_sum() -> None:
        before = pump.delivery().bolus_nl
        after = pump.delivery().bolus_nl
        given = after - before
        assert given == 5, "nothing was given"

    def by_a_list() -> None:
        states = []
        for _ in range(2):
            states.append(pump.status().state)  # noqa: PERF401 - that it is so put in
        assert all(each is State.STOP for each in states)

    def by_what_was_caught() -> None:
        with pytest.raises(DeviceError) as refused:
            pump.bolus(10_000_000, 600)
        assert "no such words" in str(refused.value)

    def by_an_object_around_it() -> None:
        nurse = Nurse(pump)
        assert nurse.pump.status().state is State.STOP

    def by_a_condition() -> None:
        if pump.status().state is State.RUN:
            pytest.fail("it runs")

    def by_a_name_of_an_assignment() -> None:
        (state, _number), _ = (pump.status().state, 3), 4
        assert state is State.STOP

    def by_a_name_of_an_assignment_that_nobody_can_take_apart() -> None:
        _number, *rest = 3, pump.status().state
        assert rest == []

    def by_a_reply() -> None:
        reply = PingReply()
        assert reply is None

    return {name: value for name, value in locals().items() if name.startswith("by_")}


def about_the_pump_in_a_helper(pump: Any) -> dict[str, Any]:
    """Tests that fail in a function to which they have handed what came from the pump."""

    def by_a_helper() -> None:
        equals(pump.delivery().bolus_nl, 5)

    def by_a_helper_of_a_helper() -> None:
        given = pump.delivery().bolus_nl
        nurse = Nurse(None)
        nurse.sees(5, what=given)

    def by_a_helper_of_many() -> None:
        are_alike(*[pump.status().state, State.STOP])

    def by_a_helper_that_counts() -> None:
        all_are([pump.status().state], State.STOP)

    return {name: value for name, value in locals().items() if name.startswith("by_")}


def about_nothing_of_the_pump(pump: Any) -> dict[str, Any]:
    """Tests that fail by themselves, although they have talked to the pump."""

    def by_numbers() -> None:
        pump.status()
        wanted = 2
        assert wanted == 1

    def by_a_name_of_the_protocol() -> None:
        pump.status()
        wanted: Any = State.RUN
        assert wanted is State.STOP

    def by_a_file() -> None:
        pump.status()
        with Path(__file__).open() as file:
            text = file.read()
        assert text == ""

    def by_a_helper() -> None:
        equals(len("abc"), 4)

    def by_a_helper_that_was_given_the_pump_beside_it() -> None:
        is_so(pump.status().state, False)

    def by_the_other_name_of_an_assignment() -> None:
        _state, (wanted, _) = pump.status().state, (2, 3)
        assert wanted == 1

    def by_saying_so() -> None:
        pump.status()
        pytest.fail("not written yet")

    return {name: value for name, value in locals().items() if name.startswith("by_")}


@pytest.mark.parametrize("name", about_the_pump(None))
def test_a_failure_by_what_came_from_the_pump_is_known(name: str, bench: Any) -> None:
    error = caught(about_the_pump(bench.open_programmer())[name])
    assert concern_of(error), name


@pytest.mark.parametrize("name", about_the_pump_in_a_helper(None))
def test_what_a_helper_was_handed_of_the_pump_is_of_the_pump(name: str, bench: Any) -> None:
    error = caught(about_the_pump_in_a_helper(bench.open_programmer())[name])
    assert concern_of(error), name


@pytest.mark.parametrize("name", about_nothing_of_the_pump(None))
def test_a_failure_by_nothing_of_the_pump_is_known(name: str, bench: Any) -> None:
    error = caught(about_nothing_of_the_pump(bench.open_programmer())[name])
    assert concern_of(error) == ""


@pytest.mark.parametrize("name", ["target", "rig", "channel", "line", "open_programmer", "expecting_gap"])
def test_all_that_a_bench_gives_to_a_test_is_of_the_pump_wherever_its_class_stands(
    name: str, bench: Any
) -> None:
    given = getattr(bench, name)

    def by_itself() -> None:
        assert given is None

    assert concern_of(caught(by_itself)) == "given is None"


def test_what_a_fixture_has_made_of_the_pump_is_of_the_pump() -> None:
    error = caught(lambda: number_of_a_fixture(4))
    assert concern_of(error) == ""
    assert concern_of(error, frozenset({"delivered_nl"})) == "delivered_nl == 5"


def number_of_a_fixture(delivered_nl: int) -> None:
    assert delivered_nl == 5


# What is counted.


def test_both_ends_count_what_the_test_did_not_do(bench: Any) -> None:
    pump = bench.open_programmer()
    take = bench.target.take
    bench.target.take = lambda deadline_ms: bytes(b ^ 1 if b > 1 else b for b in take(deadline_ms))
    caught(pump.status)
    bench.target.take = take
    facts = bench.line_facts(ask=True)
    assert facts.damaged_here > 0
    assert facts.repeated > 0
    assert (facts.damaged_at_pump, facts.answers_now) == (0, True)
    assert (facts.by_hand, facts.faults_of_test, facts.late_ms, facts.starts) == (False, 0, 0, 0)


def test_the_pump_counts_what_arrived_damaged_there(bench: Any) -> None:
    pump = bench.open_programmer()
    put = bench.target.put
    broken: list[bytes] = []

    def damaging(data: bytes) -> None:
        put(bytes(b ^ 1 if b > 1 else b for b in data) if not broken else data)
        broken.append(data)

    bench.target.put = damaging
    pump.status()
    facts = bench.line_facts(ask=True)
    assert facts.damaged_at_pump == 1
    assert facts.repeated == 1


def test_what_a_test_does_to_line_and_rig_is_its_own(bench: Any) -> None:
    pump = bench.open_programmer()
    bench.line.flip(Direction.TO_PUMP, 77)
    pump.status()
    bench.rig.power_cut()
    facts = bench.line_facts(ask=True)
    assert (facts.faults_of_test, facts.power_off, facts.answers_now) == (1, True, False)
    bench.rig.power_restore()
    facts = bench.line_facts(ask=True)
    assert (facts.power_off, facts.rig_acts, facts.starts, facts.restarts) == (False, True, 1, 0)
    assert bench.channel is not None
    facts = bench.line_facts(ask=False)
    assert (facts.by_hand, facts.answers_now, facts.damaged_at_pump) == (True, None, None)


def test_a_pump_is_not_greeted_by_who_never_had_a_session(bench: Any) -> None:
    bench.open_programmer(connect=False)
    assert bench.line_facts(ask=True).answers_now is None
    assert bench.target.sent_bytes == 0


def test_a_fixture_that_there_is_not_is_a_mistake_of_the_test(request: pytest.FixtureRequest) -> None:
    found = judged(request.node, "setup", pytest.FixtureLookupError("no_such", request))
    assert found.accused is Accused.TEST
    assert "there is no fixture 'no_such'" in found.evidence


def test_what_is_wrong_with_us_while_evidence_is_sought_is_told_beside_it(
    request: pytest.FixtureRequest, bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(request.node.stash, BENCH, bench)
    monkeypatch.delattr("hil.line_facts.damaged_since")  # a mistake of ours
    bench.open_programmer()
    found = judged(request.node, "call", SILENT)
    assert "[what the line counted could not be read: NameError: " in found.evidence


def test_a_role_that_the_key_file_lacks_is_the_benchs_and_ends_no_run(lab: Lab) -> None:
    keys = lab.directory / "keys.json"
    clinician = development_key(Role.CLINICIAN)
    keys.touch(mode=0o600)
    keys.write_text(
        json.dumps([{"key_id": clinician.key_id, "role": "clinician", "key": clinician.key.hex()}])
    )
    lab.write(serial="EMU000000001", more='key_file = "keys.json"')
    done = pytest_on(
        lab.directory,
        """
        import pytest
        from hil.plugin import needs
        from protocol.identifiers import Role

        @pytest.fixture
        def patient(pump_as):
            return pump_as(Role.PATIENT)

        def test_of_a_patient(patient): pass
        def test_of_a_clinician(pump): assert pump.status()
        """,
        "--hil-target=bench:rig1",
        "--hil-report=report",
    )
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert (
        "bench: test_it.py::test_of_a_patient: the bench has no key for it (LacksKey: the key file"
        in done.stdout
    )
