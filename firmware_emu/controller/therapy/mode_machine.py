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
    edges: list[dict[str, object]] = [
        {"trigger": edge.trigger.value, "source": edge.source, "dest": edge.target} for edge in EDGES
    ]
    ignored: list[dict[str, object]] = [
        {"trigger": row.trigger.value, "source": row.source, "dest": None} for row in IGNORED
    ]
    return Machine(
        model=None,
        states=list(State),
        initial=None,
        transitions=edges + ignored,
        auto_transitions=False,
        queued=True,
    )


_MACHINE: Final = _built()


def fire(trigger: Trigger, subject: Moded) -> bool:
    """Let something happen to a subject; returns whether its state has changed. May raise."""
    before = subject.state
    try:
        _MACHINE.events[trigger.value].trigger(subject)
    except MachineError as error:
        raise ImpossibleTriggerError(before, trigger) from error
    return subject.state is not before
