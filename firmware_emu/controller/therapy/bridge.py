"""The bridge of a program: the old drug's way out of tubing and catheter, at a rate of its own [SPEC 6, DOMAIN 4.4].

It stands in the place of the basal rate until its volume is delivered; then the program starts. It is therapy and no
bolus: a stop, a fall to the safe state or a loss of power lets it wait, and nobody cancels it. A stroke whose edge is
missing is turned again at the bridge's own rate: to the program it is a stall, and the old drug would be given at the
new drug's rate behind a bridge that is too short. Where a sensor lost the edge of a rotor that turned, the bridge is
too long for that; nobody in the pump can know it. Nothing is caught up.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from firmware_emu.controller.therapy.bolus import BolusEnd
from firmware_emu.controller.therapy.counters import Source, strokes_seen
from firmware_emu.controller.therapy.delivery import BASAL_BYTES, Basal
from firmware_emu.controller.therapy.second_channel import Account
from firmware_emu.units import MS_PER_DAY, MS_PER_S, ceil_div
from protocol.identifiers import Outcome
from protocol.log.types import BolusEndReason

if TYPE_CHECKING:
    from firmware_emu.controller.therapy.delivery import BasalToCome, Turned
    from firmware_emu.pins import RotorPin
    from protocol.messages.program import BridgeBlock

_RECORD: Final = struct.Struct("<IIIB3x")
_BEGUN: Final = 1


@dataclass(slots=True)
class Bridge:
    """A bridge that is not over. `accumulator` stands at rate 0 while it waits; `begun` once it has delivered."""

    accumulator: Basal
    rate_nl_per_day: int
    strokes_total: int
    delivered: int = 0
    begun: bool = False

    source = Source.BRIDGE

    @classmethod
    def of(cls, block: BridgeBlock, stroke_nl: int, tick_ms: int) -> Bridge:
        """The bridge of a program that was adopted at `tick_ms`, in whole strokes; it waits until it is let go."""
        return cls(Basal.at(tick_ms, stroke_nl), block.rate_nl_per_day, block.volume_nl // stroke_nl)

    @property
    def waits(self) -> bool:
        """Whether it asks for nothing now."""
        return not self.accumulator.rate_nl_per_day

    @property
    def volume_nl(self) -> int:
        """All that it has to deliver: whole strokes."""
        return self.strokes_total * self.accumulator.stroke_nl

    @property
    def delivered_nl(self) -> int:
        """Volume of the strokes whose edge was seen."""
        return self.delivered * self.accumulator.stroke_nl

    @property
    def left_nl(self) -> int:
        """Volume that is not delivered yet."""
        return self.strokes_left * self.accumulator.stroke_nl

    @property
    def strokes_left(self) -> int:
        """Strokes that are not delivered yet; at 0 it is over."""
        return self.strokes_total - self.delivered

    @property
    def duration_s(self) -> int:
        """How long all of it takes at its rate, rounded up."""
        return ceil_div(ceil_div(self.volume_nl * MS_PER_DAY, self.rate_nl_per_day), MS_PER_S)

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms` and are not turned yet."""
        return min(self.accumulator.strokes_due(tick_ms), self.strokes_left)

    def stroke_ms(self, n: int) -> int | None:
        """Time of the n-th next stroke, from 1; None where it has fewer left, or while it waits."""
        return None if n > self.strokes_left else self.accumulator.stroke_ms(n)

    def advance(self, tick_ms: int, rotor: RotorPin) -> Turned | None:
        """Turn every stroke due at or before `tick_ms`, in one run; None where none is due. Raises PowerCut."""
        end_ms = self.stroke_ms(self.strokes_left)
        turned = self.accumulator.advance(tick_ms if end_ms is None else min(tick_ms, end_ms), rotor)
        if turned is not None:
            run, edges = turned
            self.delivered += strokes_seen(run.count, edges)
        return turned

    def account(self) -> Account:
        """What the second channel copies."""
        own = self.accumulator
        return Account(
            own.rate_nl_per_day, own.stroke, own.anchor_ms, own.carried, own.emitted, self.strokes_left
        )

    def go_on(self, tick_ms: int) -> None:
        """Deliver from `tick_ms` on, with what of a stroke was owed."""
        self.begun = True
        self.accumulator.set_rate(tick_ms, self.rate_nl_per_day)

    def wait(self, tick_ms: int) -> None:
        """Ask for nothing from `tick_ms` on; turn first what is due."""
        self.accumulator.set_rate(tick_ms, 0)

    def end(self, early: BolusEndReason | None = None) -> BolusEnd:
        """What became of it: complete, or ended early for a reason."""
        reason = BolusEndReason.COMPLETE if early is None else early
        outcome = Outcome.DONE if early is None else Outcome.PARTIAL
        return BolusEnd(outcome, reason, self.delivered_nl, 0)

    def pack(self) -> bytes:
        """Its record, of fixed size."""
        flags = _BEGUN if self.begun else 0
        own = _RECORD.pack(self.rate_nl_per_day, self.strokes_total, self.delivered, flags)
        return own + self.accumulator.pack()

    @classmethod
    def unpack(cls, data: bytes, stroke_nl: int) -> Bridge:
        """The bridge as it was packed; ValueError for bytes that this program never wrote."""
        if len(data) != _RECORD.size + BASAL_BYTES:
            raise ValueError(f"a bridge of {len(data)} bytes")
        rate, total, delivered, flags = _RECORD.unpack_from(data)
        accumulator = Basal.unpack(data[_RECORD.size :], stroke_nl)
        if delivered > total or not rate or accumulator.rate_nl_per_day not in (0, rate):
            raise ValueError(f"a bridge of {total} strokes, {delivered} delivered, at {rate} nL/day")
        return cls(accumulator, rate, total, delivered, begun=bool(flags & _BEGUN))


@dataclass(frozen=True, slots=True)
class AfterBridge:
    """The strokes to come of a bridge and of the program behind it; it turns none of them."""

    bridge: Bridge
    then: BasalToCome
    """The program's, as it will stand when the last stroke of the bridge falls."""

    @property
    def reached_ms(self) -> int:
        """The tick until which strokes were turned."""
        return self.bridge.accumulator.reached_ms

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms` and are not turned yet."""
        due = self.bridge.strokes_due(tick_ms)
        return due if tick_ms < self.then.reached_ms else due + self.then.strokes_due(tick_ms)

    def stroke_ms(self, n: int) -> int | None:
        """Time of the n-th next stroke, from 1; None where none will ever fall."""
        left = self.bridge.strokes_left
        return self.bridge.stroke_ms(n) if n <= left else self.then.stroke_ms(n - left)
