"""What happens to a pump, as values: the base of all events, and those of plant, power and rig. No words, no I/O.

An event is a class with typed fields that inherits from `Event`, and that is all there is to declare: the trace, its
hash and rig control take its name and its fields from there. What the program in the pump tells is in
`controller/events`, which knows the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag
from typing import TYPE_CHECKING, ClassVar, NamedTuple, dataclass_transform

if TYPE_CHECKING:
    from firmware_emu.now import Now

Plain = None | bool | int | str | list["Plain"] | dict[str, "Plain"]


@dataclass_transform(frozen_default=True)
class Event:
    """One thing that happened. Its fields are numbers, enums, bytes, texts, named tuples, and tuples of these.

    A subclass becomes a dataclass by itself. That nobody changes an event is held by mypy alone: a check at run time
    would triple the cost of making one, and one is made at each write to the memory.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ()
    """The names of its fields in their order; `dataclass` sets them."""

    def __init_subclass__(cls) -> None:
        dataclass(eq=False, repr=False)(cls)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"
        )


class TraceEntry(NamedTuple):
    """An event and when it happened; of a frame, when it was on the line."""

    now: Now
    event: Event


class MemoryWritten(Event):
    """Bytes reached the memory."""

    address: int
    data: bytes


class MemoryChanged(Event):
    """The same for whoever looks on: where and how much, since what is written has keys in it."""

    address: int
    length_bytes: int


class PowerCutCause(Enum):
    RIG = "rig"
    MEMORY_WRITE = "memory write"
    STROKE = "stroke"
    TONE = "tone"
    TELEMETRY = "telemetry"
    SHORT = "short circuit"


class PowerLost(Event):
    """Power went, and with it the program."""

    cause: PowerCutCause
    stroke_tick_ms: int | None
    """Tick of the stroke at which it went; None for another cause."""
    while_starting: bool
    stays_off: bool
    """True: until the rig restores it; False: it is back at once."""


class PowerOn(Event):
    """The program has started."""

    boot_count: int
    first: bool
    """The memory was blank, and has been formatted."""


class WatchdogReset(Event):
    """The watchdog has reset the chip, and with it the program."""

    task: int
    """Which task had hung, as the fault numbers them; 0 where none had."""


class FaultValue(NamedTuple):
    """One parameter of a fault, with its unit in its name."""

    name: str
    value: int


class Said(NamedTuple):
    """One thing that is said of what is waited for."""

    name: str
    value: bool | int | str | None


class FaultOrdered(Event):
    """The rig has ordered a fault of the catalogue that is to start later."""

    name: str
    parameters: tuple[FaultValue, ...]
    at: Enum
    """What it waits for."""
    said: tuple[Said, ...]
    for_ms: int | None
    every_ms: int | None
    times: int


class FaultInjected(Event):
    """A fault of the catalogue has started. Parameters without a value are left out."""

    name: str
    parameters: tuple[FaultValue, ...]


class FaultCleared(Event):
    """A fault of the catalogue has ended, or was called off before it started."""

    name: str


class FaultImpossible(Event):
    """A fault that was ordered could not start, as the pump stood."""

    name: str
    why: str


class LeaseEnded(Event):
    """A controller's time was over and it had not let go of the bench: faults that it had injected are cleared."""

    who: str
    cleared: tuple[str, ...]
    """The names of those that were still there."""


class SnapshotRestored(Event):
    """The bench has put a state of a snapshot in the pump's place: pump time goes on from there, and may go back.

    It is told to whoever reads the trace, and is no part of the hash: that is one of a pump's life, not of a bench's.
    """

    name: str
    left_at_ms: int
    """Pump time of the pump that was there before."""
    memory_id: bytes
    """What its memory is called from here on."""


class RefilledByHand(Event):
    """The reservoir was emptied and filled as an accepted REFILL said."""

    volume_nl: int
    concentration_ng_per_ml: int


class SyringeAspirated(Event):
    """The rig's syringe has drawn fluid."""

    volume_nl: int


class SyringeFilled(Event):
    """The rig's syringe has injected fluid."""

    volume_nl: int
    concentration_ng_per_ml: int


def kind_of(event: Event) -> str:
    """The kind of an event: the name of its class."""
    return type(event).__name__


def fields_of(event: Event) -> dict[str, Plain]:
    """The fields of an event by name, in the order of their declaration, as JSON has them.

    Enums are their names, flags their numbers, bytes are hex, named tuples objects, and other tuples lists.
    """
    return {name: plain_of(value) for name, value in vars(event).items()}


def plain_of(value: object) -> Plain:
    """A field of an event as JSON has it; TypeError where an event may not hold it."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return int(value.value) if isinstance(value, Flag) else value.name
    if isinstance(value, bool | str):
        return value
    if isinstance(value, tuple):
        names = getattr(value, "_fields", None)
        if names is None:
            return [plain_of(each) for each in value]
        return {name: plain_of(each) for name, each in zip(names, value, strict=True)}
    raise TypeError(f"an event holds a {type(value).__name__}; it may hold what the docstring of Event says")
