"""What a rig can do to a pump on the bench, as plain functions: rig control calls them, and so does a test in process.

Each acts at one instant: after the events that are due, before any byte. Knows nothing of HTTP; what cannot
be done is a `BenchError` with its sentence.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from firmware_emu.bench.errors import BenchError, NotNowError
from firmware_emu.bench.snapshot import Snapshot
from firmware_emu.bench.snapshot_shelf import KeptSnapshot
from firmware_emu.faults.orders import NOW
from firmware_emu.units import S_PER_DAY
from protocol.identifiers import ConfigId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from firmware_emu.bench.pump_host import PumpHost
    from firmware_emu.bench.snapshot_shelf import SnapshotShelf
    from firmware_emu.bench.trace_ring import TracePage
    from firmware_emu.faults.fault import FaultState
    from firmware_emu.faults.orders import Start
    from firmware_emu.pins import Tone
    from firmware_emu.profile import Profile
    from firmware_emu.pump import Pump

Result = TypeVar("Result")
CUT_AT_WRITE = "power-cut-at-write"


class RefusedError(BenchError):
    """The plant cannot take that: a fuller reservoir than it is large, a cut before the first write."""


class Bench(Protocol):
    """What an action needs of the bench around the pump."""

    @property
    def host(self) -> PumpHost: ...

    @property
    def snapshots(self) -> SnapshotShelf: ...

    def check_time_stands(self) -> None:
        """NotNowError while time is being turned."""
        ...

    def resume(self) -> None:
        """Let time go on from where the pump is, which has been put in another's place; let out what it says."""
        ...

    def new_memory_id(self) -> int:
        """A name for a memory that no other has."""
        ...

    def settle(self) -> None:
        """Bring the pump to this instant, and let out what it says."""
        ...

    def skip(self, ms: int) -> None:
        """Let pump time jump without the client's."""
        ...


class State(NamedTuple):
    """Truth and belief side by side; no belief where there is no power, no hash where none was kept."""

    now_ms: int
    powered: bool
    truth: dict[str, Any]
    belief: dict[str, Any] | None
    trace_hash: str | None
    seed: int
    """Of the pump's chance: with the profile, and what the trace has of bytes and faults at their times, its life."""


def state(bench: Bench) -> State:
    """What is so and what the pump believes, now."""
    pump = _settled(bench)
    truth = pump.truth()._asdict()
    belief = pump.belief()
    bench.settle()
    trace_hash = bench.host.trace_hash
    return State(
        pump.now_ms,
        pump.powered,
        truth,
        None if belief is None else _named(belief._asdict()),
        None if trace_hash is None else trace_hash.hexdigest(),
        int.from_bytes(pump.plant.entropy.seed, "big"),
    )


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with each enum by its name, for rigs in any language."""
    return {key: value.name if isinstance(value, Enum) else value for key, value in fields.items()}


def cut_power(bench: Bench) -> None:
    """Pull the plug; it stays out."""
    _do(bench, lambda pump: pump.cut_power())


def arm_power_cut(bench: Bench, after_writes: int, torn_after_bytes: int | None = None) -> None:
    """Pull the plug in the n-th memory write from now, of which so many bytes land (None: none); it stays out."""
    if not _settled(bench).powered:
        raise NotNowError("power is off already; restore it first")
    inject(bench, CUT_AT_WRITE, {"writes": after_writes, "torn_after_bytes": torn_after_bytes})


def restore_power(bench: Bench, off_ms: int = 0) -> bool:
    """Put the plug back after `off_ms` without power; returns whether it was out. Disarms a cut that did not fire."""
    pump = _settled(bench)
    was_off = not pump.powered
    pump.plant.disarm()
    if was_off:
        if off_ms:
            bench.skip(off_ms)
            bench.settle()
        pump.restore_power()
    elif off_ms:
        raise NotNowError("power is on; cut it before you let time pass without it")
    bench.settle()
    return was_off


def reset(bench: Bench) -> None:
    """Pull the reset line of the board: its program starts anew, as after a moment without power."""
    pump = _settled(bench)
    if pump.powered:
        pump.cut_power()
        pump.restore_power()
        bench.settle()


def aspirate(bench: Bench, nl: int | None = None) -> int:
    """Draw fluid from the reservoir, all that comes if None; returns how much came."""
    return _do(bench, lambda pump: pump.aspirate(nl))


def fill(bench: Bench, nl: int, concentration_ng_per_ml: int | None = None) -> int:
    """Inject fluid, of the concentration that is in the reservoir if None; returns how much went in."""
    if concentration_ng_per_ml is None:
        concentration_ng_per_ml = _settled(bench).truth().reservoir_ng_per_ml
    _do(bench, lambda pump: pump.fill(nl, concentration_ng_per_ml))
    return nl


def inject(
    bench: Bench,
    fault: str,
    parameters: Mapping[str, object],
    start: Start = NOW,
    *,
    for_ms: int | None = None,
    every_ms: int | None = None,
    times: int = 1,
) -> None:
    """Cause a fault of the catalogue, now or when `start` comes, for so long and so often."""
    _do(
        bench,
        lambda pump: pump.inject(fault, parameters, start, for_ms=for_ms, every_ms=every_ms, times=times),
    )


def clear(bench: Bench, fault: str) -> None:
    """End a fault of the catalogue."""
    _do(bench, lambda pump: pump.clear(fault))


def keep_snapshot(bench: Bench, name: str) -> KeptSnapshot:
    """Keep the pump under a name as it is now, with its session and whatever is running."""
    _settled(bench)
    kept = KeptSnapshot(name, Snapshot.of(bench.host))
    bench.snapshots.put(kept)
    return kept


class Restored(NamedTuple):
    """A pump that was put in another's place: the time that it goes on from, and what its memory is called now."""

    now_ms: int
    memory_id: int


