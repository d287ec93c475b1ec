"""The time of a board whose test build has commands for it, over a line of its own, never over the therapy line.

    NOW                       -> OK {"now_ms": 0}
    ADVANCE {"duration_ms":5} -> OK {"now_ms": 5}
    UNTIL {...}               -> OK {"now_ms": 9, "reached": true, "events": [], "value": null}
                              -> NO a sentence that says what cannot be

A command and its answer are a line each, the rest of it a JSON object; the time is the patient's, in ms.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from hil.deadline import Deadline
from hil.errors import BenchLost, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hil.channel import Channel

COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "NOW": ("now_ms",),
    "ADVANCE": ("now_ms",),
    "UNTIL": ("now_ms", "reached", "events", "value"),
}
"""Each command of a board's time, and what its answer has."""
MAX_ANSWER_BYTES: Final = 1 << 20


class TimeLine:
    """The time of one board. Its line is opened when it is first asked."""

    exactness = "1 ms"

    def __init__(self, open_line: Callable[[], Channel], name: str, *, limit_ms: int) -> None:
        """`limit_ms`: how long, by the wall, a board may take to let any time pass."""
        self._open_line = open_line
        self._name = name
        self._limit_ms = limit_ms
        self._line: Channel | None = None

    def check(self, limit_ms: int) -> str:
        """Ask for the time, and let none pass."""
        return f"the patient's time is {self._asked('NOW', limit_ms)['now_ms']} ms"

    def ask(self, command: str, **said: object) -> Mapping[str, Any]:
        """Give one command of the table and return its answer.

        UsageError for what the board says that cannot be, BenchLost where it does not answer or answers nonsense.
        """
        return self._asked(command, self._limit_ms, **said)

    def _asked(self, command: str, within_ms: int, **said: object) -> Mapping[str, Any]:
        if self._line is None:
            self._line = self._open_line()
        line = self._line
        words = f"{command} {json.dumps(said)}" if said else command
        line.send(words.encode("utf-8") + b"\n")
        deadline, arrived = Deadline.after(within_ms, line.now_ms()), b""
        while not arrived.endswith(b"\n"):
            more = line.receive(deadline.at_ms)
            arrived += more
            if len(arrived) > MAX_ANSWER_BYTES or (not more and deadline.passed(line.now_ms())):
                self.close()  # an answer that comes late must meet no later question
                raise BenchLost(
                    f"{self._name} has not answered {command} within {within_ms} ms",
                    advice="see whether the board runs a build with a time command on that line",
                )
        return self._read(command, arrived.decode("utf-8", "replace").strip())

    def _read(self, command: str, answer: str) -> Mapping[str, Any]:
        word, _, rest = answer.partition(" ")
        if word == "NO":
            raise UsageError(rest or f"the board refuses {command}")
        try:
            said = json.loads(rest) if word == "OK" else None
        except ValueError:
            said = None
        if not isinstance(said, dict) or any(name not in said for name in COMMANDS[command]):
            raise BenchLost(
                f"{self._name} answers {command} with {answer[:60]!r}",
                advice=f"OK and a JSON object with {', '.join(COMMANDS[command])} is expected",
            )
        return said

    def close(self) -> None:
        """Give the line back."""
        line, self._line = self._line, None
        if line is not None:
            line.close()
