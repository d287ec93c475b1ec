"""Which fault must take effect during which procedure or state: the pairs that a run of the simulation has to reach.

A pair is reached when the fault took effect while the procedure was in work, as the catalogue counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.faults.catalogue import FAULTS
from protocol.identifiers import Activity, State
from protocol.log.types import LogType

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.pump import Pump


class Work(NamedTuple):
    """A procedure or a state. `begins` and `then`: deeds of `Life`, before the fault and with it."""

    begins: str | None = None
    seen: Callable[[Pump], bool] | None = None
    """Whether it is in work, before the fault."""
    then: str | None = None
    logs: LogType | None = None
    """What the log has of it; None: nothing is looked for."""


def _flows(activity: Activity) -> Callable[[Pump], bool]:
    return lambda pump: (
        pump.controller is not None and (activity in pump.controller.therapy.deliveries.activity)
    )


def _state(state: State) -> Callable[[Pump], bool]:
    return lambda pump: pump.controller is not None and pump.controller.records.therapy.state is state


def _alarm(pump: Pump) -> bool:
    return pump.controller is not None and pump.controller.records.alarms.critical_active


WORKS: Final[dict[str, Work]] = {
    "bolus": Work("short_bolus", _flows(Activity.BOLUS)),
    "patient bolus": Work("patients_bolus", _flows(Activity.PATIENT)),
    "periodic bolus": Work("periodic_bolus", _flows(Activity.PERIODIC)),
    "prime": Work("short_prime", _flows(Activity.PRIME)),
    "bridge": Work("bridge_under_way", _flows(Activity.BRIDGE)),
    "stop": Work("stop_for_an_hour", _state(State.STOP)),
    "critical alarm": Work("run_empty", _alarm),
    "refill": Work(then="refill_well", logs=LogType.REFILL),
    "program commit": Work(then="slow_program", logs=LogType.PROGRAM_COMMIT),
    "log read": Work(then="read_log"),
}
_STROKES: Final = (
    "motor-stall",
    "mri",
    "rotor-backward",
    "edge-lost",
    "edge-false",
    "wear",
    "accuracy",
    "accuracy-drift",
    "propellant-loss",
    "occlusion",
    "catheter-leak",
    "fever",
    "clock-rate",
    "power-cut-at-stroke",
)
_FILLS: Final = ("pocket-fill", "partial-fill", "overfill")
_DELIVERIES: Final = ("bolus", "patient bolus", "periodic bolus", "prime", "bridge")

LEFT_OUT: Final[dict[tuple[str, str], str]] = {
    **{(fault, "stop"): "it acts on strokes, and none is turned" for fault in _STROKES},
    **{
        (fault, work): "the pump hears nobody meanwhile"
        for fault in ("clock-stop", "hung-task")
        for work in ("refill", "program commit", "log read")
    },
    **{
        (fault, "critical alarm"): "the alarm is that of an empty reservoir: nothing is left that could flow"
        for fault in ("siphon", "catheter-leak")
    },
    **{
        (fault, work): "it touches no fluid, and nothing of the fault can be seen"
        for fault in (*_FILLS, "side-port-aspiration", "siphon", "catheter-leak", "occlusion")
        for work in ("program commit", "log read")
    },
    **{
        ("tube-set", work): "it takes 48 h of standing, longer than this lasts"
        for work in WORKS
        if work != "stop"
    },
}
"""Pairs that make no sense, each with why."""

MUST_BE_REACHED: Final = tuple(
    (fault, work) for fault in FAULTS for work in WORKS if (fault, work) not in LEFT_OUT
)
