"""Commands that offer a port until a signal ends them, as processes of their own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.warm_python import PipedProcess

if TYPE_CHECKING:
    import signal


class PortCommand:
    """`pumpbench COMMAND ... --json` in a process of its own, ready."""

    def __init__(self, *words: str | Path) -> None:
        self.process = PipedProcess(
            "hil.cli",
            *map(str, words),
            "--json",
            cwd=Path.cwd(),
            env=os.environ,
            stdin=os.open(os.devnull, os.O_RDONLY),
        )
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        self.ready: dict[str, Any] = json.loads(line)

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send it a signal; its exit code, and what it said since it was ready."""
        self.process.send_signal(number)
        out, err = self.process.communicate()
        return self.process.wait(), out.decode(), err.decode()
