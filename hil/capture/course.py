"""The course of a recording over time, for drawing: rate, reservoir, boluses, alarms, faults, errors of the link.

Time is the pump's where every packet tells it and there is one pump; else that of the line, from its first packet.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.capture.explanation import RUNS, effects_of, history_of, state_left_by
from hil.capture.history import Fact, FactKind
from hil.capture.link_errors import LinkErrors
from hil.capture.messages import NumberedMark, RecordedMessage
from hil.errors import BadConfiguration
from hil.quantity_words import ml
from protocol.capture.recording import TEST_BEGINS
from protocol.messages.reading import GetStatusReply
from protocol.messages.reservoir import GetReservoirReply

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from hil.capture.history import History
    from hil.capture.link_errors import LinkError
    from hil.capture.messages import Read

NS_PER_MS: Final = 10**6
MOMENTARY: Final = frozenset({"RESET", "BOLUS_PARTIAL", "KEY_RECOVERY", "TUBE_SET"})
"""Alarms whose condition is over as soon as it has happened [SPEC 6.3]."""
ONCE: Final = frozenset(
    {
        "overfill", "partial-fill", "pocket-fill", "power-cut-at-stroke", "power-cut-at-write", "rotor-backward",
        "side-port-aspiration", "watchdog-false",
    }
)  # fmt: skip
"""Faults of the bench that act once and are over."""
LASTS: Final = {"mri": ("field_duration_ms", "restart_delay_ms")}
"""Faults that end by themselves: the parameters whose sum is how long they last."""
EVENTS: Final = {
    "RefilledByHand": "refill by hand",
    "SyringeFilled": "fill",
    "SyringeAspirated": "aspiration",
    "WatchdogReset": "watchdog reset",
}
DELIVERIES: Final = {
    "BOLUS": "bolus", "PRIME": "prime", "PATIENT": "patient's bolus", "PERIODIC": "periodic bolus", "BRIDGE": "bridge",
}  # fmt: skip
STATE_NAMES: Final = {
    "STOP": "stopped",
    "SAFE_STATE": "safe state",
    "FAULT_STOP": "fault stop",
    "EOS": "end of service",
}


class Point(NamedTuple):
    """A value from a time on; None ends what was known."""

    at_ms: float
    value: float | None


class Stretch(NamedTuple):
    """Something with a beginning and an end, None where the recording ends before it; a moment has both in one.

    `number` is the packet that tells it first, `says` what is to be said of it besides.
    """

    begins_ms: float
    ends_ms: float | None
    number: int
    says: str = ""


class Row(NamedTuple):
    """All stretches of one name, of a group: state, bolus, alarm, fault, event or link."""

    group: str
    name: str
    stretches: list[Stretch]


class Course(NamedTuple):
    """All of it in the order of time."""

    by_pump: bool
    """Whether times are those of the pump; else of the line."""
    begins_ms: float
    ends_ms: float
    rate_nl_per_day: list[Point]
    reservoir_calc_nl: list[Point]
    """What the pump believes."""
    reservoir_true_nl: list[Point]
    """What was so, at the moments at which the pump's world tells it."""
    rows: list[Row]
    sealed: int
    damage: int


GROUPS: Final = ("state", "bolus", "alarm", "fault", "event", "link")


def course_of(entries: Iterable[Read], name: str) -> Course:
    """The course of a recording; BadConfiguration, with its name, where nothing in it has a time."""
    gathering = _Gathering()
    history = history_of(gathering.through(entries))
    if not gathering.moments:
        raise BadConfiguration(
            f"{name} has nothing with a time in it, and nothing can be drawn", advice="name another"
        )
    axis = _Axis(history, gathering)
    begins_ms, ends_ms = axis.ends()
    rows: dict[tuple[str, str], list[Stretch]] = {}
    for group, row_name, stretch in _stretches(history, axis, gathering):
        rows.setdefault((group, row_name), []).append(stretch)
    ordered = sorted(rows.items(), key=lambda each: GROUPS.index(each[0][0]))
    return Course(
        axis.by_pump,
        begins_ms,
        ends_ms,
        _rates(history, axis, gathering),
        _believed_volumes(history, axis, gathering),
        _true_volumes(history, axis),
        [Row(group, row_name, sorted(found)) for (group, row_name), found in ordered],
        history.sealed,
        history.damage,
    )


