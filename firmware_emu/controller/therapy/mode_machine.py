"""Drives the table of `modes`. The only place that knows the library `transitions`; decides nothing by itself.

One machine serves every pump: it is built once, holds no pump, and is handed the subject whose state it
changes.
"""

from __future__ import annotations

from typing import Final, Protocol

from transitions import Machine, MachineError

from firmware_emu.controller.therapy.modes import EDGES, IGNORED, Trigger
from protocol.identifiers import State


class Moded(Protocol):
    """Anything with a state of therapy."""

    state: State


class ImpossibleTriggerError(Exception):
    """This cannot happen in this state: an error of the program around the table, not of a client."""

    def __init__(self, state: State, trigger: Trigger) -> None:
        super().__init__(f"{trigger.name} cannot happen in {state.name}")
        self.state = state
        self.trigger = trigger


def _built() -> Machine:
    machine = Machine(model=None, states=list(State), initial=None, auto_transitions=False, queued=True)
    for edge in EDGES:
        machine.add_transition(edge.trigger.value, edge.source, edge.target)
    for row in IGNORED:
        machine.add_transition(row.trigger.value, row.source, None)
    return machine


_MACHINE: Final = _built()


def fire(trigger: Trigger, subject: Moded) -> bool:
    """Change a subject's state as the table says; returns whether it has changed. May raise ImpossibleTriggerError."""
    before = subject.state
    try:
        _MACHINE.events[trigger.value].trigger(subject)
    except MachineError as error:
        raise ImpossibleTriggerError(before, trigger) from error
    return subject.state is not before
