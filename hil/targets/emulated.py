"""The target `emulator`: our pump in this process, in virtual time. The only place of `hil` that imports it.

Waiting for an answer is what lets time pass, so a run is the same every time and takes no longer than its work.
What the emulator has and a tap in a line needs too comes through here: a port for programmers, and an end by signals.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from firmware_emu.awaited import AwaitedCondition, AwaitedError, awaited
from firmware_emu.bench.errors import OUT_OF_RESOURCES, BadConfigurationError, BenchError
from firmware_emu.bench.event_words import shown
from firmware_emu.bench.link_lock import LinkLock
from firmware_emu.bench.ports.schemes import port_named
from firmware_emu.bench.profile_file import load_profile, profile_names
from firmware_emu.bench.pump_host import new_pump
from firmware_emu.bench.ready_line import write_line
from firmware_emu.bench.rig import actions
from firmware_emu.bench.signals import EndingSignals, ending_signals
from firmware_emu.bench.snapshot import Snapshot, read_snapshot
from firmware_emu.bench.snapshot_shelf import KeptSnapshot
from firmware_emu.bench.virtual import VirtualBench
from firmware_emu.faults.orders import NOW, At, Start
from hil.capabilities import TargetCapability
from hil.channel import Channel
from hil.errors import BadConfiguration, BenchLost, UsageError, error_of_emulator
from hil.rig import (
    FaultOrder,
    FaultParameter,
    FaultStart,
    LostEvents,
    Rig,
    RigClock,
    RigEvent,
    RigFault,
    RigProfile,
    RigState,
    RigTone,
    RigTrace,
    RunResult,
    Weighing,
    check_said,
    waited_s,
    weighed,
    whole,
)
from hil.rig_snapshots import RigRestored, RigSnapshot, document_of_snapshot, name_of_snapshot
from hil.targets.choices import check_seed, profile_argument

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import ExitStack
    from pathlib import Path
    from typing import Any, TypeVar, Unpack

    from firmware_emu.bench.ports.port import Port, Say
    from firmware_emu.faults.orders import Order
    from firmware_emu.profile import Profile
    from hil.rig import Awaited
    from hil.targets.choices import PumpChoice

    Result = TypeVar("Result")

__all__ = [
    "EmulatedTarget",
    "EndingSignals",
    "check_choice",
    "ending_signals",
    "errors_as_ours",
    "open_programmers_port",
    "profile_names",
    "write_line",
]

DEFAULT_SEED = 1


class EmulatedTarget:
    """One virtual pump on a virtual bench."""

    address = "emulator"
    has_virtual_time = True
    capabilities = frozenset(TargetCapability)

    def __init__(self, choice: PumpChoice) -> None:
        self._choice = choice
        self._bench: VirtualBench | None = None
        self._arrived = b""
        self._held: Snapshot | None = None
        self.sent_bytes = 0
        """Bytes put on the line so far."""
        self.rig = EmulatedRig(self)

    @property
    def bench(self) -> VirtualBench:
        """The bench; UsageError before `start` and after `close`."""
        if self._bench is None:
            raise UsageError(
                "the emulator target is not started", advice="call start() first, or use it in `with`"
            )
        return self._bench

    def launch(self) -> None:
        """Nothing to launch."""

    def dismiss(self) -> None:
        """Nothing to dismiss."""

    def start(self) -> None:
        """Make a new pump at time 0."""
        check_seed(self._choice)
        seed = DEFAULT_SEED if self._choice.seed is None else self._choice.seed
        self._bench = VirtualBench(new_pump(_profile_of(self._choice), seed, self._choice.memory_id))
        self._arrived = b""
        self._held = None

    def open_channel(self) -> EmulatedChannel:
        """The line to the pump."""
        return EmulatedChannel(self)

    def close(self) -> None:
        """Throw the pump away."""
        self._bench = None

    def snapshot(self) -> VirtualBench:
        """The whole bench as it is now. Programmers are no part of it: open another after a restore."""
        return self.bench.fork()

    def restore(self, snapshot: VirtualBench) -> None:
        """Go on from a snapshot, any number of times."""
        self._bench = snapshot.fork()
        self._arrived = b""

    def hold(self) -> None:
        """Keep the pump as it is before something is done to it; the one that was held before is gone."""
        if self._bench is not None:
            self._held = Snapshot.of(self._bench.host)

    def before_last_action(self, name: str) -> dict[str, Any] | None:
        """The pump as it was when it was last held, as a document; None where it never was."""
        return None if self._held is None else self._held.document(name)

    def put(self, data: bytes) -> None:
        """Bytes to the pump, now."""
        self.sent_bytes += len(data)
        self._arrived += self.bench.feed(data)

    def take(self, deadline_ms: int) -> bytes:
        """What the pump has sent; lets time pass to its next event, or the deadline, until there is something."""
        bench = self.bench
        self._arrived += bench.take_sent()
        while not self._arrived and bench.now_ms < deadline_ms:
            wake_ms = bench.host.wake_at_ms
            next_ms = deadline_ms if wake_ms is None else min(deadline_ms, max(wake_ms, bench.now_ms + 1))
            self._arrived += bench.advance(next_ms - bench.now_ms)
        arrived, self._arrived = self._arrived, b""
        return arrived

    def drop_arrived(self) -> None:
        """Drop what a pump has said that is not there any more."""
        self._arrived = b""

    def keep(self, data: bytes) -> None:
        """Keep what the pump said while the rig was busy, for the next reader."""
        self._arrived += data


class EmulatedChannel(Channel):
    """The line to a virtual pump. It stays usable through power cuts: then nobody answers."""

    def __init__(self, target: EmulatedTarget) -> None:
        self._target = target
        self._closed = False

    @property
    def sent_bytes(self) -> int:
        return self._target.sent_bytes

    def send(self, data: bytes) -> None:
        self._check_open()
        self._target.put(data)

    def receive(self, deadline_ms: int) -> bytes:
        self._check_open()
        return self._target.take(deadline_ms)

    def now_ms(self) -> int:
        """The pump's time, which is the line's here."""
        return self._target.bench.now_ms

    device_ms = now_ms

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise BenchLost("this channel to the emulator was closed", advice="open another")


class EmulatedRig(Rig):
    """What a rig can do, by direct calls of the virtual bench."""

    def __init__(self, target: EmulatedTarget) -> None:
        self._target = target

    def state(self) -> RigState:
        return RigState(*actions.state(self._target.bench))

    def weigh(self) -> Weighing:
        return weighed(self.state())

    def clock(self) -> RigClock:
        return RigClock("manual", 0, self._target.bench.now_ms)

    def set_speed(self, speed: int) -> RigClock:
        raise UsageError(f"virtual time has no speed ({speed} was asked for)", advice="advance it instead")

    def advance(self, duration_ms: int, after_received: int | None = None) -> int:
        bench = self._target.bench  # all bytes have arrived already
        if after_received is not None and bench.received_bytes < after_received:
            raise UsageError(
                f"the pump has {bench.received_bytes} bytes and never will have {after_received}"
            )
        self._target.keep(bench.advance(whole("duration_ms", duration_ms)))
        return bench.now_ms

    def run_until(self, what: str, limit_ms: int, **said: Unpack[Awaited]) -> RunResult:
        bench = self._target.bench
        check_said(said)
        until = _do(lambda: awaited(what, **said))
        time_run = bench.run_until(until, whole("limit_ms", limit_ms))
        events = tuple(RigEvent(*shown(entry)) for entry in time_run.events)
        value = until.seen(bench.host.pump) if isinstance(until, AwaitedCondition) else None
        return RunResult(bench.now_ms, time_run.reached, events, value)

    def mark(self) -> int:
        return actions.trace_mark(self._target.bench)

    def trace(self, since: int = 0) -> RigTrace:
        page = _do(lambda: actions.trace(self._target.bench, whole("since", since)))
        return RigTrace(tuple(RigEvent(*shown(entry)) for entry in page.entries), page.lost, page.next)

    def events(
        self, since: int | None = None, wait_s: float | None = None
    ) -> Iterator[RigEvent | LostEvents]:
        waited_s(wait_s)
        if since is None:
            since = self.mark()
        _do(lambda: actions.trace(self._target.bench, whole("since", since), 0))  # that it is a mark
        return self._told(since)

    def _told(self, since: int) -> Iterator[RigEvent | LostEvents]:
        seen = self.trace(since)
        if seen.lost:
            yield LostEvents(seen.lost)
        yield from seen.events

    def profile(self) -> RigProfile:
        return RigProfile(*actions.profile(self._target.bench))

    def power_cut(self, after_writes: int | None = None, torn_after_bytes: int | None = None) -> None:
        bench = self._target.bench
        if after_writes is None:
            if torn_after_bytes is not None:
                raise UsageError(
                    "torn_after_bytes says how a write is torn", advice="say which one with after_writes"
                )
            _do(lambda: actions.cut_power(bench))
        else:
            _do(lambda: actions.arm_power_cut(bench, after_writes, torn_after_bytes))

    def power_restore(self, off_ms: int = 0) -> bool:
        return _do(lambda: actions.restore_power(self._target.bench, whole("off_ms", off_ms)))

    def aspirate(self, volume_nl: int | None = None) -> int:
        wanted_nl = None if volume_nl is None else whole("volume_nl", volume_nl)
        return _do(lambda: actions.aspirate(self._target.bench, wanted_nl))

    def fill(self, volume_nl: int, concentration_ng_per_ml: int | None = None) -> int:
        wanted_nl, concentration = whole("volume_nl", volume_nl), concentration_ng_per_ml
        if concentration is not None:
            concentration = whole("concentration_ng_per_ml", concentration)
        return _do(lambda: actions.fill(self._target.bench, wanted_nl, concentration))

    def faults(self) -> tuple[RigFault, ...]:
        return tuple(
            RigFault(
                each.fault.name,
                each.fault.where.value,
                each.fault.summary,
                each.fault.seen_as,
                tuple(FaultParameter(*parameter) for parameter in each.fault.parameters),
                each.on,
                each.effects,
                None if each.order is None else _order_of(each.order),
            )
            for each in _do(lambda: actions.faults(self._target.bench))
        )

    def inject(
        self,
        fault: str,
        start: FaultStart | None = None,
        *,
        for_ms: int | None = None,
        every_ms: int | None = None,
        times: int = 1,
        **parameters: int,
    ) -> None:
        starts = NOW if start is None else _start_of(start)
        lasting = {"for_ms": for_ms, "every_ms": every_ms}
        _do(lambda: actions.inject(self._target.bench, fault, parameters, starts, **lasting, times=times))

    def clear(self, fault: str) -> None:
        _do(lambda: actions.clear(self._target.bench, fault))

    def tones(self) -> tuple[RigTone, ...]:
        return tuple(RigTone(*tone) for tone in _do(lambda: actions.tones(self._target.bench)))

    def snapshot(self, name: str) -> RigSnapshot:
        return _kept(_do(lambda: actions.keep_snapshot(self._target.bench, name_of_snapshot(name))))

    def snapshots(self) -> tuple[RigSnapshot, ...]:
        return tuple(map(_kept, self._target.bench.snapshots.every))

    def restore(self, name: str, memory_id: int | None = None) -> RigRestored:
        wanted = None if memory_id is None else whole("memory_id", memory_id)
        restored = _do(lambda: actions.restore_snapshot(self._target.bench, name, wanted))
        self._target.drop_arrived()
        return RigRestored(*restored)

    def forget(self, name: str) -> None:
        _do(lambda: self._target.bench.snapshots.forget(name))

    def read_snapshot(self, name: str) -> dict[str, Any]:
        return _do(lambda: self._target.bench.snapshots.named(name)).snapshot.document(name)

    def put_snapshot(self, name: str, document: Mapping[str, Any]) -> RigSnapshot:
        kept = _do(
            lambda: KeptSnapshot(name_of_snapshot(name), read_snapshot(document_of_snapshot(document)))
        )
        _do(lambda: self._target.bench.snapshots.put(kept))
        return _kept(kept)

    def shutdown(self) -> None:
        self._target.close()


def _start_of(start: FaultStart) -> Start:
    at = getattr(start, "at", start)
    if not isinstance(start, FaultStart) or at not in set(At):
        raise UsageError(f"a fault starts at a FaultStart of one of {', '.join(At)}, not at {at!r}")
    return Start(At(start.at), *start[1:])


def _order_of(order: Order) -> FaultOrder:
    said = order._asdict()
    start = FaultStart(order.start.at.value, *order.start[1:])
    return FaultOrder(**{name: said[name] for name in FaultOrder._fields} | {"start": start})


def _kept(kept: KeptSnapshot) -> RigSnapshot:
    return RigSnapshot(kept.name, **kept.snapshot.told())


def _do(action: Callable[[], Result]) -> Result:
    try:
        return action()
    except (BenchError, AwaitedError) as error:
        raise UsageError(str(error)) from error


def open_programmers_port(place: str, link: Path | None, say: Say, closing: ExitStack) -> tuple[Port, str]:
    """Open a port that programmers can open, `pty` or `tcp:HOST:PORT`, and make its link, until `closing` ends.

    Returns it with its address for `--target`. Raises errors of the emulator, as working it does: see `errors_as_ours`.
    """
    lock = None if link is None else LinkLock(link)
    scheme, where = port_named(place)
    port = scheme.open(where, say)
    closing.callback(port.close)
    if lock is not None:
        lock.acquire(port.address)
        closing.callback(lock.release)
    return port, scheme.target.format(port.address)


@contextmanager
def errors_as_ours() -> Iterator[None]:
    """Let errors of the emulator out of the block as those of this side: BadConfiguration, InUse or BenchLost."""
    try:
        yield
    except BenchError as error:
        raise error_of_emulator(error.exit_code)(str(error)) from error
    except OSError as error:
        if error.errno not in OUT_OF_RESOURCES:
            raise
        raise BenchLost(
            f"the system gives this process too little: {error.strerror}",
            advice="raise its limits (ulimit -n, -v)",
        ) from error


def check_choice(choice: PumpChoice) -> None:
    """BadConfiguration where no pump can be made of this choice."""
    check_seed(choice)
    _profile_of(choice)


def _profile_of(choice: PumpChoice) -> Profile:
    try:
        with profile_argument(choice) as profile:
            return load_profile(profile)
    except BadConfigurationError as error:
        raise BadConfiguration(str(error)) from error