class _Moment(NamedTuple):
    """Where an entry stands in both times; `pump_ms` is None where it was not known."""

    number: int
    since_ms: float
    pump_ms: int | None


class _Numbered(NamedTuple):
    """A value from a time on, and the packet that tells it."""

    at_ms: float
    number: int
    value: float | None


class _Gathering:
    """Watches entries go by and keeps what has a place on the time axis and is no fact of the history."""

    def __init__(self) -> None:
        self.moments: list[_Moment] = []
        """The first and the last, and each that tells a value or an error."""
        self.every_packet_has_pump_time = True
        self.rates: list[tuple[_Moment, float | None]] = []
        self.reservoir: list[tuple[_Moment, float | None]] = []
        self.running: list[tuple[int, _Moment]] = []
        """The pump's running time, ms, where GET_STATUS told it."""
        self.errors: list[tuple[_Moment, str, str]] = []
        self._link = LinkErrors()
        self._last: _Moment | None = None

    def through(self, entries: Iterable[Read]) -> Iterator[Read]:
        for entry in entries:
            if isinstance(entry, RecordedMessage | NumberedMark) and entry.since_ns is not None:
                self._take(entry, _moment(entry, entry.since_ns))
            yield entry
        for error in self._link.unanswered():
            self._note(error)
        if self._last is not None:
            self.moments.append(self._last)

    def _take(self, entry: RecordedMessage | NumberedMark, moment: _Moment) -> None:
        self._last = moment
        for error in self._link.take(entry):
            self._note(error)
        if not self.moments:
            self.moments.append(moment)
        if isinstance(entry, NumberedMark):
            if entry.mark.kind == TEST_BEGINS:  # with another pump
                self.rates.append((moment, None))
                self.reservoir.append((moment, None))
            return
        self.every_packet_has_pump_time &= moment.pump_ms is not None
        match entry.message:
            case GetStatusReply() as status:
                self.rates.append((moment, status.rate_nl_per_day))
                self.reservoir.append((moment, status.reservoir_calc_nl))
                self.running.append((status.t_mono_s * 1_000, moment))
            case GetReservoirReply() as reservoir:
                self.reservoir.append((moment, reservoir.reservoir_calc_nl))

    def _note(self, error: LinkError) -> None:
        entry = error.entry
        if entry.since_ns is not None:
            self.errors.append((_moment(entry, entry.since_ns), error.name, error.says))


def _moment(entry: RecordedMessage | NumberedMark, since_ns: int) -> _Moment:
    pump_ms = entry.passed.pump_ms if isinstance(entry, RecordedMessage) else None
    return _Moment(entry.number, since_ns / NS_PER_MS, pump_ms)


class _Axis:
    """Puts facts and moments on the one time axis."""

    def __init__(self, history: History, gathering: _Gathering) -> None:
        memories = {fact.memory for fact in history.facts}
        self.by_pump = gathering.every_packet_has_pump_time and len(memories) <= 1
        self._history = history
        self._gathering = gathering
        self._running_ms = [running_ms for running_ms, _ in gathering.running]

    def of_moment(self, moment: _Moment) -> float:
        return moment.pump_ms if self.by_pump and moment.pump_ms is not None else moment.since_ms

    def of_fact(self, fact: Fact) -> float | None:
        """When a fact was: by what tells that it happened, and where only a log does by the pump's running time."""
        if self.by_pump and fact.pump_ms is not None:
            return fact.pump_ms
        if fact.running_ms is not None and not fact.marked and self._running_ms:
            at = max(0, bisect_right(self._running_ms, fact.running_ms) - 1)
            running_ms, moment = self._gathering.running[at]
            return self.of_moment(moment) + fact.running_ms - running_ms
        return None if fact.since_ns is None else fact.since_ns / NS_PER_MS

    def points(self, values: Iterable[tuple[_Moment, float | None]]) -> list[_Numbered]:
        return [_Numbered(self.of_moment(moment), moment.number, value) for moment, value in values]

    def ends(self) -> tuple[float, float]:
        """From the first packet to the last."""
        moments = self._gathering.moments
        found = [
            self.of_moment(moment) for moment in moments if not self.by_pump or moment.pump_ms is not None
        ]
        found += [
            fact.pump_ms
            for fact in self._history.facts
            if self.by_pump and fact.pump_ms is not None and fact.marked
        ]
        return (min(found), max(found)) if found else (0.0, 0.0)


