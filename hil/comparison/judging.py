"""Judges two messages of one class field by field, by the rule of each; counts what a rule judged, and what it hid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hil.comparison.rules import BAD_FRAME, DECLARED, fields_of
from protocol.codec.sameness import EXACT, Rule, Sameness
from protocol.errors import RemoteError
from protocol.log.entry import LogEntry

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from hil.comparison.rules import FieldOfRecord, Override, Rules


class Unlike(NamedTuple):
    """A field whose values are not the same by its rule; of a list of rows, how many there are."""

    place: str
    was: Any
    now: Any


@dataclass(eq=False)
class Applied:
    """A rule at a field: how many pairs of values it judged, and how many of them it hid, though they differed."""

    place: str
    rule: Rule
    override: Override | None
    judged: int = 0
    hid: int = 0
    last: tuple[Any, Any] | None = None

    @property
    def source(self) -> str:
        """Why the rule is so."""
        return DECLARED if self.override is None else self.override.reason

    def same(self, was: Any, now: Any, names: _Names) -> bool:
        """Whether two values are the same by this rule."""
        self.judged += 1
        same = _JUDGED_BY[self.rule.sameness](self, was, now, names)
        if same and was != now:
            self.hid += 1
        return same


class _Names:
    """What is called how in the other recording, both ways, by what it is that is named."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, Any], Any] = {}
        self._back: dict[tuple[str, Any], Any] = {}

    def correspond(self, what: str, was: Any, now: Any) -> bool:
        """Whether both name the same, as far as is known.

        Where they do not, they do from here on: a second pump of one recording begins to count anew, and one difference
        shall not become many.
        """
        if not was or not now:
            return bool(was == now)  # none, or no such field
        there, back = self._there.get((what, was), now), self._back.get((what, now), was)
        if there != now:
            self._back.pop((what, there), None)
        if back != was:
            self._there.pop((what, back), None)
        self._there[what, was], self._back[what, now] = now, was
        return bool(there == now and back == was)


def _exact(_applied: Applied, was: Any, now: Any, _names: _Names) -> bool:
    return bool(was == now)


def _volatile(_applied: Applied, _was: Any, _now: Any, _names: _Names) -> bool:
    return True


def _delta(applied: Applied, was: Any, now: Any, _names: _Names) -> bool:
    if was is None or now is None:
        return was is now
    return bool(abs(was - now) <= applied.rule.tolerance)


def _monotonic(applied: Applied, was: Any, now: Any, _names: _Names) -> bool:
    last, applied.last = applied.last, (was, now)
    if was is None or now is None or last is None or None in last:
        return (was is None) is (now is None)
    return bool((was < last[0]) is (now < last[1]))


def _mapped(applied: Applied, was: Any, now: Any, names: _Names) -> bool:
    return names.correspond(applied.rule.names or applied.place, was, now)


_JUDGED_BY = {
    Sameness.EXACT: _exact,
    Sameness.VOLATILE: _volatile,
    Sameness.DELTA: _delta,
    Sameness.MONOTONIC: _monotonic,
    Sameness.MAPPED: _mapped,
}


class _Step(NamedTuple):
    """One field of a record in a message: its rule where it is a plain value, else the steps inside."""

    declared: FieldOfRecord
    path: str
    applied: Applied | None
    inner: tuple[_Step, ...]


