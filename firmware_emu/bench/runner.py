"""The only loop of an emulator: one thread that waits for bytes, for time and for jobs, and steps the pump.

It stands on `selectors` and raw descriptors; `rack` has the loop of several. Each turn takes the bytes that came,
then the jobs of rig control, then goes on with a time run under manual time if one is under way; each of these steps
the pump at the time that the clock says. Nothing here waits but the selector.
"""

from __future__ import annotations

import os
import selectors
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from firmware_emu.bench.clock import is_due
from firmware_emu.bench.errors import NotNowError
from firmware_emu.bench.lease import Lease
from firmware_emu.bench.rig import actions
from firmware_emu.bench.snapshot_shelf import SnapshotShelf
from firmware_emu.bench.time_run import TimeRun
from firmware_emu.pump import MEMORY_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from firmware_emu.awaited import Awaited
    from firmware_emu.bench.clock import Clock, Pace
    from firmware_emu.bench.command_queue import CommandQueue
    from firmware_emu.bench.line_recording import LineRecording
    from firmware_emu.bench.ports.port import Port
    from firmware_emu.bench.pump_host import PumpHost

IMAGE_LOOK_S = 0.5  # how often an emulator sees that its image is still there
IDLE_MAX_S = 3_600.0  # the system's timer overflows after 24 days; an early wake-up does no harm
RUN_SLICE_S = 0.05  # how long a time run may keep the port and the signals waiting
BARRIER_S = 10.0  # how long a time run waits for bytes that its asker says are on their way


class Under(NamedTuple):
    """A time run under way, with the bytes that it waits for and for how long, and who asked."""

    time_run: TimeRun
    after_received: int
    give_up_at_s: float
    future: Future[TimeRun]


