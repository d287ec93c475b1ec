"""Hints that something changed: only to who asked, at most one a second, and until the status was read [SPEC 5, 6]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.plugin import needs, verifies
from protocol.identifiers import Capability, EventFlag, OnExpiry

if TYPE_CHECKING:
    from hil.programmer.programmer import Programmer
    from hil.rig import Rig

INTERVAL_MS = 1_000  # at most one a second [SPEC 6]
PATIENCE_MS = 3_000


@pytest.fixture
def subscribed(running: Programmer) -> Programmer:
    """A programmer whom the pump tells of every change from now on."""
    opened = running.session.opened
    assert opened is not None
    if Capability.EVENTS not in Capability(opened.pump_hello.caps):
        pytest.skip("this pump has no EVENTS")
    running.subscribe()
    return running


@verifies("HNT-001")
def test_a_change_is_told_with_what_the_status_then_says(subscribed: Programmer) -> None:
    subscribed.stop(3_600)
    hint = subscribed.next_hint(PATIENCE_MS)
    assert hint is not None
    status = subscribed.status()
    assert EventFlag.STATE in hint.mask
    assert (hint.status_rev, hint.last_seq) == (status.status_rev, status.last_seq)
    assert subscribed.next_hint(PATIENCE_MS) is None


@verifies("HNT-001")
def test_who_asked_for_nothing_is_told_nothing(running: Programmer) -> None:
    running.stop(3_600)
    assert running.next_hint(PATIENCE_MS) is None


@verifies("HNT-002")
@needs("time")
def test_what_changed_stays_in_the_hints_until_the_status_is_read(
    subscribed: Programmer, pump_rig: Rig
) -> None:
    subscribed.bolus(10_000, 600)
    first = subscribed.next_hint(PATIENCE_MS)
    pump_rig.advance(INTERVAL_MS)
    subscribed.stop(3_600)
    pump_rig.advance(INTERVAL_MS)
    masks = [] if first is None else [first.mask]
    while (hint := subscribed.next_hint(PATIENCE_MS)) is not None:
        masks.append(hint.mask)
    assert EventFlag.BOLUS in masks[0]
    assert masks[-1] & masks[0] == masks[0]
    assert EventFlag.STATE in masks[-1]
    subscribed.status()
    subscribed.resume()
    pump_rig.advance(INTERVAL_MS)
    last = subscribed.next_hint(PATIENCE_MS)
    assert last is not None
    assert EventFlag.BOLUS not in last.mask


@verifies("HNT-003")
@needs("time")
def test_no_second_hint_comes_within_a_second(subscribed: Programmer, pump_rig: Rig) -> None:
    times_ms = []
    for _ in range(3):
        subscribed.stop(3_600)
        pump_rig.advance(INTERVAL_MS // 4)
    pump_rig.advance(INTERVAL_MS)
    while (hint := subscribed.next_hint(PATIENCE_MS)) is not None:
        times_ms.append((subscribed.session.now_ms(), hint.last_seq))
    assert 1 <= len(times_ms) <= 2
    assert times_ms[-1][1] == subscribed.status().last_seq


@verifies("HNT-001")
@needs("time", "reset")
def test_what_happens_by_itself_is_told_too(subscribed: Programmer, pump_rig: Rig) -> None:
    subscribed.stop(60, on_expiry=OnExpiry.ALARM_ONLY)
    subscribed.status()
    pump_rig.advance(60_000)
    hint = subscribed.next_hint(PATIENCE_MS)
    assert hint is not None
    assert EventFlag.ALARM in hint.mask
