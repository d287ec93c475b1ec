"""The states of therapy and the events that lead from one to another: a table, and why it is as it is.

Two questions make four states. Does the pump deliver? Is the therapy in its memory still what a clinician
meant?

                     therapy trusted    not trusted
    delivers         RUN                SAFE_STATE (at the safe rate)
    does not         STOP               FAULT_STOP

Nothing that happens by itself crosses from right to left, with one exception: a refill takes back what only
the empty reservoir did. Otherwise a clinician's program, started, is the one way back. So a stop commanded in
SAFE_STATE leads to FAULT_STOP, not to STOP, from which a resume would run a program that nobody vouches for;
and damaged memory in STOP leads to FAULT_STOP, because a stopped pump must not begin to deliver by itself.
The expiry of a stop goes back at most to what was stopped. EOS is the end: nothing leads out of it.

Each pair of state and trigger is an edge, ignored (it may happen, and changes nothing), or impossible: then
the program around this table has an error. Commands that are refused never become triggers. What is delivered
in a state, for how long and with which alarm stands elsewhere; `mode_machine` drives this table.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NamedTuple

from protocol.identifiers import State

DELIVERING: Final = frozenset({State.RUN, State.SAFE_STATE})


class Trigger(Enum):
    """What may change the state."""

    THERAPY_STARTED = "therapy_started"  # a program was committed, to start
    THERAPY_RESUMED = "therapy_resumed"
    STOP_COMMANDED = "stop_commanded"
    STOP_EXPIRED = "stop_expired"  # with alarm only
    STOP_EXPIRED_SAFE_RATE = "stop_expired_safe_rate"
    STOP_EXPIRED_RESUME = "stop_expired_resume"
    RESERVOIR_EMPTIED_MINIMUM_RATE = "reservoir_emptied_minimum_rate"
    RESERVOIR_EMPTIED_STOP = "reservoir_emptied_stop"
    REFILLED_AFTER_EMPTY = "refilled_after_empty"  # and nothing but the empty reservoir had changed the state
    MEMORY_CORRUPTED = "memory_corrupted"  # of therapy data
    RESET_TO_SAFE_RATE = "reset_to_safe_rate"  # by the policy of the profile
    DELIVERY_FAULTED = "delivery_faulted"  # the pump can no longer vouch for what it delivers
    SERVICE_ENDED = "service_ended"


class Edge(NamedTuple):
    """In this state, this trigger leads there."""

    source: State
    trigger: Trigger
    target: State


class Ignored(NamedTuple):
    """In this state, this trigger may happen, and changes nothing."""

    source: State
    trigger: Trigger


RUN, STOP, SAFE_STATE, FAULT_STOP, EOS = State.RUN, State.STOP, State.SAFE_STATE, State.FAULT_STOP, State.EOS

EDGES: Final = (
    Edge(STOP, Trigger.THERAPY_STARTED, RUN),
    Edge(SAFE_STATE, Trigger.THERAPY_STARTED, RUN),
    Edge(FAULT_STOP, Trigger.THERAPY_STARTED, RUN),
    Edge(STOP, Trigger.THERAPY_RESUMED, RUN),
    Edge(RUN, Trigger.STOP_COMMANDED, STOP),
    Edge(SAFE_STATE, Trigger.STOP_COMMANDED, FAULT_STOP),
    Edge(STOP, Trigger.STOP_EXPIRED_SAFE_RATE, SAFE_STATE),
    Edge(FAULT_STOP, Trigger.STOP_EXPIRED_SAFE_RATE, SAFE_STATE),
    Edge(STOP, Trigger.STOP_EXPIRED_RESUME, RUN),
    Edge(FAULT_STOP, Trigger.STOP_EXPIRED_RESUME, SAFE_STATE),
    Edge(RUN, Trigger.RESERVOIR_EMPTIED_MINIMUM_RATE, SAFE_STATE),
    Edge(RUN, Trigger.RESERVOIR_EMPTIED_STOP, STOP),
    Edge(SAFE_STATE, Trigger.RESERVOIR_EMPTIED_STOP, FAULT_STOP),
    Edge(SAFE_STATE, Trigger.REFILLED_AFTER_EMPTY, RUN),
    Edge(RUN, Trigger.MEMORY_CORRUPTED, SAFE_STATE),
    Edge(STOP, Trigger.MEMORY_CORRUPTED, FAULT_STOP),
    Edge(RUN, Trigger.RESET_TO_SAFE_RATE, SAFE_STATE),
    Edge(RUN, Trigger.DELIVERY_FAULTED, FAULT_STOP),
    Edge(STOP, Trigger.DELIVERY_FAULTED, FAULT_STOP),
    Edge(SAFE_STATE, Trigger.DELIVERY_FAULTED, FAULT_STOP),
    Edge(RUN, Trigger.SERVICE_ENDED, EOS),
    Edge(STOP, Trigger.SERVICE_ENDED, EOS),
    Edge(SAFE_STATE, Trigger.SERVICE_ENDED, EOS),
    Edge(FAULT_STOP, Trigger.SERVICE_ENDED, EOS),
)

_IGNORED_IN: Final = {
    Trigger.THERAPY_STARTED: (RUN,),  # another program, and the pump goes on running
    Trigger.THERAPY_RESUMED: (RUN,),  # done, no effect [SPEC 6]
    Trigger.STOP_COMMANDED: (STOP, FAULT_STOP, EOS),  # acts each time, and finds nothing to stop
    Trigger.STOP_EXPIRED: (STOP, FAULT_STOP, EOS),  # an alarm, and the pump stays stopped
    Trigger.STOP_EXPIRED_SAFE_RATE: (EOS,),
    Trigger.STOP_EXPIRED_RESUME: (EOS,),
    # SAFE_STATE has the lowest rate already; STOP, by a prime or a refill of nothing; EOS, after damage to the alarms
    Trigger.RESERVOIR_EMPTIED_MINIMUM_RATE: (SAFE_STATE, STOP, FAULT_STOP, EOS),
    Trigger.RESERVOIR_EMPTIED_STOP: (STOP, FAULT_STOP, EOS),
    Trigger.REFILLED_AFTER_EMPTY: (RUN, STOP, FAULT_STOP),  # what stands still is started by people
    Trigger.MEMORY_CORRUPTED: (SAFE_STATE, FAULT_STOP, EOS),
    Trigger.RESET_TO_SAFE_RATE: (STOP, SAFE_STATE, FAULT_STOP, EOS),  # what stands still is started by people
    Trigger.DELIVERY_FAULTED: (FAULT_STOP, EOS),
    Trigger.SERVICE_ENDED: (EOS,),
}
IGNORED: Final = tuple(Ignored(state, trigger) for trigger, states in _IGNORED_IN.items() for state in states)
