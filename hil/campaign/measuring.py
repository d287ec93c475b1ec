"""What a life yields in numbers: how long therapy was lost, how late alarms came, how far a refill was off.

All times are of the pump, in ms. What is measured is the truth of the plant held against what the program in the pump
told in its trace; nothing here changes the life, and nothing is random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from firmware_emu.controller.events import AlarmCleared, AlarmRaised, LogWritten, RateStepped
from firmware_emu.events import PowerLost, PowerOn, RefilledByHand
from firmware_emu.faults.catalogue import FAULTS
from firmware_emu.units import MS_PER_DAY, PPM
from hil.campaign.patient_watch import RISKS
from hil.campaign.published import COHORT_MEASURES
from protocol.identifiers import AlarmId
from protocol.log.types import BolusEndReason, LogType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firmware_emu.events import TraceEntry
    from firmware_emu.pins import StrokeRun
    from hil.campaign.bedside import Bedside

    Span = tuple[int, int]
    """From and to, in ms of the pump."""

MEASURES: Final = {
    "therapy_lost_ms": "stretches without therapy: stopped, at the lowest rate, stalled, dry or without power",
    "stopped_ms": "stretches in which the basal rate was 0",
    "lowest_rate_ms": "stretches at no more than the safe rate",
    "stalled_ms": "stalls, from the first stroke that was not turned to the next that was, or to the stop of the pump",
    "stall_to_alarm_ms": "from the first stroke that was not turned to the alarm MOTOR_STALL",
    "stall_without_alarm_ms": "how long stalls lasted that ended without that alarm",
    "dry_ms": "stretches in which the reservoir could give nothing",
    "dry_to_alarm_ms": "from the stroke that took the last to the alarm EMPTY; below 0 where it came before",
    "dry_without_alarm_ms": "how long the reservoir was dry where that alarm did not come",
    "without_power_ms": "stretches without power",
    "volume_error_at_refill_nl": "what was drawn at a refill less what the pump expected",
    "volume_error_at_refill_ppm": "the same as a part of what the pump had counted as given, of 1 mL and more",
    "bolus_cut_short_nl": "what is missing, by the log, of a bolus that ended early",
    **RISKS,
    **COHORT_MEASURES,
}
"""What is measured here, by name; `Life.measured` may hold more."""
COUNTED_LEAST_NL: Final = 1_000_000
"""Of less no part is taken: one stroke would be thousands of ppm."""
AFTER_MS: Final = MS_PER_DAY
"""A fault may do harm so long after it took effect: a pump that stopped itself waits for somebody."""
_STALLED: Final = "stalled_ms"
_SILENT: Final = ("stopped_ms", "without_power_ms")
"""In these no stroke is asked for."""
_ALARMED: Final = {_STALLED: (AlarmId.MOTOR_STALL, "stall"), "dry_ms": (AlarmId.EMPTY, "dry")}
"""Kinds of stretches that an alarm should tell of, and how their names begin."""
_LOST: Final = ("stopped_ms", "lowest_rate_ms", _STALLED, "dry_ms", "without_power_ms")


class FaultLived(NamedTuple):
    """A fault that took effect in a life."""

    name: str
    effects: int
    """How often, as the catalogue counts it."""
    at_work_ms: int
    """How long it took effect, and a day after."""
    lost_ms: int
    """How much of that time was without therapy."""
    error_nl: int
    """The largest error of the volume at a refill before which it was at work, without its sign; 0: none.

    What the pump's own accuracy explains is taken away.
    """
    at_end: bool
    """Whether it was at work when the life ended: of a life that broke an invariant, whether it may be why."""
    withdrawal_ms: int = 0
    """How much of the time at work the patient was at risk of withdrawal, if there was one."""
    overdose_ms: int = 0
    """The same of an overdose."""


class _Alarm:
    """The stretches in which an alarm was active."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.since_ms: int | None = None

    def told(self, at_ms: int, *, on: bool) -> None:
        if on and self.since_ms is None:
            self.since_ms = at_ms
        elif not on and self.since_ms is not None:
            self.spans.append((self.since_ms, at_ms))
            self.since_ms = None

    def first_in(self, span: Span) -> int | None:
        """When it began that was active in this stretch, at its start or later; None: it was not."""
        spans = [*self.spans, *([] if self.since_ms is None else [(self.since_ms, span[1])])]
        return next((on_ms for on_ms, off_ms in spans if on_ms <= span[1] and off_ms >= span[0]), None)


