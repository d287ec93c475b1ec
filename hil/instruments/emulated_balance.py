"""A balance that is no balance: the other end of MT-SICS, which weighs what it is told lies on its pan.

Bytes go in and come out; it has no line, no clock and no chance of its own. With the truth of an emulated pump as its
mass it weighs what that pump really delivered, so that a test for a balance runs on a desk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hil.instruments.mt_sics import END, UG_PER_UNIT

if TYPE_CHECKING:
    from collections.abc import Callable

CANCEL: Final = "@"
CAPACITY_UG: Final = 220_000_000
"""As of an analytical balance that shows 0.1 mg."""
UNDER_UG: Final = -2_000_000
"""What the pan itself presses less than: nothing lies where it should."""


class EmulatedBalance:
    """One balance. It shows whole steps of `resolution_ug`, rounded to the nearest."""

    def __init__(
        self,
        mass_ug: Callable[[], int],
        *,
        resolution_ug: int = 100,
        is_still: Callable[[], bool] = lambda: True,
        serial_number: str = "B000000001",
    ) -> None:
        """`mass_ug` is asked what lies on the pan; `is_still` whether it moves."""
        self._mass_ug = mass_ug
        self._is_still = is_still
        self._resolution_ug = resolution_ug
        self._serial_number = serial_number
        self._zero_ug = self._tare_ug = 0
        self._pending = b""
        self._commands: dict[str, Callable[[], str]] = {
            "S": self._stable,
            "SI": self._at_once,
            "Z": self._set_zero,
            "T": self._set_tare,
            "I4": self._own_number,
            CANCEL: self._own_number,
        }

    def feed(self, data: bytes) -> bytes:
        """Bytes of the line; returns what the balance answers to the commands that are whole by now."""
        *lines, self._pending = (self._pending + data).split(END)
        return b"".join(self._answer(line.decode("ascii", "replace")).encode("ascii") + END for line in lines)

    def _answer(self, command: str) -> str:
        action = self._commands.get(command)
        return "ES" if action is None else action()

    def _load_ug(self) -> int:
        return self._mass_ug() - self._zero_ug

    def _beyond(self) -> str:
        """`+` and `-` where the pan bears what it cannot weigh; "" else."""
        if self._load_ug() > CAPACITY_UG:
            return "+"
        return "-" if self._load_ug() < UNDER_UG else ""

    def _stable(self) -> str:
        beyond = self._beyond()
        if beyond or not self._is_still():
            return f"S {beyond or 'I'}"
        return f"S S {self._shown(self._load_ug() - self._tare_ug)}"

    def _at_once(self) -> str:
        beyond = self._beyond()
        return (
            f"S {beyond}"
            if beyond
            else f"S {'SD'[not self._is_still()]} {self._shown(self._load_ug() - self._tare_ug)}"
        )

    def _set_zero(self) -> str:
        if not self._is_still():
            return "Z I"
        self._zero_ug, self._tare_ug = self._mass_ug(), 0
        return "Z A"

    def _set_tare(self) -> str:
        beyond = self._beyond()
        if beyond or not self._is_still():
            return f"T {beyond or 'I'}"
        self._tare_ug = self._load_ug()
        return f"T S {self._shown(self._tare_ug)}"

    def _own_number(self) -> str:
        return f'I4 A "{self._serial_number}"'

    def _shown(self, mass_ug: int) -> str:
        """The mass as it is shown: 10 places, right-aligned, in g."""
        steps = (2 * mass_ug + self._resolution_ug) // (2 * self._resolution_ug)
        digits = len(str(UG_PER_UNIT["g"] // self._resolution_ug)) - 1
        whole_g, part = divmod(abs(steps), UG_PER_UNIT["g"] // self._resolution_ug)
        text = f"{'-' if steps < 0 else ''}{whole_g}.{part:0{digits}d}"
        return f"{text:>10} g"
