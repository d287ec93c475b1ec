"""Limits on what a pump sends to unproven clients: the energy budget of H5 and the back-off of H4 [SPEC 4].

An implant's battery is a life span. Whoever has not proven a key can make it answer only so often
(CVE-2017-12714); and guessing proofs costs longer and longer waits. Both live in RAM.
"""

from __future__ import annotations

from protocol.wire.limits import (
    BACK_OFF_ENTRIES,
    BACK_OFF_FIRST_S,
    BACK_OFF_MAX_S,
    BUDGET_BUCKET_MS,
    BUDGET_BUCKETS,
    BUDGET_WINDOW_MS,
)


class AnswerBudget:
    """At most `per_minute` unproven answers in any 60 s, and `per_day` in any 24 h.

    Doubtful ones may use half of each: refusals, hints, and PUMP_HELLO to a key_id whose last proof failed. So
    whoever guesses at one key leaves room for another. The minute is exact. The day is counted in whole hours,
    the last 25 of them, which is never too generous and needs 100 bytes of RAM instead of 4,000.
    """

    __slots__ = ("_hours", "_last_silence_ms", "_per_day", "_per_minute", "_recent")

    def __init__(self, per_minute: int, per_day: int) -> None:
        self._per_minute = per_minute
        self._per_day = per_day
        self._recent: list[tuple[int, bool]] = []  # (spent at ms, doubtful)
        self._hours: dict[int, tuple[int, int]] = {}  # hour: (answers, doubtful among them)
        self._last_silence_ms: int | None = None

    def spend(self, line_ms: int, *, doubtful: bool) -> bool:
        """Whether one more answer may leave now; it is counted if so."""
        self._forget(line_ms)
        answers = sum(count for count, _ in self._hours.values())
        room = len(self._recent) < self._per_minute and answers < self._per_day
        if room and doubtful:
            in_day = sum(count for _, count in self._hours.values())
            in_minute = sum(was_doubtful for _, was_doubtful in self._recent)
            room = in_minute < self._per_minute // 2 and in_day < self._per_day // 2
        if room:
            self._recent.append((line_ms, doubtful))
            self._add(line_ms, 1, int(doubtful))
        return room

    def give_back(self, spent_ms: int, *, doubtful: bool) -> None:
        """Take back the answer of that time, a PUMP_HELLO that has led to a good proof."""
        if (spent_ms, doubtful) in self._recent:
            self._recent.remove((spent_ms, doubtful))
        self._add(spent_ms, -1, -int(doubtful))

    def begins_silence(self, line_ms: int) -> bool:
        """Whether this refusal is the first after a minute without one, and so worth a log entry."""
        last, self._last_silence_ms = self._last_silence_ms, line_ms
        return last is None or line_ms - last >= BUDGET_WINDOW_MS

    def _add(self, at_ms: int, answers: int, doubtful: int) -> None:
        hour = at_ms // BUDGET_BUCKET_MS
        before = self._hours.get(hour, (0, 0))
        self._hours[hour] = (before[0] + answers, before[1] + doubtful)

    def _forget(self, line_ms: int) -> None:
        self._recent = [spent for spent in self._recent if line_ms - spent[0] < BUDGET_WINDOW_MS]
        oldest = line_ms // BUDGET_BUCKET_MS - BUDGET_BUCKETS + 1
        self._hours = {hour: counts for hour, counts in self._hours.items() if hour >= oldest}


class BackOff:
    """Waits of 1, 2, 4 ... 64 s after failed proofs, for each key_id by itself.

    Nobody locks out another's key but by failing on it; the last 16 key_ids are remembered, which the
    budget makes enough (`limits`).
    """

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        self._failures: dict[int, tuple[int, int]] = {}  # key_id: (number of failures, free again at ms)

    def wait_ms(self, key_id: int, line_ms: int) -> int:
        """How long this key_id must still wait in ms, or 0."""
        _, free_at_ms = self._failures.get(key_id, (0, 0))
        return max(0, free_at_ms - line_ms)

    def doubts(self, key_id: int) -> bool:
        """Whether the last proof for this key_id failed."""
        return key_id in self._failures

    def failed(self, key_id: int, line_ms: int) -> int:
        """Note a failure and return the wait that follows from it in s."""
        number, _ = self._failures.pop(key_id, (0, 0))
        wait_s = min(BACK_OFF_FIRST_S << number, BACK_OFF_MAX_S)
        while len(self._failures) >= BACK_OFF_ENTRIES:
            del self._failures[next(iter(self._failures))]
        self._failures[key_id] = (min(number + 1, BACK_OFF_MAX_S), line_ms + 1_000 * wait_s)
        return wait_s

    def succeeded(self, key_id: int) -> None:
        """Forget the failures of this key_id after a good proof."""
        self._failures.pop(key_id, None)
