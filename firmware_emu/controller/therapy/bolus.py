"""One bolus: a volume of whole strokes, evenly spread over a duration; and the rules by which one is refused.

Stroke k of n falls at start + ceil(k x duration / n), the last one exactly at the end [DOMAIN 6.1, SR-08].
The sliding windows stand in `bolus_window`; tokens, ids and who may ask for what in `commands`.

How it ends. A bolus that has begun (its answer said RUNNING) is DONE if every stroke was commanded and seen,
and PARTIAL otherwise, with nothing delivered too: a client was told that it runs, and must be told that it
ended early. NOT_STARTED is what a boot may find out: power went before the first stroke could have been
turned. Strokes whose edge is missing count as not delivered; only a cut leaves a stroke uncertain, and never
more than one, since each stroke of a bolus is checkpointed (`boot` adds one where a checkpoint was damaged).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from firmware_emu.controller.refusal import Refusal
from firmware_emu.controller.therapy.counters import Source, strokes_seen
from firmware_emu.controller.therapy.second_channel import Account
from firmware_emu.pins import StrokeRun
from firmware_emu.units import MS_PER_S, S_PER_DAY, ceil_div
from protocol.identifiers import ErrorCode, Outcome
from protocol.log.types import BolusEndReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_emu.controller.therapy.bolus_window import BolusWindow
    from firmware_emu.controller.therapy.delivery import Turned
    from firmware_emu.pins import RotorPin
    from firmware_emu.profile import PumpModel

_NO_TICK: Final = 0xFFFF_FFFF_FFFF_FFFF
_RECORD: Final = struct.Struct("<BBHIIQIIQQ")


class BolusEnd(NamedTuple):
    """What became of a bolus: delivered <= true <= delivered + uncertain [SPEC 9]."""

    outcome: Outcome
    reason: BolusEndReason
    delivered_nl: int
    uncertain_nl: int


@dataclass(slots=True)
class ActiveBolus:
    """A bolus in work. `commanded` counts strokes that the rotor was told, `delivered` the edges that were seen.

    `suspended_ms` is the tick since which it waits; None where it does not.
    """

    source: Source
    cmd_id: int
    key_id: int
    stroke_nl: int
    strokes_total: int
    duration_ms: int
    start_ms: int
    commanded: int = 0
    delivered: int = 0
    suspended_ms: int | None = None

    @property
    def volume_nl(self) -> int:
        """What was announced: whole strokes."""
        return self.strokes_total * self.stroke_nl

    @property
    def delivered_nl(self) -> int:
        """Volume of the strokes whose edge was seen."""
        return self.delivered * self.stroke_nl

    @property
    def left_nl(self) -> int:
        """Volume that has not been commanded yet."""
        return self.strokes_left * self.stroke_nl

    @property
    def strokes_left(self) -> int:
        """Strokes that have not been commanded yet."""
        return self.strokes_total - self.commanded

    def strokes_due(self, tick_ms: int) -> int:
        """How many strokes fall at or before `tick_ms` and are not turned yet."""
        if self.suspended_ms is not None:
            return 0
        elapsed_ms = min(tick_ms - self.start_ms, self.duration_ms)
        return max(0, elapsed_ms * self.strokes_total // self.duration_ms - self.commanded)

    def stroke_ms(self, n: int) -> int | None:
        """Time of the n-th next stroke, from 1; None where it has fewer left, or while it is suspended."""
        k = self.commanded + n
        if k > self.strokes_total or self.suspended_ms is not None:
            return None
        return self.start_ms + ceil_div(k * self.duration_ms, self.strokes_total)

    def advance(self, tick_ms: int, rotor: RotorPin) -> Turned | None:
        """Turn every stroke due at or before `tick_ms`, in one run; None where none is due. Raises PowerCut."""
        count = self.strokes_due(tick_ms)
        if not count:
            return None
        run = StrokeRun(self.start_ms, 0, self.strokes_total, self.duration_ms, self.commanded + 1, count)
        edges = rotor.run(run)
        self.commanded += count
        self.delivered += strokes_seen(count, edges)
        return run, edges

    def account(self) -> Account:
        """What the second channel copies; nothing more becomes due while it waits."""
        numerator = 0 if self.suspended_ms is not None else self.strokes_total
        return Account(numerator, self.duration_ms, self.start_ms, 0, self.commanded, self.strokes_left)

    def suspend(self, tick_ms: int) -> None:
        """Wait from `tick_ms` on; turn first what is due."""
        self.suspended_ms = tick_ms

    def resume(self, tick_ms: int) -> None:
        """Go on at `tick_ms`: each stroke that is left falls later by as long as it waited."""
        if self.suspended_ms is not None:
            self.start_ms += tick_ms - self.suspended_ms
            self.suspended_ms = None

    def end(self, early: BolusEndReason | None = None) -> BolusEnd:
        """What became of it once the motor has stopped: complete, or ended early for a reason."""
        if self.delivered == self.strokes_total:
            return BolusEnd(Outcome.DONE, BolusEndReason.COMPLETE, self.delivered_nl, 0)
        reason = early or BolusEndReason.MISSING_EDGES
        return BolusEnd(Outcome.PARTIAL, reason, self.delivered_nl, 0)

    def end_after_cut(self, latest_cut_ms: int | None) -> BolusEnd:
        """What a boot makes of the last checkpoint. Power went at `latest_cut_ms` or before; None: not known.

        The stroke after the checkpoint may have been turned before power went, if it was due by then.
        """
        if not self.strokes_left:
            return self.end()
        next_ms = self.stroke_ms(1)
        certain = next_ms is None or (latest_cut_ms is not None and latest_cut_ms < next_ms)
        uncertain_nl = 0 if certain else self.stroke_nl
        started = self.commanded or uncertain_nl
        outcome = Outcome.PARTIAL if started else Outcome.NOT_STARTED
        return BolusEnd(outcome, BolusEndReason.POWER, self.delivered_nl, uncertain_nl)

    def pack(self) -> bytes:
        """Its record, of fixed size."""
        return _RECORD.pack(
            self.source,
            0,
            self.key_id,
            self.cmd_id,
            self.strokes_total,
            self.duration_ms,
            self.commanded,
            self.delivered,
            self.start_ms,
            _NO_TICK if self.suspended_ms is None else self.suspended_ms,
        )

    @classmethod
    def unpack(cls, data: bytes, stroke_nl: int) -> ActiveBolus:
        """The bolus as it was packed; ValueError for bytes that this program never wrote."""
        source, _, key_id, cmd_id, total, duration_ms, commanded, delivered, start_ms, suspended_ms = (
            _RECORD.unpack(data)
        )
        if not delivered <= commanded <= total or not total or not duration_ms:
            raise ValueError(f"a bolus of {total} strokes, {commanded} commanded, {delivered} delivered")
        return cls(
            Source(source),
            cmd_id,
            key_id,
            stroke_nl,
            total,
            duration_ms,
            start_ms,
            commanded,
            delivered,
            suspended_ms=None if suspended_ms == _NO_TICK else suspended_ms,
        )


def quantised_nl(volume_nl: int, stroke_nl: int) -> int:
    """The volume rounded down to whole strokes: what would be delivered."""
    return volume_nl // stroke_nl * stroke_nl


def minimum_duration_s(volume_nl: int, basal_nl_per_day: int, rate_max_nl_per_day: int) -> int | None:
    """The shortest duration for a volume beside a basal rate; None where the basal alone fills the pump's rate."""
    room_nl_per_day = rate_max_nl_per_day - basal_nl_per_day
    if room_nl_per_day <= 0:
        return None
    return max(1, ceil_div(volume_nl * S_PER_DAY, room_nl_per_day))


