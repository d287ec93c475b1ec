"""One pump on the bench with its image and its trace: every step of it goes through here, whoever keeps the time.

What a step changed is on file before its bytes are handed out. Keeps no time and owns no port: `runner` does,
and `virtual` does it without either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.bench.errors import BadConfigurationError, NotNowError
from firmware_emu.bench.snapshot import Snapshot
from firmware_emu.bench.trace_hash import TraceHash, trace_bytes
from firmware_emu.bench.trace_ring import TraceRing
from firmware_emu.controller.memory.event_log import LogSeqs
from firmware_emu.controller.memory.memory_map import memory_size_bytes
from firmware_emu.events import SnapshotRestored, TraceEntry
from firmware_emu.fault_orders import FaultOrders, checked
from firmware_emu.faults.orders import order_from_json, order_to_json
from firmware_emu.now import Now
from firmware_emu.plant.component import boolean, field, integer, section
from firmware_emu.plant.plant import Plant
from firmware_emu.pump import MEMORY_ID_BYTES, Pump
from firmware_emu.state_copy import copy_state
from firmware_emu.trace import Step

if TYPE_CHECKING:
    from typing import Any

    from firmware_emu.bench.image_file import ImageFile, Remembered
    from firmware_emu.bench.snapshot_shelf import KeptSnapshot
    from firmware_emu.profile import Profile

SEED_BYTES = 8


def new_pump(profile: Profile, seed: int, memory_id: int | None = None) -> Pump:
    """A pump as it leaves the factory, at time 0. Without `memory_id` its memory is named by the seed."""
    return Pump.new(profile, seed.to_bytes(SEED_BYTES, "big"), memory_id=memory_id)


def restored_pump(
    profile: Profile, remembered: Remembered, off_ms: int, memory_id: int | None = None
) -> Pump:
    """The pump of an image, after `off_ms` without power; `memory_id` names a memory anew that has lost something."""
    try:
        state = remembered.state
        memory_bytes = memory_size_bytes(profile.model.log_capacity)
        plant = Plant.restored(profile.model, section(state, "plant"), memory_bytes)
        plant.check(remembered.now_ms)
        plant.flash.load(remembered.writes)
        if boolean(state, "powered"):
            plant.power_lost(remembered.now_ms)
        told = LogSeqs(*(integer(section(state, "told"), log) for log in LogSeqs._fields))
        pump = Pump.restore(profile, plant, Now.both(remembered.now_ms + off_ms), memory_id, told)
        pump.hands_off_reservoir = boolean(state, "hands_off_reservoir")
        orders = [order_from_json(order) for order in field(state, "orders")]
        pump.orders = FaultOrders(map(checked, orders), plant.rotor.strokes_driven)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise BadConfigurationError(f"the image holds no pump of this version: {error}") from error
    return pump


class PumpHost:
    """A pump with its image, the trace of its last step, the newest of its whole trace, and the hash of that."""

    __slots__ = ("image", "last", "pump", "ring", "trace_hash")

    def __init__(self, pump: Pump, image: ImageFile | None = None, *, hashing: bool = True) -> None:
        """`hashing` is for those who can ask for the trace and its hash; it costs a fifth of a short step."""
        self.pump = pump
        self.image = image
        self.last = Step(b"", None, None, ())
        self.trace_hash = TraceHash() if hashing else None
        self.ring = TraceRing() if hashing else None
        if not hashing:
            pump.leave_frames_out()

    @property
    def trace(self) -> tuple[TraceEntry, ...]:
        """What happened in the last step; without frames where nothing is hashed."""
        return self.last.trace

    @property
    def wake_at_ms(self) -> int | None:
        """When the pump is to be called again, in pump time; None where it asks for nothing."""
        return self.last.wake_at_ms

    @property
    def wake_line_ms(self) -> int | None:
        """The same in line time."""
        return self.last.wake_line_ms

    def step(self, now: Now, received: bytes = b"") -> bytes:
        """One step of the pump, on file before its bytes are handed out."""
        self.last = step = self.pump.step(now, received)
        if self.image is not None:
            self.image.append(now.pump_ms, step.writes, _outside_memory(self.pump))
        if step.notes and self.ring is not None:
            self._tell(step.trace)
        return step.to_send

    def go_on_from(self, kept: KeptSnapshot, memory_id: int) -> None:
        """Put the pump of a snapshot in this one's place, without its session and as a memory of another name.

        The image has it before anything else. NotNowError where it is a pump of another profile.
        """
        pump, trace_hash = copy_state(Snapshot(*kept.snapshot))
        if pump.profile != self.pump.profile:
            raise NotNowError(
                f"the snapshot {kept.name} is of another pump, profile {pump.profile.name}, serial "
                f"{pump.profile.model.serial}; start one from it with `pumpbench emulate --snapshot FILE`"
            )
        pump.leave_frames_out(out=self.ring is None)
        pump.begin_anew_for_clients(memory_id)
        step = pump.step(pump.now)
        if self.image is not None:
            seed = int.from_bytes(pump.plant.entropy.seed, "big")
            self.image.replace(seed, pump.now_ms, pump.plant.flash.contents(), _outside_memory(pump))
        named = memory_id.to_bytes(MEMORY_ID_BYTES, "big")
        restored = TraceEntry(pump.now, SnapshotRestored(kept.name, self.pump.now_ms, named))
        self.pump, self.trace_hash = pump, None if self.ring is None else trace_hash
        self.last = step._replace(notes=(restored, *step.notes))
        if self.ring is not None:
            self.ring.add((restored,))
            self._tell(step.trace)

    def _tell(self, entries: tuple[TraceEntry, ...]) -> None:
        if self.trace_hash is not None:
            self.trace_hash.add(trace_bytes(entries))
        if self.ring is not None:
            self.ring.add(entries)


def _outside_memory(pump: Pump) -> dict[str, Any]:
    """What an image keeps of a pump besides the bytes of its memory."""
    return {
        "plant": pump.plant.to_json(),
        "powered": pump.powered,
        "hands_off_reservoir": pump.hands_off_reservoir,
        "told": pump.told._asdict(),
        "orders": [order_to_json(order) for order in pump.orders.by_fault.values()],
    }
