"""A lease of the bench: one controller alone may use the verbs that change it, until it lets go or its time is over.

Its time is the host's, by the bench's clock: a lease is about the program at the other end, and ends under manual time
too. What a controller had injected that went without a word is for the runner to clear. Knows no HTTP.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from firmware_emu.bench.errors import LeasedError, NotNowError

if TYPE_CHECKING:
    from collections.abc import Callable

ID_BYTES = 8
PAST_MAX = 1_000  # how many leases that are over are told apart from those that never were
RAN_OUT = "this lease has ended, and what was injected under it was cleared; take a new one"
RELEASED = (
    "this lease has ended, as its holder released it, and what was injected under it stays; take a new one"
)
UNKNOWN = "no lease with this id is known here; send the id of the lease that you took, or none"


class Lease:
    """Who has the bench to itself, if anybody, until when, and which faults were injected meanwhile."""

    def __init__(self, host_s: Callable[[], float]) -> None:
        self._host_s = host_s
        self.who: str | None = None
        """The holder, for people; None where everybody may use every verb."""
        self._id: str | None = None
        self._ends_at_s = 0.0
        self._faults: list[str] = []
        self._past: dict[str, str] = {}
        """What is to be told to the holders of leases that are over, by id, the oldest first."""

    @property
    def left_s(self) -> float | None:
        """Host seconds until it ends; None where there is none."""
        return None if self.who is None else max(0.0, self._ends_at_s - self._host_s())

    def check(self, lease_id: str | None) -> None:
        """Let the holder pass, and everybody where nobody holds it; NotNowError for an id that is none or over."""
        if lease_id == self._id:
            return
        if self.who is not None:
            raise LeasedError(
                f"{self.who} has this bench to itself for another {self.left_s:.1f} s; wait, or let it release that"
            )
        raise NotNowError(self._past.get(lease_id or "", UNKNOWN))

    def take(self, who: str, seconds: int, lease_id: str | None) -> str:
        """Begin a lease, or renew the one of this id; returns its id."""
        self.check(lease_id)
        if self._id is None:
            self._id = os.urandom(ID_BYTES).hex()
        self.who = who
        self._ends_at_s = self._host_s() + seconds
        return self._id

    def release(self, lease_id: str | None) -> None:
        """Let go; the faults stay."""
        self.check(lease_id)
        self._close(RELEASED)

    def note(self, fault: str) -> None:
        """A fault was injected by whoever may."""
        if self.who is not None and fault not in self._faults:
            self._faults.append(fault)

    def end(self) -> list[str]:
        """Its time is over; returns the faults that were injected under it, to be cleared."""
        return self._close(RAN_OUT)

    def _close(self, why: str) -> list[str]:
        if self._id is not None:
            self._past[self._id] = why
        if len(self._past) > PAST_MAX:
            del self._past[next(iter(self._past))]
        faults, self._faults = self._faults, []
        self.who = self._id = None
        return faults
