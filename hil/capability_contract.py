"""The contract of capabilities: who gives each, and whether what a target promises can be true of who answers there.

What a bench file claims and no instrument gives is refused where the file is read; what the handshake contradicts is
found by the preflight, before the first test. Knows no port and no pump.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from hil.capabilities import TargetCapability
from hil.errors import BadConfiguration
from hil.instruments.composed_rig import FAULTS
from hil.instruments.declaration import KINDS
from protocol.identifiers import DeviceKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hil.instruments.declaration import DeclaredInstrument
    from protocol.messages.reading import GetInfoReply


class Promise(NamedTuple):
    """What a target says of itself before anybody has answered there."""

    address: str
    capabilities: frozenset[TargetCapability] = frozenset()
    kind: str = ""
    """What has to answer, as the bench file says: `hardware` or `emulator`; "" where it says nothing."""


class _Impossible(NamedTuple):
    """Capabilities that nobody can have around a device of one kind, and why."""

    capabilities: frozenset[TargetCapability]
    why: str


IMPOSSIBLE: Final = {
    DeviceKind.REPLAY: _Impossible(
        frozenset(TargetCapability), "a replay says what was recorded, whatever is done to its bench"
    ),
    DeviceKind.HARDWARE: _Impossible(
        frozenset({TargetCapability.TRUTH, TargetCapability.SNAPSHOT}),
        "of a real pump nobody can read what is physically so, or go back to an earlier state",
    ),
}
"""By what GET_INFO says of itself [SPEC 6]; around an emulator all is possible."""


def given_by(instrument: DeclaredInstrument) -> frozenset[TargetCapability]:
    """What an instrument makes true where the bench file claims it: what its kind brings, and for some one fault."""
    causes = any(fault.instrument == instrument.kind.name for fault in FAULTS)
    return instrument.kind.brings | (frozenset({TargetCapability.FAULTS}) if causes else frozenset())


def givers_of(capability: TargetCapability) -> tuple[str, ...]:
    """The kinds of instrument that give a capability, by name; none where only an emulator has it."""
    names = {kind.name for kind in KINDS.values() if capability in kind.brings}
    if capability is TargetCapability.FAULTS:
        names |= {fault.instrument for fault in FAULTS}
    return tuple(sorted(names))


def check_claimed(
    path: Path,
    name: str,
    claimed: frozenset[TargetCapability],
    instruments: Iterable[DeclaredInstrument],
) -> None:
    """BadConfiguration where the bench file claims of its target `name` what none of its instruments gives.

    Tests would run that need it: on a pump that nobody made new, for `reset`.
    """
    given = frozenset().union(*map(given_by, instruments))
    missing = sorted(claimed - given)
    if not missing:
        return
    raise BadConfiguration(
        f"{path}: targets.{name}.capabilities says {', '.join(missing)}, and no instrument of {name} gives that",
        advice="; ".join(_who_gives(name, each) for each in missing),
    )


def check_identity(
    path: Path, name: str, memory_id: int | None, capabilities: frozenset[TargetCapability]
) -> None:
    """BadConfiguration where the bench file names the memory of a board that is given another one for each test."""
    if memory_id is not None and TargetCapability.RESET in capabilities:
        raise BadConfiguration(
            f"{path}: targets.{name}.identity names a memory_id, and an instrument of {name} gives the pump another "
            "one for each test",
            advice="leave memory_id out: the serial number says which board it is",
        )


def _who_gives(name: str, capability: TargetCapability) -> str:
    givers = givers_of(capability)
    if not givers:
        return f"{capability} is of emulators alone: leave it out"
    return (
        f"{capability} is given by an instrument of kind {' or '.join(givers)}: write "
        f"[targets.{name}.instruments.{givers[0]}], or leave {capability} out"
    )


def contradiction(promise: Promise, info: GetInfoReply) -> str:
    """What the handshake says against the promise of a target, in one sentence; "" where it says nothing against it."""
    answers = info.kind.name.lower()
    if promise.kind and promise.kind != answers:
        return (
            f"the bench file says that kind {promise.kind} answers at {promise.address}, and it is {answers}"
        )
    impossible = IMPOSSIBLE.get(info.kind)
    both = [] if impossible is None else sorted(promise.capabilities & impossible.capabilities)
    if impossible is None or not both:
        return ""
    return (
        f"{promise.address} promises {', '.join(both)}, and what answers there is {answers}: {impossible.why}"
    )


def same_memory(promise: Promise, before: GetInfoReply, after: GetInfoReply) -> str:
    """What is wrong with a reset after which the pump has the memory that it had before; "" where it has another.

    A `memory_id` is drawn when a memory is created [SPEC 6, GET_INFO].
    """
    if before.memory_id != after.memory_id:
        return ""
    return (
        f"{promise.address} promises reset, and after it the pump has the memory that it had before "
        f"({after.memory_id:016x}): each test would begin with what the one before it has left"
    )
