"""The chip on which the program runs: cells of RAM, its code, the guard of its stack, its watchdog. Not for therapy.

What lies in RAM is lost with power, so of the cells only what is wrong with them goes on file. A word is written and
read by the number of its cell; who keeps what where is the program's affair.
"""

from __future__ import annotations

from typing import ClassVar, Final

from firmware_emu.pins import CELLS, WORD_BITS, ResetCause
from firmware_emu.plant.component import COUNT, Component, Json, Kinds, Range, rows

CODE_BYTES: Final = 4
"""An emulated program has the number of its version in the place of its code."""
CODE_BITS: Final = CODE_BYTES * 8
GUARD: Final = 0x5AFE_57AC
NO_TASK: Final = 0
LINK_TASK: Final = 1
"""The task that takes bytes from the line and answers: the one that can hang by itself."""
TASKS: Final = {"link": LINK_TASK, "delivery": 2, "alarms": 3, "memory": 4}
"""The tasks of the program that feed the watchdog. Any but the first takes the whole program along."""
_MASK: Final = {"cell": Range(0, CELLS - 1), "bits": Range(1, (1 << WORD_BITS) - 1)}
_MASKS: Final = ("flips", "stuck")


class Processor(Component):
    """Implements `pins.ProcessorPin`. A task that hangs is NO_TASK where none does."""

    __slots__ = (
        "bites",
        "cells",
        "code",
        "code_flips",
        "code_reads_flipped",
        "cpu_faulty",
        "cpu_wrong",
        "disturbed",
        "false_bites",
        "flips",
        "flips_read",
        "guard",
        "guards_lost",
        "hang_felt",
        "hangs_felt",
        "hangs_missed",
        "healthy",
        "hung_since_ms",
        "hung_task",
        "reset_at_ms",
        "reset_cause_now",
        "stuck",
        "stuck_reads",
        "watchdog_dead",
        "watchdog_ms",
    )
    SAVED: ClassVar[Kinds] = {
        "bites": COUNT,
        "code_flips": Range(0, (1 << CODE_BITS) - 1),
        "code_reads_flipped": COUNT,
        "cpu_faulty": bool,
        "cpu_wrong": COUNT,
        "false_bites": COUNT,
        "flips_read": COUNT,
        "guard": Range(0, (1 << 32) - 1),
        "guards_lost": COUNT,
        "hang_felt": bool,
        "hangs_felt": COUNT,
        "hangs_missed": COUNT,
        "hung_since_ms": COUNT,
        "hung_task": COUNT,
        "reset_at_ms": COUNT,
        "stuck_reads": COUNT,
        "watchdog_dead": bool,
    }
    MAY_BE_NONE: ClassVar[tuple[str, ...]] = ("reset_at_ms",)

    def __init__(self, firmware_version: int, watchdog_ms: int) -> None:
        """`watchdog_ms`: how long the watchdog waits to be fed before it resets the chip."""
        self.code = firmware_version
        self.watchdog_ms = watchdog_ms
        self.cells: dict[int, int] = {}
        self.flips: dict[int, int] = {}
        """Bits that were turned since the cell was written, by cell."""
        self.stuck: dict[int, int] = {}
        """Bits that read 1 whatever was written, by cell."""
        self.guard = GUARD
        self.code_flips = 0
        self.cpu_faulty = self.watchdog_dead = False
        self.hung_task, self.hung_since_ms = NO_TASK, 0
        self.hang_felt = False
        """Whether the hang that lasts has kept anything from being done."""
        self.reset_at_ms: int | None = None
        self.reset_cause_now = ResetCause.POWER
        self.flips_read = self.stuck_reads = self.code_reads_flipped = self.cpu_wrong = 0
        self.guards_lost = self.bites = self.false_bites = self.hangs_missed = self.hangs_felt = 0
        self.disturbed = False
        """Whether a cell or the stack is not as it was written."""
        self.healthy = True
        """Whether nothing is wrong that the program, or the watchdog, may come upon at a time of its own."""

    # What the program does

    def read_cell(self, cell: int) -> int:
        """The word in a cell; 0 where nothing was written since power came."""
        word = self.cells.get(cell, 0)
        if not self.disturbed:
            return word
        if cell in self.flips:
            self.flips_read += 1
            word ^= self.flips[cell]
        if self.stuck.get(cell, 0) & ~word:
            self.stuck_reads += 1
            word |= self.stuck[cell]
        return word

    def write_cell(self, cell: int, word: int) -> None:
        """Write a word; what was turned in the cell is gone with what it held."""
        self.cells[cell] = word
        if self.flips.pop(cell, None) is not None:
            self._look()

    def read_code(self) -> bytes:
        """The code as it lies there."""
        self.code_reads_flipped += bool(self.code_flips)
        return (self.code ^ self.code_flips).to_bytes(CODE_BYTES, "little")

    def multiply(self, left: int, right: int) -> int:
        """What the arithmetic unit makes of two numbers."""
        self.cpu_wrong += self.cpu_faulty
        return left * right ^ self.cpu_faulty

    def guard_intact(self) -> bool:
        """Whether the word behind the stack is as it was put there."""
        intact = self.guard == GUARD
        self.guards_lost += not intact
        return intact

    def rearm_guard(self) -> None:
        """Put the word behind the stack there anew."""
        self.guard = GUARD
        self._look()

    def watchdog_counts(self) -> bool:
        """Whether the counter of the watchdog runs, as its own test sees it."""
        self.hangs_missed += self.watchdog_dead
        return not self.watchdog_dead

    def reset_cause(self) -> ResetCause:
        """Why the program started, by the register of the chip."""
        return self.reset_cause_now

    # What happens to it

    def flip(self, cell: int, bit: int) -> None:
        """Turn a bit of a cell; the same bit a second time turns it back."""
        turned = self.flips.get(cell, 0) ^ 1 << bit
        if turned:
            self.flips[cell] = turned
        else:
            self.flips.pop(cell, None)
        self._look()

    def stick(self, cell: int, bit: int) -> None:
        """Let a bit of a cell read 1 from now on."""
        self.stuck[cell] = self.stuck.get(cell, 0) | 1 << bit
        self._look()

    def heal_flips(self) -> None:
        """Turn back what was turned and not written over since."""
        self.flips.clear()
        self._look()

    def free_stuck(self) -> None:
        """Free what is stuck."""
        self.stuck.clear()
        self._look()

    @property
    def guard_stands(self) -> bool:
        """Whether the stack has not grown over its guard, for a rig to see."""
        return self.guard == GUARD

    def overflow_stack(self) -> None:
        """Let the stack grow over its guard."""
        self.guard = 0
        self._look()

    def hang(self, task: int, now_ms: int) -> None:
        """Let a task of the program hang from now on; one that hangs already stays the first."""
        if not self.hung_task:
            self.hung_task, self.hung_since_ms = task, now_ms
            self._look()

    def feel_hang(self) -> None:
        """Note that the task that hangs has kept something from being done: each hang counts once."""
        if self.hung_task and not self.hang_felt:
            self.hang_felt = True
            self.hangs_felt += 1

    def end_hang(self) -> None:
        """End what hangs by a reset: a program that went on where it stood would turn at once all that it missed."""
        if self.hung_task:
            self.reset_at_ms = self.hung_since_ms
            self._look()

    def bite_at(self, now_ms: int) -> None:
        """Let the watchdog reset the chip though it was fed."""
        self.reset_at_ms = now_ms
        self._look()

    def keep_fed(self) -> None:
        """Let the watchdog not bite after all."""
        if self.bites_soon:
            self.reset_at_ms = None
            self._look()

    def flip_code(self, bit: int) -> None:
        """Turn a bit of the code; the same bit a second time turns it back."""
        self.code_flips ^= 1 << bit
        self._look()

    def heal_code(self) -> None:
        """Turn back what was turned in the code."""
        self.code_flips = 0
        self._look()

    def set_cpu(self, *, faulty: bool) -> None:
        """Let the arithmetic unit be wrong, or right again."""
        self.cpu_faulty = faulty
        self._look()

    def next_event_ms(self) -> int | None:
        """When the watchdog will reset the chip; None while it is fed, and for a dead one."""
        if self.hung_task and not self.watchdog_dead:
            bite_ms = self.hung_since_ms + self.watchdog_ms
            return bite_ms if self.reset_at_ms is None else min(bite_ms, self.reset_at_ms)
        return self.reset_at_ms

    @property
    def hangs(self) -> bool:
        """Whether a task hangs, and nobody has ended that yet."""
        return bool(self.hung_task) and self.reset_at_ms is None

    @property
    def bites_soon(self) -> bool:
        """Whether the watchdog is about to reset a program that it was fed by."""
        return self.reset_at_ms is not None and not self.hung_task

    @property
    def fails_hourly_test(self) -> bool:
        """Whether the test of code and arithmetic would find something."""
        return bool(self.code_flips) or self.cpu_faulty

    def bite(self) -> None:
        """Note that the watchdog resets the chip now; what it had found is the register's to tell."""
        if self.hung_task:
            self.feel_hang()
            self.bites += 1
        else:
            self.false_bites += 1
        self.start()
        self.reset_cause_now = ResetCause.WATCHDOG

    def lose_ram(self) -> None:
        """Forget with the power what lies in RAM; the register of the next start says so."""
        self.start()
        self.reset_cause_now = ResetCause.POWER

    def start(self) -> None:
        """Begin anew what a start begins anew: the cells, the stack, and a task that hung."""
        self.cells.clear()
        self.flips.clear()
        self.guard = GUARD
        self.hung_task, self.hung_since_ms, self.hang_felt = NO_TASK, 0, False
        self.reset_at_ms = None
        self._look()

    def _look(self) -> None:
        """Work out anew what others ask often."""
        self.disturbed = bool(self.flips or self.stuck or self.guard != GUARD)
        wrong = self.disturbed or self.hung_task or self.code_flips or self.cpu_faulty
        self.healthy = not wrong and self.reset_at_ms is None

    # On file

    def to_json(self) -> Json:
        masks = {name: [list(row) for row in getattr(self, name).items()] for name in _MASKS}
        return {**super().to_json(), **masks}

    def from_json(self, state: Json) -> None:
        super().from_json(state)
        for name in _MASKS:
            setattr(self, name, {row[0]: row[1] for row in rows(state, name, _MASK)})
        self._look()
