"""Scripted faults of the line: which frames are lost, doubled, late, out of order or damaged.

A `FaultyLine` stands between a programmer and its channel. A test says which frames, and in which direction; nothing
happens by chance. A fault has a count, and is spent after that many frames; `check_all_fired` names those that were
not, since they prove nothing. Faults of the pump itself are the rig's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from hil.channel import Channel
from hil.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

DELIMITER = b"\x00"


class Direction(StrEnum):
    """Which way a frame goes."""

    TO_PUMP = "to pump"
    FROM_PUMP = "from pump"


class Damage(Enum):
    """What a fault does to a frame."""

    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    HOLD = "hold"
    SWAP = "swap"
    FLIP = "flip"


_AMOUNTS = {Damage.DUPLICATE: "copies", Damage.DELAY: "delay_ms", Damage.FLIP: "bit"}
"""What a fault's `amount` is called where it is set."""


@dataclass(slots=True)
class Fault:
    """One fault: what happens to `count` frames after the next `skip` of its direction have passed."""

    direction: Direction
    damage: Damage
    count: int = 1
    skip: int = 0
    amount: int = 0
    fired: int = 0

    @property
    def spent(self) -> bool:
        """True once it has hit all its frames."""
        return self.fired >= self.count


@dataclass(slots=True)
class _Way:
    """One direction: every frame seen, what is held back, and what is late."""

    seen: list[bytes] = field(default_factory=list)
    held: list[bytes] = field(default_factory=list)
    swapped: list[bytes] = field(default_factory=list)
    late: list[tuple[int, bytes]] = field(default_factory=list)


