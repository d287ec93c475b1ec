"""What the controller may touch of the plant: its pins, and nothing else.

The controller is handed one `Pins`; what stands behind it is the plant, which it never sees. All times at the
pins are the controller's ticks: milliseconds of its monotonic clock.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Load(Enum):
    """What draws so much that a weak supply may give way; the words are those of the trace."""

    STROKE = "stroke"
    MEMORY_WRITE = "memory write"
    TONE = "tone"
    TELEMETRY = "telemetry"
    SHORT = "short circuit"


class PowerCut(Exception):
    """Power went while a pin was in use. Caught in `pump` alone, which throws the controller away.

    `at_ms` is the tick of the stroke at which it went; None in a memory write, which takes no time. `stays_off`:
    until a rig restores it; else it comes back, a brown-out. `load`: at what; by itself a stroke where there is a
    tick, else a memory write.
    """

    def __init__(
        self, at_ms: int | None = None, *, stays_off: bool = False, load: Load | None = None
    ) -> None:
        super().__init__(at_ms)
        self.at_ms = at_ms
        self.stays_off = stays_off
        self.load = load or (Load.MEMORY_WRITE if at_ms is None else Load.STROKE)


class StrokeRun(NamedTuple):
    """A row of strokes, evenly spread: stroke number k (from 1) falls at `time_of_ms(k)`, to the millisecond.

    Requested volume grows by `rate_numerator` each millisecond, in units in which one stroke is
    `stroke_denominator`; `carried` of it was owed at `anchor_ms`. So stroke k is due at the first millisecond
    at which carried + rate_numerator * (t - anchor) >= k * stroke_denominator. The run holds strokes first_k
    to first_k + count - 1.
    """

    anchor_ms: int
    carried: int
    rate_numerator: int
    stroke_denominator: int
    first_k: int
    count: int  # type: ignore[assignment] # hides the method of tuple, which nobody calls on a run

    def time_of_ms(self, k: int) -> int:
        """Time at which stroke k is due."""
        # ceil of what is missing, over the rate
        return self.anchor_ms - (self.carried - k * self.stroke_denominator) // self.rate_numerator


class RotorPin(Protocol):
    """The motor, and the sensor that sees it turn."""

    def run(self, run: StrokeRun) -> int:
        """Turn the rotor `run.count` strokes; returns how many edges were seen.

        All or none, unless the run spans an event of the plant itself (`Plant.next_event_ms`), which `pump`
        prevents; then the first ones are missing. A sensor that fails may show fewer or more than one for a stroke,
        and an edge is -1 where the rotor turned backwards; then runs are of one stroke (`Plant.strokes_matter`).
        Raises PowerCut: the strokes before it are turned.
        """


class MemoryPin(Protocol):
    """Byte-writable non-volatile memory."""

    @property
    def size_bytes(self) -> int: ...

    def read(self, offset: int, length: int) -> bytes: ...

    def write(self, offset: int, data: bytes) -> None:
        """Write; a power cut may tear it after any byte. Raises PowerCut."""

    def write_in_turn(self, writes: Sequence[tuple[int, bytes]]) -> None:
        """Write each of (offset, data) as `write` does; two are to one offset and equally long, or do not overlap."""


class EntropyPin(Protocol):
    """The hardware random source; it may be stuck, which is a plant fault."""

    def draw(self, stream: str, length: int) -> bytes:
        """Random bytes of a named stream; each random process draws from its own [design 3]."""

    def root_key(self) -> bytes:
        """16 bytes burnt into the chip when it was made, the same at every start; they never leave it."""


class BatteryPin(Protocol):
    def millivolts(self, now_ms: int) -> int:
        """Voltage at the cell as the converter reads it at `now_ms`."""

    def percent(self, now_ms: int) -> int:
        """Charge left, 0 to 100, by the gauge."""


class CrystalPin(Protocol):
    """The oscillator and the register that it latches each whole second, which survives a reset."""

    def latched_ms(self) -> int:
        """Ticks at the last whole second before the reset; 0 on a pump that never ran."""


class MagnetPin(Protocol):
    def near(self) -> bool:
        """True while a magnet (or the programming head) is held over the pump: proximity [SPEC 11]."""


class Tone(NamedTuple):
    """One tone: a critical alarm has two pitches, any other has one [DOMAIN 3.1]."""

    at_ms: int
    critical: bool
    duration_ms: int


class SounderPin(Protocol):
    """The transducer that a patient hears. It plays one tone and knows no interval."""

    def play(self, tone: Tone) -> bool:
        """Play a tone that begins at its `at_ms`, which is now; one that still sounds ends.

        Returns whether current flowed through the transducer. Raises PowerCut.
        """

    def conducts(self) -> bool:
        """Whether current flows through the transducer, by a pulse that is too short to be heard."""


CELLS: Final = 24
"""Cells of RAM that the processor has for what is critical."""
WORD_BITS: Final = 72
"""Bits of a cell: 64 of data and 8 that check them."""


class ResetCause(Enum):
    """What the chip's register says of its last start."""

    POWER = "power"
    WATCHDOG = "watchdog"


class ProcessorPin(Protocol):
    """The chip on which the program runs, as far as it can look at itself."""

    def read_cell(self, cell: int) -> int:
        """The word of `WORD_BITS` in a cell of RAM, 0 to `CELLS` - 1."""

    def write_cell(self, cell: int, word: int) -> None: ...

    def read_code(self) -> bytes:
        """The program's code as it lies there."""

    def multiply(self, left: int, right: int) -> int:
        """What the arithmetic unit makes of two numbers."""

    def guard_intact(self) -> bool:
        """Whether the word behind the stack is as it was put there."""

    def rearm_guard(self) -> None: ...

    def watchdog_counts(self) -> bool:
        """Whether the watchdog's counter runs, by its own test."""

    def reset_cause(self) -> ResetCause:
        """Why the program started."""


class ReceiverPin(Protocol):
    """The receiver of the telemetry, which sleeps until something on its frequency wakes it."""

    def awake(self) -> bool:
        """Whether something that is no frame keeps it awake."""


class Pins(NamedTuple):
    rotor: RotorPin
    memory: MemoryPin
    entropy: EntropyPin
    battery: BatteryPin
    crystal: CrystalPin
    magnet: MagnetPin
    sounder: SounderPin
    processor: ProcessorPin
    receiver: ReceiverPin
