"""How a board is reset, where somebody asks for it: by a pulse of DTR or RTS, by a break, or by a command.

Opening a port resets nothing. Which line resets a board, and by which level, is its maker's: an Arduino is reset when
DTR becomes active, an ESP32 by RTS while DTR is not. A reset is a restart, and no pump in its first state.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from hil.errors import BadConfiguration, BenchLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NO_RESET: Final = "none"
PULSE_MS: Final = 100
"""Longer than the RC of any auto-reset circuit (some 1 ms), shorter than a person notices."""
COMMAND_LIMIT_S: Final = 30.0


class ControlLines(Protocol):
    """What a serial line has beside its data."""

    def set_dtr(self, *, active: bool) -> None:
        """Drive DTR. BadConfiguration where the line has none."""
        ...

    def set_rts(self, *, active: bool) -> None:
        """Drive RTS. BadConfiguration where the line has none."""
        ...

    def set_break(self, *, active: bool) -> None:
        """Begin or end the break condition. BadConfiguration where the line cannot."""
        ...


class ResetOrder(NamedTuple):
    """What a reset works with. `dtr` and `rts` are the levels to which the lines go back."""

    lines: ControlLines
    wait_ms: Callable[[int], object]
    dtr: bool
    rts: bool
    run_command: Callable[[], None]


def _pulse_dtr(order: ResetOrder) -> None:
    order.lines.set_dtr(active=not order.dtr)
    order.wait_ms(PULSE_MS)
    order.lines.set_dtr(active=order.dtr)


def _pulse_rts(order: ResetOrder) -> None:
    order.lines.set_rts(active=not order.rts)
    order.wait_ms(PULSE_MS)
    order.lines.set_rts(active=order.rts)


def _pulse_rts_without_dtr(order: ResetOrder) -> None:
    order.lines.set_dtr(active=False)  # first: both active together is no reset of such a board
    order.lines.set_rts(active=True)
    order.wait_ms(PULSE_MS)
    order.lines.set_rts(active=False)
    order.lines.set_dtr(active=order.dtr)
    order.lines.set_rts(active=order.rts)


def _break(order: ResetOrder) -> None:
    order.lines.set_break(active=True)
    order.wait_ms(PULSE_MS)
    order.lines.set_break(active=False)


class ResetMethod(NamedTuple):
    """One way to reset a board."""

    meaning: str
    perform: Callable[[ResetOrder], object]


RESET_METHODS: Final[dict[str, ResetMethod]] = {
    NO_RESET: ResetMethod("nobody has said how", lambda _order: None),
    "dtr": ResetMethod("DTR is turned over for 100 ms", _pulse_dtr),
    "rts": ResetMethod("RTS is turned over for 100 ms", _pulse_rts),
    "esp32": ResetMethod("RTS is active for 100 ms while DTR is not", _pulse_rts_without_dtr),
    "break": ResetMethod("a break of 100 ms", _break),
    "command": ResetMethod("the reset_command of the bench file", lambda order: order.run_command()),
}


def run_command(words: tuple[str, ...], directory: Path, what: str, limit_s: float = COMMAND_LIMIT_S) -> None:
    """Run a command of the bench file, without a shell, in the directory of that file.

    BadConfiguration where there is none such, BenchLost where it fails or takes longer than `limit_s`.
    """
    shown = " ".join(words)
    try:
        done = subprocess.run(  # noqa: S603 - a command of the lab's own bench file, no shell
            words, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchLost(
            f"{what} has not ended after {limit_s:g} s: {shown}", advice="run it by hand"
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadConfiguration(
            f"{what} cannot be run ({reason}): {shown}", advice="check the bench file"
        ) from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
        last = f": {said[-1]}" if said else ""
        raise BenchLost(f"{what} ended with {done.returncode}{last} ({shown})", advice="run it by hand")