class FaultyLine(Channel):
    """A channel with faults; without any it changes nothing but the boundaries of reads."""

    def __init__(self, inner: Channel, told: Callable[[str], None] | None = None) -> None:
        """`told` is told in words of each frame that a fault hits, or that a test puts on the line itself."""
        self._inner = inner
        self._told = told
        self._faults: list[Fault] = []
        self.disturbed = 0
        """Frames that a fault has hit so far, or that a test put on the line itself."""
        self._ways = {direction: _Way() for direction in Direction}
        self._partial = b""
        self._arrived: list[bytes] = []

    # The faults.

    def drop(self, direction: Direction, count: int = 1, *, skip: int = 0) -> Fault:
        """Lose frames."""
        return self._add(Fault(direction, Damage.DROP, count, skip))

    def duplicate(self, direction: Direction, count: int = 1, *, skip: int = 0, copies: int = 1) -> Fault:
        """Deliver frames several times."""
        return self._add(Fault(direction, Damage.DUPLICATE, count, skip, copies))

    def delay(self, direction: Direction, delay_ms: int, count: int = 1, *, skip: int = 0) -> Fault:
        """Deliver frames later than they came."""
        return self._add(Fault(direction, Damage.DELAY, count, skip, delay_ms))

    def hold(self, direction: Direction, count: int = 1, *, skip: int = 0) -> Fault:
        """Keep frames back until `release`."""
        return self._add(Fault(direction, Damage.HOLD, count, skip))

    def swap(self, direction: Direction, count: int = 1, *, skip: int = 0) -> Fault:
        """Deliver each of these frames after the one that follows it."""
        return self._add(Fault(direction, Damage.SWAP, count, skip))

    def flip(self, direction: Direction, bit: int, count: int = 1, *, skip: int = 0) -> Fault:
        """Flip one bit of the encoded frame, counted from its first byte; beyond the end it wraps."""
        return self._add(Fault(direction, Damage.FLIP, count, skip, bit))

    def release(self, direction: Direction) -> int:
        """Deliver what was held back, now; returns how many frames."""
        direction = _checked_direction(direction)
        way = self._ways[direction]
        frames, way.held = way.held, []
        for frame in frames:
            self._tell("release", direction, frame)
            self._deliver(direction, frame)
        return len(frames)

    def inject(self, direction: Direction, frame: bytes) -> None:
        """Put a frame (without delimiters) on the line: a replay, or a forgery."""
        direction = _checked_direction(direction)
        self.disturbed += 1
        self._tell("inject", direction, frame)
        self._deliver(direction, frame)

    def seen(self, direction: Direction) -> tuple[bytes, ...]:
        """Every frame that came into this line, encoded, without delimiters, before any fault."""
        return tuple(self._ways[_checked_direction(direction)].seen)

    def clear(self) -> None:
        """Forget all faults; what is held or late is lost."""
        self._faults.clear()
        for way in self._ways.values():
            way.held.clear()
            way.swapped.clear()
            way.late.clear()

    def check_all_fired(self) -> None:
        """UsageError if a fault did not hit all of its frames: the test that set it proved nothing by it."""
        idle = [f for f in self._faults if not f.spent]
        if idle:
            names = ", ".join(f"{f.damage.value} {f.direction.value} ({f.fired} of {f.count})" for f in idle)
            raise UsageError(
                f"faults on the line that did not fire: {names}", advice="they prove nothing in this test"
            )

    # The channel.

    @property
    def sent_bytes(self) -> int:
        """Bytes that really went out."""
        return self._inner.sent_bytes

    def now_ms(self) -> int:
        return self._inner.now_ms()

    def device_ms(self) -> int | None:
        return self._inner.device_ms()

    def send(self, data: bytes) -> None:
        """Send frames, each through the faults."""
        if not isinstance(data, bytes):
            raise UsageError(f"bytes are sent over a line, and this is {type(data).__name__}")
        for frame in data.split(DELIMITER):
            if frame:
                self._pass(Direction.TO_PUMP, frame)

    def receive(self, deadline_ms: int) -> bytes:
        """Whole frames that came through; b"" at the deadline."""
        if not isinstance(deadline_ms, int):
            raise UsageError(f"deadline_ms is {deadline_ms!r}, and a time of now_ms() in ms is expected")
        while True:
            self._deliver_late()
            if self._arrived:
                data = b"".join(frame + DELIMITER for frame in self._arrived)
                self._arrived.clear()
                return data
            wake_ms = min([deadline_ms, *(at for way in self._ways.values() for at, _ in way.late)])
            self._take_in(self._inner.receive(wake_ms))
            if not self._arrived and self._inner.now_ms() >= deadline_ms:
                return b""

    def close(self) -> None:
        self._inner.close()

    def _add(self, fault: Fault) -> Fault:
        fault.direction = _checked_direction(fault.direction)
        least = {"count": 1, "skip": 0, "amount": int(fault.damage is Damage.DUPLICATE)}
        for name, minimum in least.items():
            value = getattr(fault, name)
            if not isinstance(value, int) or value < minimum:
                word = _AMOUNTS.get(fault.damage, name) if name == "amount" else name
                raise UsageError(
                    f"{word} of the fault {fault.damage.value} must be a whole number of at least {minimum},"
                    f" is {value!r}"
                )
        self._faults.append(fault)
        return fault

    def _take_in(self, data: bytes) -> None:
        *frames, self._partial = (self._partial + data).split(DELIMITER)
        for frame in frames:
            if frame:
                self._pass(Direction.FROM_PUMP, frame)

    def _pass(self, direction: Direction, frame: bytes) -> None:
        """One frame through the first fault that wants it."""
        way = self._ways[direction]
        way.seen.append(frame)
        swapped, way.swapped = way.swapped, []
        fault = self._fault_for(direction)
        damage = fault.damage if fault else None
        amount = fault.amount if fault else 0
        if fault:
            self.disturbed += 1
            self._tell(fault.damage.value, direction, frame)
        if damage is Damage.HOLD:
            way.held.append(frame)
        elif damage is Damage.SWAP:
            way.swapped.append(frame)
        elif damage is Damage.DELAY:
            way.late.append((self.now_ms() + amount, frame))
        elif damage is Damage.FLIP:
            self._deliver(direction, _flipped(frame, amount))
        elif damage is not Damage.DROP:
            for _ in range(1 + (amount if damage is Damage.DUPLICATE else 0)):
                self._deliver(direction, frame)
        for earlier in swapped:
            self._deliver(direction, earlier)

    def _tell(self, what: str, direction: Direction, frame: bytes) -> None:
        if self._told is not None:
            self._told(f"{what} {direction.value}: {frame.hex()}")

    def _fault_for(self, direction: Direction) -> Fault | None:
        for fault in self._faults:
            if fault.direction is not direction or fault.spent:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.fired += 1
            return fault
        return None

    def _deliver(self, direction: Direction, frame: bytes) -> None:
        if direction is Direction.TO_PUMP:
            self._inner.send(DELIMITER + frame + DELIMITER)
        else:
            self._arrived.append(frame)

    def _deliver_late(self) -> None:
        now_ms = self.now_ms()
        for direction, way in self._ways.items():
            due = [frame for at_ms, frame in way.late if at_ms <= now_ms]
            way.late = [(at_ms, frame) for at_ms, frame in way.late if at_ms > now_ms]
            for frame in due:
                self._deliver(direction, frame)


def _checked_direction(direction: object) -> Direction:
    """The direction, also by its words; UsageError where it is none, since a fault there would never fire."""
    try:
        return Direction(direction)  # type: ignore[arg-type]
    except ValueError as error:
        raise UsageError(
            f"the direction of a frame must be Direction.TO_PUMP or Direction.FROM_PUMP, is {direction!r}"
        ) from error


def _flipped(frame: bytes, bit: int) -> bytes:
    """The frame with one bit changed. A byte that would become the delimiter changes in another bit instead."""
    place, shift = divmod(bit % (8 * len(frame)), 8)
    changed = frame[place] ^ (1 << shift)
    if not changed:
        changed = frame[place] ^ (1 << ((shift + 1) % 8))
    return frame[:place] + bytes([changed]) + frame[place + 1 :]
