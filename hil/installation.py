"""Whether the package `protocol` is ours, and how to start a Python that imports this installation.

`protocol` is a common name, and somebody else's would fail in odd ways.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from hil.errors import BadConfiguration


def check_protocol_is_ours() -> None:
    """BadConfiguration, naming the intruder, if `protocol` does not stand beside this package."""
    beside = Path(__file__).resolve().parent.parent
    spec = importlib.util.find_spec("protocol")
    if spec is None or spec.origin is None:
        raise BadConfiguration("the package protocol is missing", advice="install pumpbench again")
    found = Path(spec.origin).resolve().parent
    if found != beside / "protocol":
        raise BadConfiguration(
            f"the package protocol at {found} is not pumpbench's, which is at {beside / 'protocol'}",
            advice="remove it from the path or give pumpbench a virtual environment of its own",
        )


def own_python() -> tuple[list[str], dict[str, str]]:
    """Command and environment of a Python that imports this very installation, whatever its directory holds."""
    environment = dict(os.environ)
    paths = [str(Path(__file__).resolve().parent.parent), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return [sys.executable, "-P"], environment


def check_that_asserts_are_checked() -> None:
    """BadConfiguration where this Python leaves assertions out: whatever pytest does not rewrite would pass."""
    if not __debug__:
        raise BadConfiguration(
            "this Python runs with -O or PYTHONOPTIMIZE, which leaves assertions out: tests would pass unchecked",
            advice="run it without",
        )
