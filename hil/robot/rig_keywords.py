"""Keywords of the rig around the pump: time, power, faults, the balance, and what is physically so."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, Literal

from hil.capabilities import TargetCapability
from hil.cli.rig_reading import said_of
from hil.rig import UG_PER_NL, FaultStart
from hil.robot.failures import Failure, KeywordLibrary, keyword
from hil.robot.quantities import Duration, Volume
from protocol.identifiers import AlarmId  # noqa: TC001 - Robot Framework reads the types of arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.rig import Rig
    from hil.robot.life import SuiteBench

MS_PER_S: Final = 1_000
AT_ONCE: Final = Duration(0)
A_MONTH: Final = Duration(31 * 86_400)

Operator = Literal["<", "<=", "==", "!=", ">=", ">"]
COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


BY_AN_INSTRUMENT: Final = {"magnet": TargetCapability.MAGNET, "motor-stall": TargetCapability.STALL}
"""Faults that a board has without all others, by its bench file."""


class RigKeywords(KeywordLibrary):
    """What a bench can do around a pump. A test is skipped where its bench cannot."""

    _suite: SuiteBench

    def _last_frames(self) -> str:
        return self._suite.last_frames()

    @keyword
    def bench_should_have(self, *capabilities: str) -> None:
        """Skip the test where the bench lacks one of these: ``time``, ``power``, ``faults``, ``truth``, ``balance``...

        The keywords below say so themselves; at the beginning of a test this keeps a board from being used in vain.
        """
        self._suite.check_needs(*capabilities)

    @keyword
    def let_time_pass(self, duration: Duration) -> None:
        """Let the patient's time pass; on an emulator a month takes seconds."""
        self._suite.rig("time").advance(duration * MS_PER_S)

    @keyword
    def wait_until_alarm(self, alarm: AlarmId, *, within: Duration = A_MONTH) -> Duration:
        """Let time pass until an alarm is raised, and return the patient's time then, since the pump was made."""
        return self._run_until("alarm", alarm.name, within, name=alarm.name)

    @keyword
    def wait_until_event(self, event: str, *, count: int = 1, within: Duration = A_MONTH) -> Duration:
        """Let time pass until something has happened ``count`` times, and return the patient's time then.

        An event is a type of the pump's log (``BOLUS_END``) or a kind of event of the bench (``PowerOn``).
        """
        return self._run_until("event", event, within, name=event, count=count)

    @keyword
    def wait_until_truth(
        self, field: str, comparison: Operator, value: str, *, within: Duration = A_MONTH
    ) -> Duration:
        """Let time pass until something is physically so, to the stroke, and return the patient's time then.

        | Wait Until Truth | strokes_turned | >= | 100 | within=2 h |
        """
        self._suite.check_needs("truth")
        words = [field, comparison, value]
        return self._run_until("truth", " ".join(words), within, **said_of("truth", words, ""))

    @keyword
    def get_truth(self, field: str) -> Any:
        """Return what is physically so, by a name of ``pumpbench rig truth``; the pump may believe otherwise."""
        truth = self._suite.rig("truth").state().truth
        if field not in truth:
            raise Failure(f"usage: there is no {field} in the truth; there is {', '.join(truth)}")
        return truth[field]

    @keyword
    def truth_should_be(self, field: str, comparison: Operator, value: str) -> None:
        """Fail unless something is physically so: a number, a name, ``true``, ``false`` or ``none``.

        | Truth Should Be | strokes_turned | >= | 100 |
        """
        found = self.get_truth(field)
        wanted = said_of("truth", [field, comparison, value], "").get("value")
        try:
            as_expected = COMPARISONS[comparison](found, wanted)
        except TypeError:
            raise Failure(
                f"usage: {field} is {found}, which {comparison} {value} cannot be asked of"
            ) from None
        if not as_expected:
            raise Failure(f"{field} is {found}, and {comparison} {value} is expected")

    @keyword
    def cut_power(self) -> None:
        """Pull the plug of the pump."""
        self._suite.rig("power").power_cut()

    @keyword
    def restore_power(self, after: Duration = AT_ONCE) -> None:
        """Put the plug of the pump back, ``after`` of the patient's time; fails where it was in."""
        if not self._suite.rig("power").power_restore(after * MS_PER_S):
            raise Failure("usage: the pump has power already")

    @keyword
    def inject_fault(
        self,
        fault: str,
        *,
        after: Duration | None = None,
        at_stroke: int | None = None,
        at_alarm: AlarmId | None = None,
        at_event: str | None = None,
        lasting: Duration | None = None,
        **numbers: int,
    ) -> None:
        """Cause a fault, now or when something has come, until it is cleared or for ``lasting``.

        ``pumpbench faults`` lists the faults, and the ``numbers`` that each takes.

        | Inject Fault | motor-stall | lasting=30 min |
        | Inject Fault | mri | at_stroke=100 | restart_delay_ms=86400000 |
        """
        starts = {
            "after": after is not None and FaultStart("time", after_ms=after * MS_PER_S),
            "at_stroke": at_stroke is not None and FaultStart("stroke", count=at_stroke),
            "at_alarm": at_alarm is not None and FaultStart("alarm", name=at_alarm.name),
            "at_event": at_event is not None and FaultStart("event", name=at_event),
        }
        said = {name: start for name, start in starts.items() if start}
        if len(said) > 1:
            raise Failure(f"usage: a fault starts once, and {' and '.join(said)} are two starts")
        start = next(iter(said.values()), None)
        for_ms = None if lasting is None else lasting * MS_PER_S
        self._causing(fault).inject(fault, start, for_ms=for_ms, **numbers)

    @keyword
    def clear_fault(self, fault: str) -> None:
        """End a fault, and what was ordered of it."""
        self._causing(fault).clear(fault)

    @keyword
    def weigh_delivered(self) -> Volume:
        """Return the volume that the balance shows as really delivered."""
        return Volume(self._suite.rig("balance").weigh().mass_ug // UG_PER_NL)

    def _causing(self, fault: str) -> Rig:
        """The rig, where it has faults, or the instrument of this one."""
        all_faults = TargetCapability.FAULTS
        has_all = all_faults in self._suite.session.capabilities
        return self._suite.rig(all_faults if has_all else BY_AN_INSTRUMENT.get(fault, all_faults))

    def _run_until(self, what: str, words: str, within: Duration, **said: Any) -> Duration:
        result = self._suite.rig("time").run_until(what, within * MS_PER_S, **said)
        if not result.reached:
            raise Failure(f"{words} did not come within {within}")
        return Duration(result.now_ms // MS_PER_S)
