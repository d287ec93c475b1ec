"""Runs the suite as `pumpbench hil run` does, in a process of its own, for a comparison that follows."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from hil.cli.output import say
from hil.errors import BadConfiguration, BenchLost, ExitCode, PumpbenchError
from hil.installation import own_python
from hil.targets import make_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hil.address import Address

ENDED_WELL: Final = frozenset({ExitCode.OK, ExitCode.TESTS_FAILED, ExitCode.NO_TESTS})
"""Every test that was chosen has run, or was skipped."""
OF_EMULATORS: Final = ("profile", "seed")


def check_choice(targets: Sequence[Address], suite: dict[str, Any]) -> None:
    """Before the first of them runs: BadConfiguration where one cannot be, or the choice is for none of them."""
    for target in targets:
        make_target(target)
    for name in OF_EMULATORS:
        if targets and suite[name] is not None and not any(map(_makes_pumps, targets)):
            raise BadConfiguration(
                f"--{name} is for emulated pumps alone, and neither target makes its pump",
                advice="leave it out",
            )


def _makes_pumps(target: Address) -> bool:
    return target.scheme.name == "emulator"


def run_suite(target: Address, report: Path, suite: dict[str, Any]) -> None:
    """Run it; what it prints goes to stderr. PumpbenchError with its exit code where it was no whole run."""
    options = {"-k": suite["expression"]}
    if _makes_pumps(target):
        options |= {f"--{name}": suite[name] for name in OF_EMULATORS}
    words = [
        f"{name}={value}" if name != "-k" else f"-k{value}"
        for name, value in options.items()
        if value is not None
    ]
    say(f"pumpbench: the suite runs on {target}, report: {report}")
    python, environment = own_python()
    command = [
        *python,
        "-m",
        "hil.cli",
        "hil",
        "run",
        "--target",
        target.text,
        "--report",
        str(report),
        *words,
    ]
    if suite["pytest_arguments"]:
        command += ["--", *suite["pytest_arguments"]]
    sys.stdout.flush()
    process = subprocess.Popen(command, env=environment, stdin=None, stdout=sys.__stderr__)  # noqa: S603 - ours
    with _handing_on(process):
        code = process.wait()
    if code not in ENDED_WELL:
        known = ExitCode(code) if code in set(ExitCode) else BenchLost.exit_code
        kind = type("RunNotWhole", (PumpbenchError,), {"exit_code": known, "accused": "run"})
        error: PumpbenchError = kind(
            f"the run on {target} ended with {code}, and there is nothing to compare yet",
            advice=f"what it said stands above; its report is in {report}",
        )
        raise error


@contextmanager
def _handing_on(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """While a run is under way, signals are its own: it ends in order, and we with it.

    Ctrl-C reaches it from the terminal as it reaches us; the others are passed on.
    """
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, lambda *_: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _frame: process.send_signal(number)),
        signal.SIGHUP: signal.signal(signal.SIGHUP, lambda number, _frame: process.send_signal(number)),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