class Measuring:
    """Measures one life: `commanded` at each row of strokes, `look` after each deed, `finish` at the end."""

    def __init__(self, talk: Bedside) -> None:
        self.talk, self.pump = talk, talk.pump
        talk.refilled = self.drawn
        self._seen = 0
        self.measured: dict[str, list[int]] = {}
        """Values by name and unit, in the order in which they came; that of `Life`."""
        self.faults: list[FaultLived] = []
        """Those that took effect, once the life is finished."""
        self._finished = False
        self._open: dict[str, int] = {}
        """Since when each kind of stretch lasts that has begun."""
        self._lost: list[Span] = []
        self._alarms = {AlarmId.MOTOR_STALL: _Alarm(), AlarmId.EMPTY: _Alarm()}
        self._held_ms: int | None = None
        """When the last row of strokes was due that something may have held."""
        self._missed = self._turned = 0
        self._expected_nl: int | None = None
        self._aspirated_nl_ppm = 0
        implant = self.pump.profile.implant
        self._filled_nl = 0 if implant is None else implant.filled_nl
        self._drawn: list[int] = []
        self._planned_nl: dict[int, int] = {}
        self._looked_ms = 0
        self._effects = dict.fromkeys(FAULTS, 0)
        self._at_work: dict[str, list[Span]] = {}
        self._errors_nl: list[tuple[Span, int]] = []
        self._refilled_ms = 0
        self._ended: list[tuple[str, Span]] = []

    def note(self, name: str, value: int) -> None:
        """Keep a value; the last part of the name is its unit."""
        self.measured.setdefault(name, []).append(value)

    # At each row of strokes

    def commanded(self, run: StrokeRun) -> None:
        """Strokes are due, and the rotor has not turned them yet."""
        rotor = self.pump.plant.rotor
        if self._held_ms is not None:
            self._settle()
        if rotor.stall or rotor.field or rotor.wear or _STALLED in self._open:
            self._held_ms = rotor.crystal.now_of(run.time_of_ms(run.first_k))
            self._missed, self._turned = rotor.strokes_missed, rotor.strokes_turned

    def _settle(self) -> None:
        """Look what became of the last row of strokes that something may have held."""
        rotor, at_ms, self._held_ms = self.pump.plant.rotor, self._held_ms, None
        if at_ms is None:
            return
        if rotor.strokes_missed > self._missed:
            self._begin(_STALLED, at_ms)
        if rotor.strokes_turned > self._turned:
            self._end(_STALLED, at_ms)

    # After a step in which the reservoir was filled

    def drawn(self) -> None:
        """A refill by hand has just emptied and filled the reservoir."""
        aspirated_nl_ppm = self.pump.plant.reservoir.aspirated_nl_ppm
        self._drawn.append((aspirated_nl_ppm - self._aspirated_nl_ppm) // PPM)
        self._aspirated_nl_ppm = aspirated_nl_ppm

    # After each deed

    def look(self) -> None:
        """What has happened since the last look, in its order."""
        self._settle()
        for entry in self.talk.trace[self._seen :]:
            self._happened(entry)
        self._seen = len(self.talk.trace)
        now_ms, controller = self.pump.now_ms, self.pump.controller
        dry_ms = self.pump.plant.reservoir.ran_dry_at_ms
        if dry_ms is None:
            self._end("dry_ms", now_ms)
        else:
            self._begin("dry_ms", dry_ms)
        if controller is not None:  # what a power cut may have swallowed
            self._rate(now_ms, controller.therapy.rate_nl_per_day)
            active = controller.records.alarms.active_mask
            for alarm_id, alarm in self._alarms.items():
                alarm.told(now_ms, on=bool(active >> alarm_id & 1))
        self._match_alarms()
        self._look_at_faults(now_ms)
        self._looked_ms = now_ms

    def _look_at_faults(self, now_ms: int) -> None:
        plant = self.pump.plant
        for name, fault in FAULTS.items():
            effects = fault.effects(plant)
            if effects > self._effects[name]:
                self._at_work.setdefault(name, []).append((self._looked_ms, now_ms + AFTER_MS))
            self._effects[name] = max(effects, self._effects[name])

    def _happened(self, entry: TraceEntry) -> None:
        at_ms = entry.now.pump_ms
        match entry.event:
            case LogWritten() as written:
                self._logged(at_ms, written)
            case RateStepped(new_nl_per_day=new):
                self._rate(at_ms, new)
            case AlarmRaised(alarm_id=alarm_id) if alarm_id in self._alarms:
                self._alarms[alarm_id].told(at_ms, on=True)
            case AlarmCleared(alarm_id=alarm_id) if alarm_id in self._alarms:
                self._alarms[alarm_id].told(at_ms, on=False)
            case RefilledByHand(volume_nl=volume_nl):
                self._refilled(at_ms, volume_nl)
            case PowerLost():
                self._begin("without_power_ms", at_ms)
            case PowerOn():
                self._end("without_power_ms", at_ms)
            case _:
                pass

    def _logged(self, at_ms: int, written: LogWritten) -> None:
        data: Any = written.data
        match written.log_type:
            case LogType.RATE_CHANGE:
                self._rate(at_ms, data.new_nl_per_day)
            case LogType.REFILL:
                self._expected_nl = data.expected_nl
            case LogType.BOLUS_START:
                self._planned_nl[written.cmd_id] = data.volume_nl
            case LogType.BOLUS_END:
                planned_nl = self._planned_nl.pop(written.cmd_id, None)
                if planned_nl is not None and data.reason is not BolusEndReason.COMPLETE:
                    self.note("bolus_cut_short_nl", planned_nl - data.delivered_nl)
            case _:
                pass

    def _rate(self, at_ms: int, rate_nl_per_day: int) -> None:
        self._set("stopped_ms", at_ms, on=rate_nl_per_day == 0)
        lowest = 0 < rate_nl_per_day <= self.pump.profile.model.safe_rate_nl_per_day
        self._set("lowest_rate_ms", at_ms, on=lowest)

    def _refilled(self, at_ms: int, volume_nl: int) -> None:
        self._end("dry_ms", at_ms)
        drawn_nl = self._drawn.pop(0) if self._drawn else None
        expected_nl, self._expected_nl = self._expected_nl, None
        if drawn_nl is not None and expected_nl is not None:
            error_nl, counted_nl = drawn_nl - expected_nl, self._filled_nl - expected_nl
            self.note("volume_error_at_refill_nl", error_nl)
            own_nl = counted_nl * (PPM - self.pump.plant.rotor.rated_accuracy_ppm) // PPM
            self._errors_nl.append(((self._refilled_ms, at_ms), abs(error_nl - own_nl)))
            if counted_nl >= COUNTED_LEAST_NL:
                self.note("volume_error_at_refill_ppm", error_nl * PPM // counted_nl)
        self._filled_nl, self._refilled_ms = volume_nl, at_ms

    # Stretches

    def _set(self, kind: str, at_ms: int, *, on: bool) -> None:
        if on:
            self._begin(kind, at_ms)
        else:
            self._end(kind, at_ms)

    def _begin(self, kind: str, at_ms: int) -> None:
        if kind in _SILENT and kind not in self._open:
            self._no_more_strokes(at_ms)
        self._open.setdefault(kind, at_ms)

    def _end(self, kind: str, at_ms: int) -> None:
        since_ms = self._open.pop(kind, None)
        if since_ms is None or at_ms <= since_ms:
            return
        if kind in _ALARMED:
            self._ended.append((kind, (since_ms, at_ms)))
        else:
            self._keep(kind, (since_ms, at_ms))

    def _keep(self, kind: str, span: Span) -> None:
        self.note(kind, span[1] - span[0])
        self._lost.append(span)

    def _no_more_strokes(self, at_ms: int) -> None:
        """From here on none is asked for, so that no stall can show: one that lasted is over."""
        if self._open.get(_STALLED, at_ms) < at_ms:
            self._end(_STALLED, at_ms)
        self._ended = [
            (kind, (span[0], at_ms) if kind == _STALLED and span[0] < at_ms < span[1] else span)
            for kind, span in self._ended
        ]

    def _match_alarms(self) -> None:
        """Hold the stretches that have ended against the alarms, of which all is known now."""
        for kind, span in self._ended:
            self._keep(kind, span)
            alarm_id, name = _ALARMED[kind]
            raised_ms = self._alarms[alarm_id].first_in(span)
            if raised_ms is None:
                self.note(f"{name}_without_alarm_ms", span[1] - span[0])
            elif raised_ms >= span[0] or alarm_id is AlarmId.EMPTY:  # else it is that of an earlier stall
                self.note(f"{name}_to_alarm_ms", raised_ms - span[0])
        self._ended.clear()

    # At the end of the life

    def finish(self) -> None:
        """End the measuring, however the life ended: what still lasts counts up to now."""
        if self._finished:
            return
        self._finished = True
        self.look()
        for kind in _LOST:
            self._end(kind, self.pump.now_ms)
        self._match_alarms()
        lost = _merged(self._lost)
        for from_ms, to_ms in lost:
            self.note("therapy_lost_ms", to_ms - from_ms)
        risks = self._risks()
        for name, spans in self._at_work.items():
            at_work = _merged((from_ms, min(to_ms, self.pump.now_ms)) for from_ms, to_ms in spans)
            both = sum(_shared(span, other) for span in at_work for other in lost)
            errors_nl = [
                error_nl
                for (from_ms, to_ms), error_nl in self._errors_nl
                if any(begun_ms < to_ms and looked_ms > from_ms for begun_ms, looked_ms in spans)
            ]
            length_ms = sum(to_ms - from_ms for from_ms, to_ms in at_work)
            largest_nl, at_end = max(errors_nl, default=0), spans[-1][1] >= self.pump.now_ms
            at_risk_ms = (sum(_shared(span, other) for span in at_work for other in risk) for risk in risks)
            self.faults.append(
                FaultLived(name, self._effects[name], length_ms, both, largest_nl, at_end, *at_risk_ms)
            )

    def _risks(self) -> list[list[Span]]:
        """When the patient was at each of the risks, once that has been noted; empty without a patient."""
        if self.talk.patient is None:
            return []
        for name, stretches in self.talk.patient.risks.items():
            for stretch in stretches:
                self.note(name, stretch.lasted_ms)
        return [
            [(each.from_ms, each.until_ms) for each in stretches]
            for stretches in self.talk.patient.risks.values()
        ]


def _merged(spans: Iterable[Span]) -> list[Span]:
    """The same time, in stretches that do not touch each other."""
    merged: list[Span] = []
    for from_ms, to_ms in sorted(spans):
        if merged and from_ms <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], to_ms))
        else:
            merged.append((from_ms, to_ms))
    return merged


def _shared(one: Span, other: Span) -> int:
    return max(0, min(one[1], other[1]) - max(one[0], other[0]))