def _rates(history: History, axis: _Axis, gathering: _Gathering) -> list[Point]:
    """As GET_STATUS, the log and the pump's world tell it; without power there is none."""
    told = {"RATE_CHANGE": "new_nl_per_day", "RateStepped": "new_nl_per_day", "PowerLost": None}
    return _sorted([*axis.points(gathering.rates), *_points_of(history, axis, told)])


def _believed_volumes(history: History, axis: _Axis, gathering: _Gathering) -> list[Point]:
    """As GET_STATUS and GET_RESERVOIR tell it, and the log at a refill, which fills an empty reservoir [SPEC 6.3]."""
    told = {"REFILL": "filled_nl"}
    refills = [point for point in _points_of(history, axis, told) if point.value is not None]
    return _sorted([*axis.points(gathering.reservoir), *refills])


def _points_of(history: History, axis: _Axis, told: Mapping[str, str | None]) -> Iterator[_Numbered]:
    """The values of a field of facts by their names; no field: from there on nothing is known."""
    for name, field in told.items():
        for fact in history.by_name.get(name, ()):
            at_ms = axis.of_fact(fact)
            if at_ms is not None and fact.kind is not FactKind.REQUEST:
                yield _Numbered(at_ms, fact.number, None if field is None else fact.fields.get(field))


def _sorted(points: Iterable[_Numbered]) -> list[Point]:
    """By time, and what is of one moment by packet."""
    return [Point(point.at_ms, point.value) for point in sorted(points, key=lambda point: point[:2])]


def _true_volumes(history: History, axis: _Axis) -> list[Point]:
    """A reservoir that was emptied and filled holds what was filled."""
    return [
        Point(at_ms, fact.fields["volume_nl"])
        for fact in history.of(FactKind.EVENT)
        if fact.name == "RefilledByHand" and (at_ms := axis.of_fact(fact)) is not None
    ]


def _stretches(history: History, axis: _Axis, gathering: _Gathering) -> Iterator[tuple[str, str, Stretch]]:
    effects = effects_of(history)
    yield from _states(effects.state_changes, axis)
    yield from _boluses(history, effects.boluses, axis)
    for alarm in effects.alarms:
        yield from _alarm(history, alarm, axis)
    for fault in history.of(FactKind.FAULT):
        yield from _fault(history, fault, axis)
    for fact in history.of(FactKind.EVENT):
        if fact.name in EVENTS:
            says = ml(fact.fields["volume_nl"]) if "volume_nl" in fact.fields else ""
            yield from _stretch("event", EVENTS[fact.name], fact, None, axis, momentary=True, says=says)
        elif fact.name == "PowerLost":
            back = _after(history, fact, ("PowerOn",))
            yield from _stretch("event", "power lost", fact, back, axis)
    for moment, name, says in gathering.errors:
        at_ms = axis.of_moment(moment)
        yield "link", name, Stretch(at_ms, at_ms, moment.number, says)


