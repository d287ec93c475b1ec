"""Standard streams that are closed, take nothing or hold an older answer: one sentence, never a traceback or a yes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.for_each import for_each
from tests.support.patience import PATIENCE_S

HOUSE = Path(__file__).resolve().parents[3]
PUMPBENCH = [sys.executable, "-m", "hil.cli"]
NOBODY = ("--target", "pty:./nobody")


def ended(*arguments: str, redirected: str) -> tuple[int, str]:
    """Exit code and stderr of `pumpbench` with its streams as a shell has redirected them."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *PUMPBENCH, *arguments],
        capture_output=True,
        text=True,
        cwd=HOUSE,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stderr


@for_each(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("program", "--help"),
        ("program", "bolus", "--help"),
        ("emulate", "--help"),
        ("hil", "run", "--help"),
        ("help",),
        ("help", "exit-codes"),
        ("help", "json-schema"),
        ("completion", "bash"),
    ],
)
def test_a_page_that_stdout_does_not_take_is_exit_12_and_one_sentence(arguments: tuple[str, ...]) -> None:
    code, said = ended(*arguments, redirected=">/dev/full")
    assert (code, said.count("\n")) == (12, 1), said
    assert "No space left" in said


@pytest.mark.parametrize("redirected", ["<&-", "<&- 2>&-"])
def test_a_question_is_asked_of_nobody_where_stdin_is_closed(redirected: str) -> None:
    code, said = ended("program", "stop", *NOBODY, redirected=redirected)
    assert code == 2, said
    assert "2>&-" in redirected or said.rstrip().endswith("add --yes in scripts")


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full"])
def test_a_question_that_nobody_can_read_is_no_yes(redirected: str) -> None:
    master, slave = os.openpty()
    os.write(master, b"y\n")
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirected}', "sh", *PUMPBENCH, "program", "stop", *NOBODY],
        stdin=slave,
        capture_output=True,
        cwd=HOUSE,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(slave)
    os.close(master)
    assert done.returncode == {"2>&-": 2, "2>/dev/full": 13}[redirected], done


def test_what_was_typed_before_the_question_stood_there_is_no_answer_to_it() -> None:
    """A yes to something else, or a line of a text that was pasted, would give a bolus."""
    human, terminal = os.openpty()
    os.write(human, b"y\n")
    process = subprocess.Popen(
        [*PUMPBENCH, "program", "stop", *NOBODY],
        stdin=terminal,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=HOUSE,
    )
    os.close(terminal)
    assert process.stderr is not None
    seen = b""
    while b"[y/N]:" not in seen and (more := os.read(process.stderr.fileno(), 4_096)):
        seen += more
    os.write(human, b"n\n")
    _, said = process.communicate(timeout=PATIENCE_S)
    os.close(human)
    assert (process.returncode, b"nothing was sent" in said) == (13, True), seen + said
