"""What a target can do, by name: tests say what they need, and are skipped with that reason where it is absent."""

from __future__ import annotations

from enum import StrEnum

from hil.errors import UsageError


class TargetCapability(StrEnum):
    """One thing that a bench around a device can do."""

    TIME = "time"  # advance the patient's time at will
    FAULTS = "faults"  # stall the motor, draw fluid from the reservoir
    TRUTH = "truth"  # read what is physically so, beside what the pump believes
    TONES = "tones"  # hear the tones that the pump plays
    TRACE = "trace"  # record what happens to the pump, since a mark and as it happens
    PROFILE = "profile"  # know the values that the pump was made with
    POWER = "power"  # cut and restore the pump's power
    RESET = "reset"  # a pump in its known first state for each test
    BALANCE = "balance"  # weigh what the pump has delivered
    MAGNET = "magnet"  # bring a magnet near the pump, and take it away
    STALL = "stall"  # hold the rotor, and let it go
    SNAPSHOT = "snapshot"  # go back to an earlier state


ALL_NAMES = tuple(capability.value for capability in TargetCapability)


def parse_needs(names: tuple[str, ...]) -> frozenset[TargetCapability]:
    """Capabilities by their names; a name that does not exist is a ValueError that lists those that do."""
    unknown = [str(name) for name in names if name not in ALL_NAMES]
    if unknown:
        raise ValueError(f"no such capability: {', '.join(unknown)} (there are: {', '.join(ALL_NAMES)})")
    return frozenset(TargetCapability(name) for name in names)


def lacks(capability: TargetCapability) -> UsageError:
    """The error of a rig that cannot do something, which its target does not say that it can."""
    return UsageError(
        f"this rig has no {capability.value}",
        advice=f'mark the test @needs("{capability.value}"), or give its target that capability',
    )
