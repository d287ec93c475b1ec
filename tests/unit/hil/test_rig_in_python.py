"""The rig's newer methods, the same in this process and over HTTP; and a rig of an own lab that has none of them."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from hil.capabilities import TargetCapability
from hil.errors import UsageError
from hil.rig import Rig, RigEvent
from hil.targets.choices import PumpChoice
from hil.targets.emulated import EmulatedTarget
from hil.targets.process import ProcessTarget

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def both() -> Iterator[list[Rig]]:
    """The rigs of two pumps of one seed: in this process, and over HTTP."""
    choice = PumpChoice(seed=5, memory_id=7)
    here, there = EmulatedTarget(choice), ProcessTarget(choice)
    here.start()
    there.start()
    yield [here.rig, there.rig]
    here.close()
    there.close()


def story(rig: Rig) -> list[Any]:
    """A day at a bench, with all that it sees."""
    seen: list[Any] = [rig.profile(), rig.mark()]
    mark = rig.mark()
    rig.inject("motor-stall", duration_ms=2 * HOUR_MS)
    seen += [
        rig.run_until("alarm", DAY_MS, name="MOTOR_STALL"),
        rig.run_until("truth", DAY_MS, field="stalled", operator="==", value=False),
        rig.run_until("alarm", DAY_MS, name="MOTOR_STALL", cleared=True),
        rig.run_until("truth", DAY_MS, field="strokes_turned", operator=">=", value=100),
        rig.run_until("belief", DAY_MS, field="reservoir_calc_nl", operator="<", value=17_900_000),
        rig.run_until("event", 3 * DAY_MS, name="DAY_TOTAL", count=2),
        rig.run_until("event", HOUR_MS, name="EOS"),
    ]
    rig.power_cut(after_writes=2)
    seen.append(rig.run_until("event", DAY_MS, name="PowerLost"))
    assert rig.power_restore()
    seen += [rig.trace(mark), rig.tones(), rig.state().truth, rig.state().trace_hash]
    return seen


def test_a_rig_does_and_sees_the_same_in_this_process_and_over_http(both: list[Rig]) -> None:
    here, there = (story(rig) for rig in both)
    for one, other in zip(here, there, strict=True):
        assert one == other or tuple(one) == tuple(other)
    trace = here[-4]
    kinds = [event.kind for event in trace.events]
    assert (kinds[0], trace.lost, trace.mark) == ("FaultInjected", 0, here[1] + len(trace.events))
    assert {"AlarmRaised", "AlarmCleared", "PowerLost", "PowerOn"} <= set(kinds)
    reached = [ran.reached for ran in here[2:10]]
    assert reached == [True] * 6 + [False, True]


def test_events_are_those_of_the_trace_as_far_as_they_have_come(both: list[Rig]) -> None:
    for rig in both:
        mark = rig.mark()
        later = rig.events()
        rig.advance(HOUR_MS)
        whole = rig.trace(mark).events
        assert whole
        assert [next(later) for _ in whole] == list(whole)
        later.close()  # type: ignore[attr-defined]  # of a generator, and of a reader
        assert list(rig.events(mark, wait_s=0.2)) == list(whole)
        assert all(isinstance(event, RigEvent) for event in whole)


class LabRig:
    """A rig of somebody's lab, written before there was a trace: what it leaves out is that of `Rig`."""

    mark, trace, events, profile = Rig.mark, Rig.trace, Rig.events, Rig.profile


@pytest.mark.parametrize(
    ("ask", "capability"),
    [
        (lambda rig: rig.mark(), TargetCapability.TRACE),
        (lambda rig: rig.trace(), TargetCapability.TRACE),
        (lambda rig: rig.events(), TargetCapability.TRACE),
        (lambda rig: rig.profile(), TargetCapability.PROFILE),
    ],
)
def test_a_rig_that_cannot_says_which_capability_it_lacks_and_its_target_does_not_claim_it(
    ask: Any, capability: TargetCapability
) -> None:
    with pytest.raises(UsageError, match=f"this rig has no {capability.value}"):
        ask(LabRig())
    assert capability in EmulatedTarget.capabilities
    with closing(ProcessTarget(PumpChoice())) as target:
        assert capability in target.capabilities
