"""Records of the physical faults that a rig can set, each fired by the part on which it acts.

Records are immutable: a count that runs down is a new record. They hold no rules of their own.
"""

from __future__ import annotations

from typing import NamedTuple


class Stall(NamedTuple):
    """The rotor is held up to and including `until_ms` (pump time), or until released if that is None."""

    since_ms: int
    until_ms: int | None


class CutAtStroke(NamedTuple):
    """Power goes as the `strokes_left`-th stroke from now is due; those before it are turned, it is not."""

    strokes_left: int
    stays_off: bool = False


class CutAtWrite(NamedTuple):
    """Power goes in the `writes_left`-th memory write from now, of which `torn_after_bytes` bytes land."""

    writes_left: int
    torn_after_bytes: int
    stays_off: bool = False