def shortest_duration_s(
    volume_nl: int, highest_basal_nl_per_day: Callable[[int], int], rate_max_nl_per_day: int
) -> int | None:
    """The shortest duration for a volume beside the highest basal rate that falls into it; None where there is none.

    A longer bolus may reach into a time of a higher rate, which makes it longer still.
    """
    duration_s = 0
    while True:
        basal = highest_basal_nl_per_day(duration_s * MS_PER_S)
        needed_s = minimum_duration_s(volume_nl, basal, rate_max_nl_per_day)
        if needed_s is None or needed_s <= duration_s:
            return needed_s
        duration_s = needed_s


def check_rate(
    volume_nl: int, duration_s: int, highest_basal_nl_per_day: int, limits: PumpModel
) -> Refusal | None:
    """Less than a stroke, no duration, or too fast beside the basal: RATE, nearest = the minimum duration in s."""
    shortest_s = minimum_duration_s(
        max(volume_nl, limits.stroke_nl), highest_basal_nl_per_day, limits.rate_max_nl_per_day
    )
    nearest_s = 0 if shortest_s is None or shortest_s > limits.bolus_max_duration_s else shortest_s
    if volume_nl < limits.stroke_nl:
        return Refusal(ErrorCode.RATE, volume_nl, limits.stroke_nl, nearest_s)
    if shortest_s is None or duration_s < shortest_s:
        return Refusal(ErrorCode.RATE, duration_s, limits.rate_max_nl_per_day, nearest_s)
    return None


