"""Faults of the chip on which the program runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from firmware_emu.faults.fault import COUNT_MAX, Fault, Parameter, Values, Where
from firmware_emu.pins import CELLS, WORD_BITS
from firmware_emu.plant.processor import CODE_BITS, TASKS

if TYPE_CHECKING:
    from firmware_emu.plant.plant import Plant


def _set_watchdog(plant: Plant, *, dead: bool) -> None:
    plant.processor.watchdog_dead = dead


def _disturb_receiver(plant: Plant, now_ms: int, values: Values) -> None:
    duration_ms = values["duration_ms"]
    plant.receiver.disturb(None if duration_ms is None else now_ms + duration_ms)


_CELL: Final = Parameter(
    "cell", 0, CELLS - 1, required=True, meaning="which critical variable, in which of its two copies"
)
_BIT: Final = Parameter("bit", 0, WORD_BITS - 1, required=True, meaning="which bit of its codeword")

PROCESSOR_FAULTS: Final = (
    Fault(
        "entropy-stuck",
        Where.PROCESSOR,
        "The random source gives zeros.",
        "RNG_FAILED at the next start; no session is opened with zeros",
        lambda plant, _now_ms, _values: plant.set_entropy_stuck(True),
        lambda plant, _now_ms: plant.set_entropy_stuck(False),
        lambda plant: plant.entropy.stuck,
        lambda plant: plant.entropy.stuck_draws,
    ),
    Fault(
        "ram-flip",
        Where.PROCESSOR,
        "A bit of a critical variable in RAM is turned. Given twice, with two bits, it is a double flip.",
        "a codeword that does not check when it is read: one bit is put right, two end in the safe state",
        lambda plant, _now_ms, values: plant.processor.flip(values["cell"], values["bit"]),
        lambda plant, _now_ms: plant.processor.heal_flips(),
        lambda plant: bool(plant.processor.flips),
        lambda plant: plant.processor.flips_read,
        (_CELL, _BIT),
    ),
    Fault(
        "ram-stuck",
        Where.PROCESSOR,
        "A bit of a critical variable's cell in RAM reads 1, whatever is written.",
        "the test of RAM at the start and by SELF_TEST; while it runs, a bit that cannot be put right",
        lambda plant, _now_ms, values: plant.processor.stick(values["cell"], values["bit"]),
        lambda plant, _now_ms: plant.processor.free_stuck(),
        lambda plant: bool(plant.processor.stuck),
        lambda plant: plant.processor.stuck_reads,
        (_CELL, _BIT),
    ),
    Fault(
        "code-flip",
        Where.PROCESSOR,
        "A bit of the program's code is turned.",
        "the check of the code at the start, and each hour while it runs",
        lambda plant, _now_ms, values: plant.processor.flip_code(values["bit"]),
        lambda plant, _now_ms: plant.processor.heal_code(),
        lambda plant: bool(plant.processor.code_flips),
        lambda plant: plant.processor.code_reads_flipped,
        (Parameter("bit", 0, CODE_BITS - 1, required=True),),
    ),
    Fault(
        "cpu-fault",
        Where.PROCESSOR,
        "The arithmetic unit gets a product wrong.",
        "a product whose result is known, at the start, each hour while it runs, and by SELF_TEST",
        lambda plant, _now_ms, _values: plant.processor.set_cpu(faulty=True),
        lambda plant, _now_ms: plant.processor.set_cpu(faulty=False),
        lambda plant: plant.processor.cpu_faulty,
        lambda plant: plant.processor.cpu_wrong,
    ),
    Fault(
        "stack-overflow",
        Where.PROCESSOR,
        "The stack grows over the word behind it.",
        "the guard of the stack, looked at before each event: the safe state",
        lambda plant, _now_ms, _values: plant.processor.overflow_stack(),
        lambda plant, _now_ms: plant.processor.rearm_guard(),
        lambda plant: not plant.processor.guard_stands,
        lambda plant: plant.processor.guards_lost,
    ),
    Fault(
        "hung-task",
        Where.PROCESSOR,
        "A task of the program hangs, and feeds the watchdog no more. Clearing it resets the program.",
        "nothing until the watchdog has reset it; then BOOT with the cause WATCHDOG",
        lambda plant, now_ms, values: plant.processor.hang(values["task"], now_ms),
        lambda plant, _now_ms: plant.processor.end_hang(),
        lambda plant: plant.processor.hangs,
        lambda plant: plant.processor.hangs_felt,
        (
            Parameter(
                "task",
                1,
                len(TASKS),
                default=TASKS["delivery"],
                meaning=", ".join(f"{number} {name}" for name, number in TASKS.items()),
            ),
        ),
    ),
    Fault(
        "watchdog-false",
        Where.PROCESSOR,
        "The watchdog resets the program though every task has fed it. Once.",
        "BOOT with the cause WATCHDOG",
        lambda plant, now_ms, _values: plant.processor.bite_at(now_ms),
        lambda plant, _now_ms: plant.processor.keep_fed(),
        lambda plant: plant.processor.bites_soon,
        lambda plant: plant.processor.false_bites,
    ),
    Fault(
        "watchdog-dead",
        Where.PROCESSOR,
        "The watchdog does not count: a task that hangs is never reset.",
        "the watchdog's own test, at the start and by SELF_TEST",
        lambda plant, _now_ms, _values: _set_watchdog(plant, dead=True),
        lambda plant, _now_ms: _set_watchdog(plant, dead=False),
        lambda plant: plant.processor.watchdog_dead,
        lambda plant: plant.processor.hangs_missed,
    ),
    Fault(
        "emi-wake",
        Where.PLANT,
        "Interference wakes the receiver of the telemetry.",
        "a wake-up without a frame: telemetry mode, and while an alarm sounds no infusion",
        _disturb_receiver,
        lambda plant, _now_ms: plant.receiver.end(),
        lambda plant: plant.receiver.disturbed,
        lambda plant: plant.receiver.wakes,
        (Parameter("duration_ms", 0, COUNT_MAX, meaning="until it is cleared"),),
    ),
)
