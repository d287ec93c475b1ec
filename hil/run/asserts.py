"""That a run's assertions are checked at all. No pytest here."""

from __future__ import annotations

from hil.errors import BadConfiguration


def check_that_asserts_are_checked() -> None:
    """BadConfiguration where this Python leaves assertions out: whatever pytest does not rewrite would pass."""
    if not __debug__:
        raise BadConfiguration(
            "this Python runs with -O or PYTHONOPTIMIZE, which leaves assertions out: tests would pass unchecked",
            advice="run it without",
        )
