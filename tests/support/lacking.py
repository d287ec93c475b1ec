"""A target of ours that cannot do one thing that it can: what is skipped for it is tried in a run on that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONFTEST = """
from hil.capabilities import TargetCapability
from hil.targets.process import ProcessTarget

every = ProcessTarget.capabilities
ProcessTarget.capabilities = property(lambda target: every.fget(target) - {TargetCapability.SNAPSHOT})
"""


def keep_no_snapshots(directory: Path) -> None:
    """Let `emulator:process` go back to no snapshot in the runs of tests in this directory."""
    (directory / "conftest.py").write_text(CONFTEST)