class Runner:
    """Runs a host with its pump, a clock and a port, until somebody says stop."""

    def __init__(
        self,
        host: PumpHost,
        clock: Clock,
        port: Port,
        command_queue: CommandQueue[Runner],
        recording: LineRecording | None = None,
    ) -> None:
        self.host = host
        self._recording = recording
        self.clock = clock
        self.port = port
        self.lease = Lease(clock.host_s)
        self.snapshots = SnapshotShelf()
        self._command_queue = command_queue
        self.trace_readers: dict[object, Callable[[], None]] = {}
        """What to call, once, when there is more of the trace; called in this thread, by whatever reader it is of."""
        self._told_mark = 0
        self._under: Under | None = None
        self._look_at_s = 0.0
        self._stopping = False
        self.selector = selectors.DefaultSelector()
        """To be closed when `run` has returned."""
        port.attach(self.selector)
        command_queue.attach(self.selector)

    @property
    def is_stopping(self) -> bool:
        """Whether somebody has said stop."""
        return self._stopping

    def run(self) -> None:
        """Serve until `stop`."""
        with self.serving():
            while not self._stopping:
                self.turn(self.wait_s())

    @contextmanager
    def serving(self) -> Iterator[None]:
        """A step before and after the turns in the block; however it ends, nobody is left waiting for a reply."""
        try:
            self.settle()
            yield
            self.settle()
        finally:
            self._break_off("the bench is closing")
            self._command_queue.close()
            self._wake_trace_readers()

    def turn(self, wait_s: float) -> None:
        """Do all that is there to be done, or what comes within this time."""
        self._look_at_image()
        for key, events in self.selector.select(wait_s):
            key.data(events)
        if self.port.take_reset():
            actions.reset(self)
        received = self.port.take_received()
        host, now = self.host, self.clock.read()
        if self._recording is not None:
            self._recording.received(received, now.pump_ms)
        if received or is_due(now, host.wake_at_ms, host.wake_line_ms):
            self._send(host.step(now, received))
        self._end_lease()
        self._command_queue.run(self)
        if self._under is not None:
            self._go_on(self._under)
        ring = self.host.ring
        if self.trace_readers and ring is not None and ring.mark != self._told_mark:
            self._told_mark = ring.mark
            self._wake_trace_readers()

    def _wake_trace_readers(self) -> None:
        readers, self.trace_readers = self.trace_readers, {}
        for wake in readers.values():
            wake()

    def _send(self, sent: bytes) -> None:
        """Let out what a step gave."""
        if self._recording is not None:
            self._recording.stepped(self.host.last)
            self._recording.sent(sent)
        if sent:
            self.port.send(sent)

    def stop(self) -> None:
        """End the loop after this turn. May be called from a signal handler."""
        self._stopping = True
        self._command_queue.wake()

    # what rig control may do

    def settle(self) -> None:
        """Bring the pump to this instant, and let out what it says."""
        self._send(self.host.step(self.clock.read()))

    def skip(self, ms: int) -> None:
        """Let pump time jump without the client's."""
        self.clock.skip(ms)

    def set_pace(self, pace: Pace) -> None:
        """Let time run at another pace from here on."""
        self.check_time_stands()
        self.clock.set_pace(pace)
        self.settle()

    def check_time_stands(self) -> None:
        """NotNowError while a time run is under way."""
        if self._under is not None:
            raise NotNowError("time is being turned; wait for that answer")

    def resume(self) -> None:
        """Go on from the pump's own time, at the same pace: it has been put in another's place."""
        self.clock.resume(self.host.pump.now)
        self._send(b"")  # what the restoring of it tells, for the recording
        self.settle()

    def new_memory_id(self) -> int:
        """A name from the system's chance, never from a seed: nothing that is said under it was ever said before."""
        return int.from_bytes(os.urandom(MEMORY_ID_BYTES), "big")

    def start_run(self, ms: int, until: Awaited | None, after_received: int, future: Future[TimeRun]) -> None:
        """Begin a time run once the port has received so many bytes; the future gets it when it is over."""
        if self.clock.pace.speed:
            raise NotNowError(
                f"time runs {self.clock.pace}; set the clock to manual before you turn it by hand"
            )
        if self._under is not None:
            raise NotNowError("time is being turned already; wait for that answer")
        time_run = TimeRun(self.host, self.clock.read(), ms, until)
        self._under = Under(time_run, after_received, time.monotonic() + BARRIER_S, future)

    def take_lease(self, who: str, seconds: int, lease_id: str | None) -> str:
        """Begin a lease, or renew the one of this id; returns its id. No time run of somebody else goes on under it."""
        self.lease.check(lease_id)
        if self.lease.who is None:
            self.check_time_stands()
        return self.lease.take(who, seconds, lease_id)

    def release_lease(self, lease_id: str | None) -> None:
        """Let go of the lease, with the time run that was asked under it."""
        held = self.lease.who is not None
        self.lease.release(lease_id)
        if held:
            now_ms = self.clock.read().pump_ms
            self._break_off(f"the lease was released while time was being turned; it stands at {now_ms} ms")

    # the loop's parts

    def _break_off(self, why: str) -> None:
        """End the time run that is under way, if any, and tell who asked."""
        if self._under is not None:
            self._under.time_run.close(self.host)
            self._under.future.set_exception(NotNowError(why))
            self._under = None

    def wait_s(self) -> float:
        """How long there is nothing to do but what comes from outside."""
        under = self._under
        if under is None:
            wait_s = self.clock.wait_s(self.host.wake_at_ms, self.host.wake_line_ms)
        elif self.port.received_bytes >= under.after_received:
            return 0.0
        else:
            wait_s = max(0.0, under.give_up_at_s - time.monotonic())
        longest_s = IDLE_MAX_S if self.host.image is None else IMAGE_LOOK_S
        if under is None and self.lease.left_s is not None:
            longest_s = min(longest_s, self.lease.left_s)
        return longest_s if wait_s is None else min(wait_s, longest_s)

    def _look_at_image(self) -> None:
        """See that the image is there, now and then; BenchLostError ends a pump that nobody would remember."""
        image = self.host.image
        if image is not None and time.monotonic() >= self._look_at_s:
            image.check()
            self._look_at_s = time.monotonic() + IMAGE_LOOK_S

    def _end_lease(self) -> None:
        """End a lease whose time is over, unless its holder waits for time to be turned."""
        who = self.lease.who
        if who is not None and self._under is None and not self.lease.left_s:
            actions.end_lease(self, who, self.lease.end())

    def _go_on(self, under: Under) -> None:
        """Make some steps of the time run, unless the bytes that it waits for are not here yet."""
        missing = under.after_received - self.port.received_bytes
        if missing > 0:
            if time.monotonic() >= under.give_up_at_s:
                self._break_off(
                    f"{missing} of {under.after_received} bytes have not arrived in {BARRIER_S:.0f} s; "
                    f"time stands still"
                )
            return
        time_run = under.time_run
        until_s = time.monotonic() + RUN_SLICE_S
        while not time_run.over and time.monotonic() < until_s:
            before_ms = self.host.pump.now_ms
            sent = time_run.step(self.host)
            self.clock.advance(self.host.pump.now_ms - before_ms)
            self._send(sent)
        if time_run.over:
            self._under = None
            under.future.set_result(time_run)
