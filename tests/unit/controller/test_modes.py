"""The table of modes: every state with every trigger, and the machine that drives it."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass

import pytest

from firmware_emu.controller.therapy.mode_machine import ImpossibleTriggerError, fire
from firmware_emu.controller.therapy.modes import DELIVERING, EDGES, IGNORED, Trigger
from protocol.identifiers import State
from tests.support.for_each import for_each

TRUSTED = {State.RUN, State.STOP}
TARGETS = {(edge.source, edge.trigger): edge.target for edge in EDGES}
IGNORES = {(row.source, row.trigger) for row in IGNORED}
GRID = list(itertools.product(State, Trigger))


@dataclass
class Subject:
    state: State


@for_each(("state", "trigger"), GRID)
def test_each_state_and_trigger_is_an_edge_or_ignored_or_impossible(state: State, trigger: Trigger) -> None:
    subject = Subject(state)
    if (state, trigger) in TARGETS:
        assert fire(trigger, subject)
        assert subject.state is TARGETS[state, trigger]
    elif (state, trigger) in IGNORES:
        assert not fire(trigger, subject)
        assert subject.state is state
    else:
        with pytest.raises(ImpossibleTriggerError, match=f"{trigger.name} cannot happen in {state.name}"):
            fire(trigger, subject)
        assert subject.state is state
    assert vars(subject) == {"state": subject.state}


def test_no_pair_is_in_the_table_twice() -> None:
    pairs = [(edge.source, edge.trigger) for edge in EDGES] + [(row.source, row.trigger) for row in IGNORED]
    assert len(pairs) == len(set(pairs))
    assert all(edge.source is not edge.target for edge in EDGES)


def test_an_error_leaves_the_machine_ready_for_the_next_pump() -> None:
    with pytest.raises(ImpossibleTriggerError):
        fire(Trigger.STOP_EXPIRED, Subject(State.RUN))
    subject = Subject(State.RUN)
    assert fire(Trigger.STOP_COMMANDED, subject)
    assert subject.state is State.STOP


def test_a_stop_always_acts() -> None:
    for state in State:
        subject = Subject(state)
        fire(Trigger.STOP_COMMANDED, subject)
        assert subject.state not in DELIVERING


def test_nothing_leads_out_of_the_end_of_service() -> None:
    assert not [edge for edge in EDGES if edge.source is State.EOS]
    assert all((state, Trigger.SERVICE_ENDED) in TARGETS for state in State if state is not State.EOS)


def test_only_a_program_or_a_refill_after_empty_restores_trust() -> None:
    restoring = {edge.trigger for edge in EDGES if edge.source not in TRUSTED and edge.target in TRUSTED}
    assert restoring == {Trigger.THERAPY_STARTED, Trigger.REFILLED_AFTER_EMPTY}


def test_a_stopped_pump_begins_to_deliver_only_by_people_or_an_expiry_that_they_chose() -> None:
    starting = {edge.trigger for edge in EDGES if edge.source not in DELIVERING and edge.target in DELIVERING}
    assert starting == {
        Trigger.THERAPY_STARTED,
        Trigger.THERAPY_RESUMED,
        Trigger.STOP_EXPIRED_SAFE_RATE,
        Trigger.STOP_EXPIRED_RESUME,
    }


def test_a_subject_stays_a_value() -> None:
    subject = Subject(State.RUN)
    fire(Trigger.STOP_COMMANDED, subject)
    assert copy.deepcopy(subject) == subject