def restore_snapshot(bench: Bench, name: str, memory_id: int | None = None) -> Restored:
    """Go on from a snapshot that is kept, as often as one likes: without its session, as a memory of another name.

    Without `memory_id` that name is new. To a client the pump is one that has lost what it did since then.
    """
    kept = bench.snapshots.named(name)
    _settled(bench)
    named = bench.new_memory_id() if memory_id is None else memory_id
    bench.check_time_stands()
    bench.host.go_on_from(kept, named)
    bench.resume()
    return Restored(bench.host.pump.now_ms, named)


def end_lease(bench: Bench, who: str, faults: list[str]) -> None:
    """End what a controller has injected that went without a word."""
    _do(bench, lambda pump: pump.end_lease(who, faults))


def faults(bench: Bench) -> tuple[FaultState, ...]:
    """Every fault of the catalogue as it stands."""
    return _do(bench, lambda pump: pump.faults())


def tones(bench: Bench) -> tuple[Tone, ...]:
    """The last tones of the pump's sounder, in pump time, the newest last."""
    return _settled(bench).tones()


class ProfileInForce(NamedTuple):
    """What the pump was made from, without its keys, and what the clinic has changed since; None without power.

    Units are in the names. What was made says `model`, what was done to it at time 0 `implant` (None: nothing).
    """

    name: str
    model: dict[str, Any]
    implant: dict[str, Any] | None
    wall_at_start_s: int | None
    tz_minutes: int
    vendor_messages: tuple[str, ...]
    texts: dict[str, str]
    configured: dict[str, int | str | bool] | None


def profile(bench: Bench) -> ProfileInForce:
    """The profile with which this pump was made, and what CONFIG_WRITE has changed, each item by its name."""
    pump = _settled(bench)
    made = pump.profile
    return ProfileInForce(
        name=made.name,
        model=_plain(asdict(made.model)),
        implant=None if made.implant is None else _plain(asdict(made.implant)),
        wall_at_start_s=made.wall_at_start_s,
        tz_minutes=made.tz_minutes,
        vendor_messages=made.vendor_messages,
        texts=asdict(made.texts),
        configured=None if pump.controller is None else _changed(made, pump.controller.configured()),
    )


def _changed(made: Profile, configured: dict[str, int | str | bool]) -> dict[str, int | str | bool]:
    """What is configured that was not so when the pump was made."""
    implanted_s = 0
    if made.implant is not None and made.wall_at_start_s is not None:
        implanted_s = max(0, made.wall_at_start_s - made.implant.implant_days_ago * S_PER_DAY)
    before: dict[str, int | str | bool] = {
        name.upper(): text for name, text in asdict(made.texts).items()
    } | {
        ConfigId.PATIENT_MAY_READ_THERAPY.name: False,
        ConfigId.IMPLANT_WALL_S.name: implanted_s,
    }
    return {name: value for name, value in configured.items() if name not in before or value != before[name]}


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a profile as JSON has them, each enum as profiles spell it."""
    return {
        name: value.value
        if isinstance(value, Enum)
        else [list(each) for each in value]
        if isinstance(value, tuple)
        else value
        for name, value in fields.items()
    }


def trace(bench: Bench, since: int, at_most: int | None = None) -> TracePage:
    """What has happened to the pump since a mark, that moment included, as far as it is kept."""
    _settled(bench)
    ring = bench.host.ring
    assert ring is not None, "made without hashing"  # noqa: S101 - a mistake of its owner
    if since > ring.mark:
        raise RefusedError(f"the trace has {ring.mark} entries by now, and {since} is no mark of it")
    return ring.since(since, at_most)


def trace_mark(bench: Bench) -> int:
    """How many entries the trace has by now."""
    _settled(bench)
    ring = bench.host.ring
    assert ring is not None, "made without hashing"  # noqa: S101 - a mistake of its owner
    return ring.mark


def _settled(bench: Bench) -> Pump:
    bench.settle()
    return bench.host.pump


def _do(bench: Bench, verb: Callable[[Pump], Result]) -> Result:
    pump = _settled(bench)
    try:
        return verb(pump)
    except ValueError as error:
        raise RefusedError(str(error)) from error
    finally:
        bench.settle()