def _stretch(
    group: str,
    name: str,
    begins: Fact,
    ends: Fact | None,
    axis: _Axis,
    *,
    momentary: bool = False,
    says: str = "",
) -> Iterator[tuple[str, str, Stretch]]:
    begins_ms = axis.of_fact(begins)
    if begins_ms is not None:
        ends_ms = begins_ms if momentary else None if ends is None else axis.of_fact(ends)
        yield group, name, Stretch(begins_ms, ends_ms, begins.number, says)


def _after(
    history: History, begins: Fact, names: Iterable[str], matches: Callable[[Fact], bool] = lambda _: True
) -> Fact | None:
    """The first end behind a beginning: by the numbers of the log where both have one, else by the packets."""
    for name in names:
        found = history.by_name.get(name, [])
        behind = bisect_right(found, begins.at, key=lambda fact: fact.at)
        for at in chain(range(behind, len(found)), range(behind)):  # a log may be read later than its events
            fact = found[at]
            numbered = None not in (fact.seq, begins.seq)
            later = (fact.seq or 0) > (begins.seq or 0) if numbered else fact.at > begins.at
            if later and fact.memory == begins.memory and matches(fact):
                return fact
    return None


def _alarm(history: History, alarm: Fact, axis: _Axis) -> Iterator[tuple[str, str, Stretch]]:
    ends = _after(
        history, alarm, ("AlarmCleared", "ALARM_OFF"), lambda fact: fact.fields.get("alarm_id") == alarm.name
    )
    yield from _stretch("alarm", alarm.name, alarm, ends, axis, momentary=alarm.name in MOMENTARY)


def _states(changes: Iterable[Fact], axis: _Axis) -> Iterator[tuple[str, str, Stretch]]:
    """From each change to the next of the same pump, where therapy does not run."""
    changes = list(changes)
    for fact, following in zip(changes, [*changes[1:], None], strict=False):
        state = state_left_by(fact)
        if state != RUNS:
            ends = following if following is not None and following.memory == fact.memory else None
            yield from _stretch("state", STATE_NAMES.get(state, state), fact, ends, axis)


def _boluses(history: History, boluses: Iterable[Fact], axis: _Axis) -> Iterator[tuple[str, str, Stretch]]:
    for fact in boluses:
        if fact.kind is FactKind.REQUEST:  # asked for, and no entry tells what came of it
            yield from _stretch("bolus", "bolus, outcome not recorded", fact, None, axis, momentary=True)
            continue
        ends = _after(history, fact, (fact.name.replace("_START", "_END"),), _of_command(fact.cmd_id))
        says = f"{ml(fact.fields['volume_nl'])} ordered" if "volume_nl" in fact.fields else ""
        if ends is not None and "delivered_nl" in ends.fields:
            says += f", {ml(ends.fields['delivered_nl'])} delivered ({ends.fields['reason']})"
        name = DELIVERIES.get(str(fact.fields.get("kind")), fact.name)
        yield from _stretch("bolus", name, fact, ends, axis, says=says)


def _of_command(cmd_id: int) -> Callable[[Fact], bool]:
    return lambda fact: fact.cmd_id == cmd_id


def _fault(history: History, fault: Fact, axis: _Axis) -> Iterator[tuple[str, str, Stretch]]:
    cleared = _after(history, fault, ("FaultCleared",), lambda fact: fact.fields.get("name") == fault.name)
    values = {each["name"]: each["value"] for each in fault.fields.get("parameters", ())}
    says = ", ".join(f"{name} {value}" for name, value in values.items())
    once = fault.name in ONCE and cleared is None
    for group, name, stretch in _stretch(
        "fault", fault.name, fault, cleared, axis, momentary=once, says=says
    ):
        lasts = [int(values.get(parameter, 0)) for parameter in LASTS.get(fault.name, ())]
        over_ms = stretch.begins_ms + sum(lasts)
        if lasts and (stretch.ends_ms is None or over_ms < stretch.ends_ms):
            stretch = stretch._replace(ends_ms=over_ms)  # noqa: PLW2901 - the same, ended
        yield group, name, stretch