def check_size(
    volume_nl: int, duration_s: int, highest_basal_nl_per_day: int, limits: PumpModel
) -> Refusal | None:
    """The rules for one bolus by itself: rate, and the most and the longest that one may have."""
    refusal = check_rate(volume_nl, duration_s, highest_basal_nl_per_day, limits)
    if refusal is not None:
        return refusal
    if volume_nl > limits.bolus_max_nl:
        nearest_nl = quantised_nl(limits.bolus_max_nl, limits.stroke_nl)
        return Refusal(ErrorCode.BOLUS_MAX, volume_nl, limits.bolus_max_nl, nearest_nl)
    if duration_s > (longest_s := limits.bolus_max_duration_s):
        within_s = 0 if check_rate(volume_nl, longest_s, highest_basal_nl_per_day, limits) else longest_s
        return Refusal(ErrorCode.TIME_RANGE, duration_s, longest_s, within_s)
    return None


def check_windows(volume_nl: int, limits: PumpModel, window: BolusWindow, tick_ms: int) -> Refusal | None:
    """The rules for what an hour and a day may have, for a bolus that would start at `tick_ms`."""
    for code, used_nl, limit_nl in (
        (ErrorCode.HOUR_MAX, window.hour_used_nl(tick_ms), limits.hour_max_nl),
        (ErrorCode.DAY_MAX, window.day_used_nl(tick_ms), limits.day_max_nl),
    ):
        if used_nl + volume_nl > limit_nl:
            nearest_nl = quantised_nl(max(0, limit_nl - used_nl), limits.stroke_nl)
            return Refusal(code, volume_nl, limit_nl, nearest_nl)
    return None


def check_bolus(
    volume_nl: int,
    duration_s: int,
    highest_basal_nl_per_day: int,
    limits: PumpModel,
    window: BolusWindow | None,
    tick_ms: int,
) -> Refusal | None:
    """The rules for a clinician's bolus that would start at `tick_ms`; None where it may [SPEC 6].

    Without a window it is held to rate and size alone: a prime moves drug through the path, not into the patient.
    """
    refusal = check_size(volume_nl, duration_s, highest_basal_nl_per_day, limits)
    if refusal is not None or window is None:
        return refusal
    return check_windows(volume_nl, limits, window, tick_ms) or _check_gap(limits, window, tick_ms)


def _check_gap(limits: PumpModel, window: BolusWindow, tick_ms: int) -> Refusal | None:
    """From the end of the last bolus that delivered something. Nearest = the first second at which one may start."""
    if window.last_end_ms is None:
        return None
    earliest_ms = window.last_end_ms + limits.min_bolus_gap_s * MS_PER_S
    if tick_ms >= earliest_ms:
        return None
    elapsed_s = (tick_ms - window.last_end_ms) // MS_PER_S
    return Refusal(ErrorCode.GAP, elapsed_s, limits.min_bolus_gap_s, ceil_div(earliest_ms, MS_PER_S))
