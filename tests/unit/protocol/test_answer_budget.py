"""The energy budget against its plain definition, and the back-off table's size [SPEC 4]."""

from __future__ import annotations

import random

from protocol.link.budget import AnswerBudget, BackOff

BACK_OFF_ENTRIES = 16  # [SPEC 4, H4]
BACK_OFF_MAX_S = 64  # [SPEC 4, H4]

DAY_MS = 86_400_000


def test_in_any_minute_and_any_day_no_more_is_spent_than_allowed() -> None:
    dice = random.Random(12)
    budget = AnswerBudget(per_minute=10, per_day=200)
    now_ms, spent = 0, []
    while now_ms < 3 * DAY_MS:
        now_ms += dice.choice([1, 500, 5_000, 90_000])
        if budget.spend(now_ms, doubtful=dice.random() < 0.3):
            spent.append(now_ms)
    for at, first_ms in enumerate(spent):
        assert sum(1 for later_ms in spent[at : at + 11] if later_ms - first_ms < 60_000) <= 10
        assert sum(1 for later_ms in spent[at : at + 201] if later_ms - first_ms < DAY_MS) <= 200
    assert len(spent) >= 400


def test_the_eleventh_answer_leaves_a_minute_after_the_first() -> None:
    budget = AnswerBudget(10, 1_000)
    assert [budget.spend(n, doubtful=False) for n in range(11)] == [True] * 10 + [False]
    assert budget.spend(59_999, doubtful=False) is False
    assert budget.spend(60_000, doubtful=False) is True
    assert budget.spend(60_000, doubtful=False) is False
    assert budget.spend(60_001, doubtful=False) is True


def test_the_doubtful_get_half() -> None:
    budget = AnswerBudget(10, 1_000)
    assert [budget.spend(0, doubtful=True) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [budget.spend(0, doubtful=False) for _ in range(7)] == [True] * 5 + [False] * 2
    day = AnswerBudget(10, 8)
    assert sum(day.spend(60_000 * minute, doubtful=True) for minute in range(20)) == 4
    assert sum(day.spend(60_000 * minute, doubtful=False) for minute in range(20, 40)) == 4


def test_what_is_given_back_can_be_spent_again() -> None:
    budget = AnswerBudget(1, 1)
    for now_ms in (0, 1, 3_599_999, 3_600_000):
        assert budget.spend(now_ms, doubtful=False)
        assert not budget.spend(now_ms, doubtful=False)
        budget.give_back(now_ms, doubtful=False)


def test_silence_begins_once_until_a_minute_passes_without_a_refusal() -> None:
    budget = AnswerBudget(0, 0)
    told = [budget.begins_silence(now_ms) for now_ms in (0, 10, 59_000, 118_999, 178_999, 238_000)]
    assert told == [True, False, False, False, True, False]


def test_the_back_off_table_is_bounded_and_forgets_the_oldest_failure() -> None:
    table = BackOff()
    for key_id in range(1_000):
        table.failed(key_id, 0)
    assert [key_id for key_id in range(1_000) if table.wait_ms(key_id, 0)] == list(
        range(1_000 - BACK_OFF_ENTRIES, 1_000)
    )


def test_endless_failures_wait_no_longer_than_the_longest() -> None:
    table = BackOff()
    waits = [table.failed(7, 0) for _ in range(300)]
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 64]
    assert set(waits[7:]) == {BACK_OFF_MAX_S}
    assert table.wait_ms(7, 63_999) == 1
    assert table.wait_ms(7, 64_000) == 0
    assert table.wait_ms(8, 0) == 0
