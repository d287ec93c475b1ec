"""The cell and its way to the chip: a linear charge model, computed when somebody looks, and a supply that may fail.

What a voltage means is not known here. Sourced is only that life falls as flow rises, 5 to 7 years [DOMAIN 1.5]; the
two currents are our proposal and give that: by charge alone 7.8 years to ERI at 0.6 mL/day, 5.2 at 2 mL/day. A film
on an electrode is a resistance in series: a load drops the voltage at the chip by resistance x current, and below the
reset threshold the supervisor takes power away and gives it back after a while, for the cell to recover.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

from firmware_emu.pins import Load, PowerCut
from firmware_emu.plant.component import COUNT, Component, Json, Kinds, Range, record
from firmware_emu.units import MS_PER_DAY

if TYPE_CHECKING:
    from firmware_emu.plant.crystal import Crystal
    from firmware_emu.plant.rotor import Rotor

QUIESCENT_NC_PER_MS = 9
"""9 uA without a break."""
STROKE_NC = 180_000
"""50 nAh a stroke; a stalled motor is driven too."""
NC_PER_MAH = 3_600_000_000
NC_PER_UAH = 3_600_000
RESET_HOLD_MS: Final = 60_000
"""So long the supervisor keeps power away after a brown-out."""
MILLI: Final = 1_000  # mA x milliohm is uV
FILM: Final[Kinds] = {"milliohm": COUNT, "milliohm_per_day": COUNT, "since_ms": COUNT}
SHORT: Final[Kinds] = {
    "next_ms": COUNT,
    "period_ms": Range(1),
    "stall_ms": Range(1),
    "stalls_next": bool,
    "missed_before": COUNT,
}


class Loads(NamedTuple):
    """What the pump draws while it does something, in mA, and below which voltage at the chip it is reset."""

    stroke_ma: int = 20
    tone_ma: int = 15
    telemetry_ma: int = 10
    memory_write_ma: int = 5
    processor_ma: int = 2
    """While the program runs, which is also when it reads the converter."""
    reset_mv: int = 2_000
    tone_nc_per_ms: int = 0
    telemetry_nc_per_byte: int = 0


class Film(NamedTuple):
    """A resistance in series with the cell, that may grow."""

    milliohm: int
    milliohm_per_day: int
    since_ms: int


class Short(NamedTuple):
    """A feedthrough that shorts now and then: by turns it holds the motor for a while, and resets the pump."""

    next_ms: int
    period_ms: int
    stall_ms: int
    stalls_next: bool
    missed_before: int
    """Strokes missed in all when its last stall began."""


class Battery(Component):
    """Implements `pins.BatteryPin`."""

    __slots__ = (
        "adc_mv",
        "back_at_ms",
        "brown_outs",
        "bytes_sent",
        "capacity_nc",
        "crystal",
        "empty_mv",
        "film",
        "full_mv",
        "is_faulty",
        "leak_since_ms",
        "leak_ua",
        "leaked_before_nc",
        "loads",
        "off_since_ms",
        "rotor",
        "short",
        "shorts",
        "stuck_readings",
        "toned_ms",
        "unpowered_ms",
        "used_before_nc",
    )
    SAVED: ClassVar[Kinds] = dict.fromkeys(
        (
            "adc_mv",
            "back_at_ms",
            "brown_outs",
            "bytes_sent",
            "leak_since_ms",
            "leak_ua",
            "leaked_before_nc",
            "off_since_ms",
            "shorts",
            "stuck_readings",
            "toned_ms",
            "unpowered_ms",
            "used_before_nc",
        ),
        COUNT,
    )
    MAY_BE_NONE = ("adc_mv", "back_at_ms", "off_since_ms")

    def __init__(
        self,
        capacity_mah: int,
        full_mv: int,
        empty_mv: int,
        rotor: Rotor,
        crystal: Crystal,
        loads: Loads | None = None,
    ) -> None:
        """A fresh cell; it falls in a straight line from `full_mv` to `empty_mv`. Without `loads`: ours."""
        self.capacity_nc = capacity_mah * NC_PER_MAH
        self.full_mv = full_mv
        self.empty_mv = empty_mv
        self.rotor = rotor
        self.crystal = crystal
        self.loads = Loads() if loads is None else loads
        self.used_before_nc = 0
        self.unpowered_ms = 0
        self.off_since_ms: int | None = None
        self.toned_ms = 0
        self.bytes_sent = 0
        self.film: Film | None = None
        self.brown_outs = 0
        self.back_at_ms: int | None = None  # when the supervisor gives power back after a brown-out
        self.leak_ua = 0
        self.leak_since_ms = 0
        self.leaked_before_nc = 0
        self.adc_mv: int | None = None  # what the converter reads for ever
        self.stuck_readings = 0
        self.short: Short | None = None
        self.shorts = 0
        self.is_faulty = False
        """Whether the moment matters to it: a film, a leak, a short, or power that is to come back."""

    def use_before(self, powered_ms: int, strokes: int) -> None:
        """Charge that was used before time 0."""
        self.used_before_nc = powered_ms * QUIESCENT_NC_PER_MS + strokes * STROKE_NC

    def disconnect(self, now_ms: int) -> None:
        """Power is cut: nothing draws from the cell."""
        self.off_since_ms = now_ms

    def connect(self, now_ms: int) -> None:
        """Power is back."""
        self.back_at_ms = None
        self._weigh()
        if self.off_since_ms is not None:
            self.unpowered_ms += now_ms - self.off_since_ms
            self.off_since_ms = None

    # Charge and voltage

    def used_nc(self, tick_ms: int) -> int:
        """Charge used, at most all of it."""
        now_ms = self.crystal.now_of(tick_ms)
        since_ms = now_ms if self.off_since_ms is None else min(now_ms, self.off_since_ms)
        used = (since_ms - self.unpowered_ms) * QUIESCENT_NC_PER_MS + self.rotor.strokes_driven * STROKE_NC
        used += self.toned_ms * self.loads.tone_nc_per_ms + self.bytes_sent * self.loads.telemetry_nc_per_byte
        return min(self.capacity_nc, self.used_before_nc + used + self.leaked_nc(now_ms))

    def leaked_nc(self, now_ms: int) -> int:
        """Charge that leaked away until this pump time; a leak in the cell needs no power."""
        return self.leaked_before_nc + self.leak_ua * max(0, now_ms - self.leak_since_ms)

    def cell_mv(self, tick_ms: int) -> int:
        """Voltage of the cell itself at a tick, rounded down."""
        fall_nc = (self.full_mv - self.empty_mv) * self.used_nc(tick_ms)
        return self.full_mv - -(-fall_nc // self.capacity_nc)

    def millivolts(self, now_ms: int) -> int:
        """What the converter reads at a tick: the voltage at the chip, under the program's load, or a stuck value."""
        cell_mv = self.cell_mv(now_ms)
        seen_mv = cell_mv if self.film is None else self._behind_film_mv(cell_mv, self.loads.processor_ma)
        if self.adc_mv is None:
            return seen_mv
        self.stuck_readings += self.adc_mv != seen_mv
        return self.adc_mv

    def percent(self, now_ms: int) -> int:
        """Charge left at a tick, 0 to 100, rounded down."""
        return 100 * (self.capacity_nc - self.used_nc(now_ms)) // self.capacity_nc

    # Loads

    def play(self, duration_ms: int) -> None:
        """Draw what a tone draws. Raises PowerCut."""
        if self.film is not None:
            self.draw(Load.TONE, self.loads.tone_ma)
        self.toned_ms += duration_ms

    def send(self, count: int) -> None:
        """Draw what the transmitter draws for so many bytes. Raises PowerCut: none of them leaves."""
        if self.film is not None:
            self.draw(Load.TELEMETRY, self.loads.telemetry_ma)
        self.bytes_sent += count

    def draw(self, load: Load, current_ma: int, stroke_tick_ms: int | None = None) -> None:
        """Draw a current now, through the film. Raises PowerCut where the voltage falls below the reset threshold."""
        now_ms = self.crystal.now_ms
        if (
            self._behind_film_mv(self.cell_mv(self.crystal.tick_of(now_ms)), current_ma)
            >= self.loads.reset_mv
        ):
            return
        self.brown_outs += 1
        self.back_at_ms = now_ms + RESET_HOLD_MS
        self._weigh()
        raise PowerCut(stroke_tick_ms, load=load)

    def _behind_film_mv(self, cell_mv: int, current_ma: int) -> int:
        return max(0, cell_mv - self.film_milliohm(self.crystal.now_ms) * current_ma // MILLI)

    def film_milliohm(self, now_ms: int) -> int:
        """Resistance of the film at a pump time; 0 without one."""
        if self.film is None:
            return 0
        grown = self.film.milliohm_per_day * max(0, now_ms - self.film.since_ms) // MS_PER_DAY
        return self.film.milliohm + grown

    # Faults

    def set_film(self, film: Film | None) -> None:
        """Put a resistance in series with the cell, or take it away."""
        self.film = film
        self._weigh()

    def set_leak(self, now_ms: int, leak_ua: int) -> None:
        """Let a current leak away from now on; 0 ends it."""
        self.leaked_before_nc = self.leaked_nc(now_ms)
        self.leak_ua, self.leak_since_ms = leak_ua, now_ms
        self._weigh()

    def set_short(self, short: Short | None) -> None:
        """Let the feedthrough short now and then, or mend it."""
        self.short = short
        self._weigh()

    def next_event_ms(self) -> int | None:
        """Pump time of the next thing that it does by itself."""
        due = (self.back_at_ms, self.short.next_ms if self.short else None)
        return min((each for each in due if each is not None), default=None)

    def _weigh(self) -> None:
        self.is_faulty = (
            self.film is not None or self.leak_ua > 0 or self.short is not None or self.back_at_ms is not None
        )

    # File

    def to_json(self) -> Json:
        film, short = self.film, self.short
        return {
            **super().to_json(),
            "film": None if film is None else list(film),
            "short": None if short is None else list(short),
        }

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        film, short = record(state, "film", FILM), record(state, "short", SHORT)
        self.film = None if film is None else Film(*film)
        self.short = None
        if short is not None:
            next_ms, period_ms, stall_ms, stalls_next, missed = short
            self.short = Short(next_ms, period_ms, stall_ms, bool(stalls_next), missed)
        self._weigh()
