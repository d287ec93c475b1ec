"""Counts that a run tells at its end: how much a test with no fixed cases has played and reached."""

from __future__ import annotations

from collections import Counter

TALLIES: dict[str, Counter[str]] = {}
"""Of each subject that this process counted: what was counted, and how much of it."""


def tally(subject: str, counts: dict[str, int]) -> None:
    """Add what a test has played or reached to what the end of the run tells of the subject."""
    TALLIES.setdefault(subject, Counter()).update(counts)


def add(other: dict[str, dict[str, int]]) -> None:
    """Add what another process counted."""
    for subject, counts in other.items():
        tally(subject, counts)


def lines() -> list[str]:
    """A line for each subject, in the order of their names."""
    return [
        f"{subject}: " + ", ".join(f"{number:,} {what}" for what, number in counts.items())
        for subject, counts in sorted(TALLIES.items())
    ]
