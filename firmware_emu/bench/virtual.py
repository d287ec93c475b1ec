"""A pump on the bench in virtual time: no port, no loop, no waiting. Bytes go in and out at the caller's pace.

The same pump, actions and time runs as of an emulator under manual time, and so the same bytes. It is a value:
copy it, and both go on from here, each with a future of its own.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from firmware_emu.bench.pump_host import PumpHost
from firmware_emu.bench.snapshot_shelf import SnapshotShelf
from firmware_emu.bench.time_run import TimeRun
from firmware_emu.now import Now
from firmware_emu.pump import MEMORY_ID_BYTES
from firmware_emu.state_copy import copy_state

if TYPE_CHECKING:
    from firmware_emu.awaited import Awaited
    from firmware_emu.pump import Pump


class VirtualBench:
    """One pump whose time the caller holds; `rig.actions` act on it. What the pump says waits until it is taken."""

    __slots__ = ("_restored", "_sent", "host", "now_ms", "received_bytes", "snapshots")

    def __init__(self, pump: Pump, *, hashing: bool = True) -> None:
        """`hashing`: whether `trace_hash` will be asked for, and frames are traced."""
        self.host = PumpHost(pump, hashing=hashing)
        self.now_ms = pump.now_ms
        """Pump time, which is the line's time too."""
        self.received_bytes = 0
        """Bytes fed so far."""
        self._sent = b""
        self._restored = 0
        self.snapshots = SnapshotShelf()
        self.settle()

    @property
    def trace_hash(self) -> str:
        """Hash of all that happened so far."""
        assert self.host.trace_hash is not None, "made without hashing"  # noqa: S101 - a mistake of its owner
        return self.host.trace_hash.hexdigest()

    def feed(self, data: bytes) -> bytes:
        """Bytes from the line, now; returns all that the pump has sent and nobody took."""
        self.received_bytes += len(data)
        self._sent += self.host.step(Now.both(self.now_ms), data)
        return self.take_sent()

    def take_sent(self) -> bytes:
        """What the pump has sent since this was last asked."""
        sent, self._sent = self._sent, b""
        return sent

    def advance(self, ms: int) -> bytes:
        """Let time pass; returns what the pump sent."""
        if ms < 0:
            raise ValueError(f"time goes forward only, not by {ms} ms")
        self.now_ms += ms
        self.settle()
        return self.take_sent()

    def run_until(self, until: Awaited, limit_ms: int) -> TimeRun:
        """Let time pass until that has happened, at most `limit_ms`; what the pump sends waits to be taken."""
        time_run = TimeRun(self.host, Now.both(self.now_ms), limit_ms, until)
        while not time_run.over:
            self._sent += time_run.step(self.host)
        self.now_ms = self.host.pump.now_ms
        return time_run

    def settle(self) -> None:
        """Bring the pump to this instant."""
        self._sent += self.host.step(Now.both(self.now_ms))

    def skip(self, ms: int) -> None:
        """Let time pass of which the pump knows nothing: it has no power."""
        self.now_ms += ms

    def check_time_stands(self) -> None:
        """It does: nothing here turns time beside its caller."""

    def resume(self) -> None:
        """Go on at the time of the pump, which has been put in another's place; what was sent before is gone."""
        self._sent = b""
        self.now_ms = self.host.pump.now_ms
        self.settle()

    def new_memory_id(self) -> int:
        """A name that no memory of this bench had; the same in every run, as all of virtual time is."""
        self._restored += 1
        seed = self.host.pump.plant.entropy.seed
        named = hashlib.sha256(b"restored %d: %s" % (self._restored, seed)).digest()
        return int.from_bytes(named[:MEMORY_ID_BYTES], "big")

    def fork(self) -> VirtualBench:
        """Another bench in the same state, with its session: whoever forks the client too goes on with it."""
        return copy_state(self)
