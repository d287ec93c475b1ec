"""What the program in the pump believes to be in the reservoir: entered volume minus commanded strokes.

Nothing is measured. Accuracy, residual volume, what the rotor really moved and what the needle really filled
are not known here, and a pump inside its specification can run dry before this belief says "low" [DOMAIN
0.4].
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.refusal import Refusal
from firmware_emu.controller.therapy.delivery import nth_stroke_ms
from firmware_emu.units import ceil_div
from protocol.identifiers import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from firmware_emu.controller.therapy.delivery import BasalToCome, Foreseeable

_RECORD: Final = struct.Struct("<qIIIIHHIIII")


class Prediction(NamedTuple):
    """Ticks at which the belief will reach low and empty if nothing changes: None where it never will.

    What has been reached already shows the present tick; since when is known to the alarm.
    """

    low_ms: int | None
    empty_ms: int | None


@dataclass(slots=True)
class ReservoirBelief:
    """Volumes in nL. `belief_nl` goes on below 0 under the policy `continue`; what is told never does."""

    stroke_nl: int
    belief_nl: int = 0
    low_alarm_nl: int = 0
    last_fill_nl: int = 0
    last_aspirated_nl: int = 0
    last_expected_nl: int = 0
    drug_id: int = 0
    concentration_ng_per_ml: int = 0
    last_refill_t_mono_s: int = 0
    last_refill_wall_s: int = 0

    @property
    def calc_nl(self) -> int:
        """The volume that the wire shows."""
        return max(0, self.belief_nl)

    @property
    def low(self) -> bool:
        """Whether it is at or below the alarm volume."""
        return self.belief_nl <= self.low_alarm_nl

    @property
    def empty(self) -> bool:
        """Whether nothing is left."""
        return self.belief_nl <= 0

    def count(self, strokes: int) -> None:
        """Count strokes that have been commanded, turned or not."""
        self.belief_nl -= strokes * self.stroke_nl

    def strokes_until_low(self) -> int:
        """The stroke that reaches the alarm volume, counted from 1; 0 where it is reached."""
        return max(0, ceil_div(self.belief_nl - self.low_alarm_nl, self.stroke_nl))

    def strokes_until_empty(self) -> int:
        """The stroke that reaches empty, counted from 1; 0 where it is reached."""
        return max(0, ceil_div(self.belief_nl, self.stroke_nl))

    def predict(self, basal: BasalToCome, on_top: Sequence[Foreseeable] = ()) -> Prediction:
        """When low and empty will be reached as basal rate and boluses in work go on."""
        return Prediction(
            _reached_ms(self.strokes_until_low(), basal, on_top),
            _reached_ms(self.strokes_until_empty(), basal, on_top),
        )

    def refill(
        self,
        aspirated_nl: int,
        filled_nl: int,
        low_alarm_nl: int,
        drug_id: int,
        concentration_ng_per_ml: int,
        t_mono_s: int,
        wall_s: int,
    ) -> None:
        """Take over what the clinician entered, once checked; `filled_nl` is the whole content."""
        self.last_expected_nl = self.calc_nl
        self.last_aspirated_nl = aspirated_nl
        self.belief_nl = self.last_fill_nl = filled_nl
        self.low_alarm_nl = low_alarm_nl
        self.drug_id = drug_id
        self.concentration_ng_per_ml = concentration_ng_per_ml
        self.last_refill_t_mono_s = t_mono_s
        self.last_refill_wall_s = wall_s

    def pack(self) -> bytes:
        """Its record, of fixed size."""
        return _RECORD.pack(
            self.belief_nl,
            self.low_alarm_nl,
            self.last_fill_nl,
            self.last_aspirated_nl,
            self.last_expected_nl,
            self.drug_id,
            0,
            self.concentration_ng_per_ml,
            self.last_refill_t_mono_s,
            self.last_refill_wall_s,
            0,
        )

    @classmethod
    def unpack(cls, data: bytes, stroke_nl: int) -> ReservoirBelief:
        """The belief as it was packed; ValueError where the length is wrong."""
        if len(data) != _RECORD.size:
            raise ValueError(f"reservoir record has {len(data)} bytes, expected {_RECORD.size}")
        belief, low, fill, aspirated, expected, drug, _, concentration, t_mono_s, wall_s, _ = _RECORD.unpack(
            data
        )
        return cls(stroke_nl, belief, low, fill, aspirated, expected, drug, concentration, t_mono_s, wall_s)


def check_fill(filled_nl: int, reservoir_size_nl: int) -> Refusal | None:
    """Refuse more than the reservoir holds: an overfilled one delivers too much [DOMAIN 2.3]."""
    if filled_nl <= reservoir_size_nl:
        return None
    return Refusal(ErrorCode.RESERVOIR, filled_nl, reservoir_size_nl, reservoir_size_nl)


def check_content(volume_nl: int, belief: ReservoirBelief) -> Refusal | None:
    """Refuse a volume that the reservoir is not believed to hold, as one that nobody has filled."""
    if volume_nl <= belief.calc_nl:
        return None
    nearest_nl = belief.calc_nl // belief.stroke_nl * belief.stroke_nl
    return Refusal(ErrorCode.RESERVOIR, volume_nl, belief.calc_nl, nearest_nl)


def _reached_ms(strokes: int, basal: BasalToCome, on_top: Sequence[Foreseeable]) -> int | None:
    if not strokes:
        return basal.reached_ms
    return nth_stroke_ms(strokes, basal, on_top)