class Judge:
    """The rules of one comparison at work."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._plans: dict[type, tuple[_Step, ...]] = {}
        self._details: dict[tuple[type, type, str], tuple[_Step, ...]] = {}
        self._names = _Names()
        self.applied: list[Applied] = []
        self._bad_frames: Applied | None = None

    def messages(self, was: Any, now: Any) -> Iterator[Unlike]:
        """The fields in which two messages of one class differ."""
        cls = type(was)
        return self._between(cls, self._plan_of(cls), was, now, cls.__name__)

    def bad_frames(self, was: bytes, now: bytes) -> Iterator[Unlike]:
        """Whether what is no frame differs."""
        if self._bad_frames is None:
            rule, override = self._rules.of_bad_frames()
            self._bad_frames = self._add(Applied(f"{BAD_FRAME}.data", rule, override))
        if not self._bad_frames.same(was, now, self._names):
            yield Unlike(self._bad_frames.place, was, now)

    def contents(self, message: Any) -> Hashable:
        """All of a message that is compared exactly: what two that say the same have in common."""
        cls = type(message)
        return self._contents(cls, self._plan_of(cls), message)

    def _contents(self, message: type, steps: tuple[_Step, ...], values: Any) -> Hashable:
        found: list[Hashable] = []
        for step, value in zip(steps, values, strict=True):
            if not step.inner:
                found.append(value if step.applied is not None and step.applied.rule == EXACT else None)
            elif step.declared.is_log_entry:
                found.append(tuple(self._entry_contents(message, step, raw) for raw in value))
            elif step.declared.is_rows:
                found.append(tuple(self._contents(message, step.inner, row) for row in value))
            else:
                found.append(self._contents(message, step.inner, value))
        return tuple(found)

    def _entry_contents(self, message: type, step: _Step, raw: bytes) -> Hashable:
        read = _entry(raw)
        if read is None:
            return raw
        entry, details = read
        steps = self._plan_of_details(message, step, type(details))
        return entry.type, entry.actor, entry.flags, self._contents(message, steps, details)

    def unused(self) -> list[Override]:
        """The rules of somebody's own that judged nothing."""
        used = {id(each.override) for each in self.applied if each.judged}
        return [override for override in self._rules.overrides.values() if id(override) not in used]

    def _add(self, applied: Applied) -> Applied:
        self.applied.append(applied)
        return applied

    def _plan_of(self, cls: type) -> tuple[_Step, ...]:
        if cls not in self._plans:
            self._plans[cls] = self._plan(cls, cls, "")
        return self._plans[cls]

    def _plan_of_details(self, message: type, step: _Step, details: type) -> tuple[_Step, ...]:
        key = (message, details, step.path)
        if key not in self._details:
            self._details[key] = self._plan(message, details, f"{step.path}.data.")
        return self._details[key]

    def _plan(self, message: type, owner: type, prefix: str) -> tuple[_Step, ...]:
        steps = []
        for each in fields_of(owner):
            path = prefix + each.name
            rule, override = self._rules.of(message, path, owner, each.rule)
            whole = each.record is None or override is not None
            place = f"{message.__name__}.{path}"
            applied = self._add(Applied(place, rule, override)) if whole or each.is_rows else None
            inner = () if each.record is None or whole else self._plan(message, each.record, f"{path}.")
            steps.append(_Step(each, path, applied, inner))
        return tuple(steps)

    def _between(
        self, message: type, steps: tuple[_Step, ...], was: Any, now: Any, place: str
    ) -> Iterator[Unlike]:
        for step, one, other in zip(steps, was, now, strict=True):
            if not step.inner:
                assert step.applied is not None  # noqa: S101 - as it was planned
                if not step.applied.same(one, other, self._names):
                    yield Unlike(f"{place}.{step.declared.name}", one, other)
            elif step.declared.is_rows:
                yield from self._rows(message, step, one, other, f"{place}.{step.declared.name}")
            else:
                yield from self._between(message, step.inner, one, other, f"{place}.{step.declared.name}")

    def _rows(
        self, message: type, step: _Step, was: tuple[Any, ...], now: tuple[Any, ...], place: str
    ) -> Iterator[Unlike]:
        assert step.applied is not None  # noqa: S101 - as it was planned
        if not step.applied.same(len(was), len(now), self._names):
            yield Unlike(f"{place}.length", len(was), len(now))
        for number, (one, other) in enumerate(zip(was, now, strict=False)):
            if step.declared.is_log_entry:
                yield from self._log_entries(message, step, one, other, f"{place}[{number}]")
            else:
                yield from self._between(message, step.inner, one, other, f"{place}[{number}]")

    def _log_entries(
        self, message: type, step: _Step, was: bytes, now: bytes, place: str
    ) -> Iterator[Unlike]:
        """Two entries of a log; what cannot be read as one is compared byte by byte."""
        entries = [_entry(raw) for raw in (was, now)]
        one, other = entries
        if one is None or other is None:
            if was != now:
                yield Unlike(place, was, now)
            return
        (entry, details), (other_entry, other_details) = one, other
        in_details = type(details) is type(other_details)
        steps = [each for each in step.inner if each.declared.name != "data" or not in_details]
        names = [each.declared.name for each in steps]
        yield from self._between(
            message,
            tuple(steps),
            [getattr(entry, n) for n in names],
            [getattr(other_entry, n) for n in names],
            place,
        )
        if in_details:
            inner = self._plan_of_details(message, step, type(details))
            yield from self._between(message, inner, details, other_details, f"{place}.data")


def _entry(raw: bytes) -> tuple[LogEntry, Any] | None:
    """An entry and what its data say; None where it is corrupt, or of a later version."""
    try:
        entry = LogEntry.unpack(raw)
        return entry, entry.details()
    except RemoteError:
        return None
