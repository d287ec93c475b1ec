"""A patient beside the pump of a life: what has left the catheter's tip reaches them, and nothing comes back.

Drug is exact; when it came is known to a quarter of an hour, by which waits are cut. That changes nothing in the pump,
whose steps may be of any size.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

from firmware_emu.patient.patient import Patient
from firmware_emu.patient.person import Limits, Person
from firmware_emu.units import MS_PER_MINUTE, PPM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from firmware_emu.pump import Pump

LOOK_MS: Final = 15 * MS_PER_MINUTE
RISKS: Final = {
    "withdrawal_risk_ms": "stretches in which the drug's effect was far below what the patient is used to",
    "overdose_risk_ms": "stretches in which the drug's effect was far above what the patient is used to",
}
"""What a life with a patient yields besides, by name."""


class Stretch:
    """A stretch of time with a risk; `lasted_ms` is exact, its ends to a quarter of an hour."""

    __slots__ = ("from_ms", "lasted_ms", "until_ms")

    def __init__(self, from_ms: int) -> None:
        self.from_ms = self.until_ms = from_ms
        self.lasted_ms = 0


class PatientWatch:
    """Hands the patient what the pump gave, and keeps when that was a risk."""

    def __init__(self, pump: Pump, seed: int, limits: Limits | None = None) -> None:
        """A person drawn from the seed, by a chance of its own: the life is the same with a patient and without."""
        implant = pump.profile.implant
        dose_ng_per_day = 0 if implant is None else implant.dose_ng_per_day
        person = Person.drawn(Random(f"patient of {seed}").uniform)
        self.patient = Patient(person, dose_ng_per_day, limits, pump.now_ms)
        self.risks: dict[str, list[Stretch]] = {name: [] for name in RISKS}
        self._seen_ms = dict.fromkeys(RISKS, 0)
        self.tip_fg = _tip_fg(pump)
        """Drug that had left the catheter's tip at the last look: none ever comes back."""

    @staticmethod
    def looks_ms(from_ms: int, until_ms: int) -> Iterator[int]:
        """When to look in a wait, its end left out."""
        return iter(range(from_ms - from_ms % LOOK_MS + LOOK_MS, until_ms, LOOK_MS))

    def look(self, pump: Pump) -> None:
        """Hand over what has left the tip since the last look."""
        from_ms, tip_fg = self.patient.now_ms, _tip_fg(pump)
        self.patient.take(tip_fg - self.tip_fg, pump.now_ms)
        self.tip_fg = tip_fg
        for name, stretches in self.risks.items():
            risk_ms = getattr(self.patient, name)
            if risk_ms > self._seen_ms[name]:
                if not stretches or stretches[-1].until_ms < from_ms:
                    stretches.append(Stretch(from_ms))
                stretches[-1].until_ms = pump.now_ms
                stretches[-1].lasted_ms += risk_ms - self._seen_ms[name]
                self._seen_ms[name] = risk_ms


def _tip_fg(pump: Pump) -> int:
    """Drug that has left the catheter's tip: of the truth this alone, since nobody looks as often."""
    pump.catch_up()
    return pump.plant.catheter.tip_fg_ppm(pump.plant.reservoir.emitted_nl_ppm) // PPM
