"""One pump on the bench with its image and its trace: every step of it goes through here, whoever keeps the time.

What a step changed is on file before its bytes are handed out. Keeps no time and owns no port: `runner` does,
and `virtual` does it without either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from firmware_emu.bench.errors import BadConfigurationError
from firmware_emu.bench.trace_hash import TraceHash, trace_bytes
from firmware_emu.bench.trace_ring import TraceRing
from firmware_emu.controller.memory.event_log import LogSeqs
from firmware_emu.controller.memory.memory_map import memory_size_bytes
from firmware_emu.fault_orders import FaultOrders, checked
from firmware_emu.faults.orders import order_from_json, order_to_json
from firmware_emu.now import Now
from firmware_emu.plant.component import boolean, field, integer, section
from firmware_emu.plant.plant import Plant
from firmware_emu.pump import Pump
from firmware_emu.trace import Step

if TYPE_CHECKING:
    from firmware_emu.bench.image_file import ImageFile, Remembered
    from firmware_emu.events import TraceEntry
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
            state = {
                "plant": self.pump.plant.to_json(),
                "powered": self.pump.powered,
                "hands_off_reservoir": self.pump.hands_off_reservoir,
                "told": self.pump.told._asdict(),
                "orders": [order_to_json(order) for order in self.pump.orders.by_fault.values()],
            }
            self.image.append(now.pump_ms, step.writes, state)
        if step.notes and self.trace_hash is not None and self.ring is not None:
            entries = step.trace
            self.trace_hash.add(trace_bytes(entries))
            self.ring.add(entries)
        return step.to_send
