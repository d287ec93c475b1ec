"""A script of `fixtures/scenarios`, played in a directory of its own by processes that need not import anew."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from tests.support.warm_python import WARM_PYTHON

if TYPE_CHECKING:
    from pathlib import Path


def played(script: Path, place: Path) -> str:
    """Play a script in this directory; returns what it printed, where it ended well."""
    pumpbench, descriptor = WARM_PYTHON.words()
    done = subprocess.run(
        ["sh", str(script), str(place)],
        env={"PATH": os.environ["PATH"], "HOME": str(place), "PUMPBENCH": pumpbench},
        capture_output=True,
        text=True,
        pass_fds=[descriptor],
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
