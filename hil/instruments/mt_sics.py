"""A balance that speaks MT-SICS, the command set of Mettler-Toledo balances, levels 0 and 1, over a serial line.

    S    -> S S     100.00 g     the stable mass
    SI   -> S D      99.98 g     the mass at once, D while it moves
    Z, T -> Z A, T S 0.00 g      zero, tare
    I4   -> I4 A "0123456789"    the serial number

An answer that does not come, or is none of these, is one sentence; every wait is bounded.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Final, NamedTuple

from hil.deadline import Deadline
from hil.errors import BadConfiguration, BenchLost
from hil.rig import Weighing

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.channel import Channel

END: Final = b"\r\n"
MAX_LINE_BYTES: Final = 200
STALE_READS_MAX: Final = 100
UG_PER_UNIT: Final = {"g": 1_000_000, "mg": 1_000, "kg": 1_000_000_000, "ug": 1}
_MASS: Final = re.compile(r"(S|T) (S|D) +(-?[0-9]+(?:\.[0-9]*)?) (\w+)")
SERIAL_ANSWER: Final = re.compile(r'I4 A "([^"]*)"')


class Complaint(NamedTuple):
    """What a balance says instead of a mass, and what a person does about it."""

    meaning: str
    advice: str


COMPLAINTS: Final = {
    "+": Complaint("is overloaded", "take weight off its pan"),
    "-": Complaint("is underloaded: its pan is off, or it hangs in the air", "put its pan on"),
    "I": Complaint(
        "was busy, or its mass would not settle", "shield it from draught, and wait for the end of adjusting"
    ),
    "L": Complaint("does not take what it was asked", "see which level of MT-SICS it has"),
    "ES": Complaint("did not understand its command", "check baud and parity of its line"),
    "ET": Complaint("heard a damaged command", "check baud and parity of its line"),
    "EL": Complaint("cannot do the command", "see which level of MT-SICS it has"),
}
"""By the last part of an answer."""


class MtSicsBalance:
    """One balance behind a line, which is opened when it is first asked."""

    def __init__(
        self, open_line: Callable[[], Channel], name: str, *, resolution_ug: int, limit_ms: int
    ) -> None:
        """`resolution_ug`: the smallest step that it shows. `limit_ms`: how long a stable mass may take."""
        self._open_line = open_line
        self._name = name
        self._line: Channel | None = None
        self.resolution_ug = resolution_ug
        self.limit_ms = limit_ms
        self.exactness = f"{resolution_ug / UG_PER_UNIT['mg']:g} mg"

    def serial_number(self) -> str:
        """What the balance calls itself."""
        answer = self._ask("I4")
        match = SERIAL_ANSWER.fullmatch(answer)
        if match is None:
            raise self._complaint("I4", answer)
        return match[1]

    def weigh(self) -> Weighing:
        """The mass once it is stable. BenchLost where it is not in time, or the pan bears too much or too little."""
        return self._mass("S")

    def check(self, limit_ms: int) -> str:
        """Ask for the mass at this moment, stable or not."""
        return f"{self._mass('SI', limit_ms).mass_ug / UG_PER_UNIT['g']:g} g on its pan"

    def weigh_now(self) -> Weighing:
        """The mass at this moment, stable or not."""
        return self._mass("SI")

    def tare(self) -> Weighing:
        """Make what lies on the pan now the new zero; returns the mass of it."""
        return self._mass("T")

    def zero(self) -> None:
        """Set the zero of an empty pan."""
        answer = self._ask("Z")
        if answer != "Z A":
            raise self._complaint("Z", answer)

    def close(self) -> None:
        """Give the line back."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _mass(self, command: str, limit_ms: int | None = None) -> Weighing:
        answer = self._ask(command, limit_ms)
        match = _MASS.fullmatch(answer)
        if match is None or match[1] != command[0]:
            raise self._complaint(command, answer)
        if match[4] not in UG_PER_UNIT:
            raise BadConfiguration(
                f"the balance {self._name} weighs in {match[4]!r}",
                advice=f"set it to one of {', '.join(UG_PER_UNIT)}",
            )
        shown_ug = Fraction(match[3]) * UG_PER_UNIT[match[4]]
        step_ug = Fraction(UG_PER_UNIT[match[4]], 10 ** len(match[3].partition(".")[2]))
        if step_ug > self.resolution_ug:
            raise BadConfiguration(
                f"the balance {self._name} shows steps of {float(step_ug):g} ug, and its bench file says "
                f"resolution_ug = {self.resolution_ug}",
                advice="write what it shows, or set the balance to show more digits",
            )
        return Weighing(round(shown_ug), self.resolution_ug, match[2] == "S")

    def _ask(self, command: str, limit_ms: int | None = None) -> str:
        """Send a command and return its answer, one line. `limit_ms` is the balance's own where it is None."""
        within_ms = self.limit_ms if limit_ms is None else limit_ms
        if self._line is None:
            self._line = self._open_line()
        line = self._line
        for _ in range(STALE_READS_MAX):  # what nobody waits for any more; one that never ends is told below
            if not line.receive(line.now_ms()):
                break
        line.send(command.encode("ascii") + END)
        deadline = Deadline.after(within_ms, line.now_ms())
        arrived = b""
        while END not in arrived:
            more = line.receive(deadline.at_ms)
            arrived += more
            if len(arrived) > MAX_LINE_BYTES:
                raise BenchLost(
                    f"the balance {self._name} sends noise: {arrived[:20]!r}",
                    advice="check baud and parity of its line",
                )
            if not more and deadline.passed(line.now_ms()):
                line.send(b"@" + END)  # cancels what it was asked, so that its answer meets no later question
                raise BenchLost(
                    f"the balance {self._name} has not answered {command} within {within_ms} ms",
                    advice="see whether it is on, its line is MT-SICS, and its mass can settle",
                )
        answer = arrived.partition(END)[0]
        return answer.decode("ascii", "backslashreplace").strip()

    def _complaint(self, command: str, answer: str) -> BenchLost:
        complaint = COMPLAINTS.get(answer.rpartition(" ")[2])
        if complaint is None:
            return BenchLost(
                f"the balance {self._name} answers {command} with {answer!r}",
                advice="see whether its line speaks MT-SICS",
            )
        return BenchLost(f"the balance {self._name} {complaint.meaning}", advice=complaint.advice)
