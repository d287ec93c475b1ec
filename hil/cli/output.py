"""What `pumpbench program` prints: answers, on stdout, and notices on stderr.

An answer that cannot be written must not look like a command that failed: its error says what was done all the same.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, TextIO

import click

from hil.cli.interrupts import hear_none
from hil.errors import AnswerNotWritten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def tell(text: str, *, done: str = "", advice: str = "", last: bool = True) -> None:
    """Print an answer and see that it has left this process; AnswerNotWritten where it has not.

    `done` says what was carried out before, `advice` what to do instead of repeating it; both "" where nothing was.
    An answer that is not the `last` has more to be done behind it, which Ctrl-C may end.
    """
    if sys.stdout is None:
        raise AnswerNotWritten(done, "stdout is closed", advice=advice)
    try:
        with writing(done=done, advice=advice):
            click.echo(text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        _discard_the_rest()  # nobody reads it, and the interpreter would wait for that once more when it ends
        raise
    if done and last:
        hear_none()  # it was done and told: no Ctrl-C may make another ending of it


def tell_lines(lines: Iterable[str]) -> None:
    """Print many lines as they are made, and see that all have left this process; nothing was done by who asked."""
    if sys.stdout is None:
        raise AnswerNotWritten("", "stdout is closed")
    for line in lines:  # what goes wrong in making one is not stdout's
        with writing():
            sys.stdout.write(line + "\n")
    with writing():
        sys.stdout.flush()


@contextlib.contextmanager
def writing(*, done: str = "", advice: str = "") -> Iterator[None]:
    """Make AnswerNotWritten of what goes wrong while stdout is written to."""
    try:
        yield
    except OSError as error:
        _discard_the_rest()
        why = error.strerror or str(error)
        # a reader that has read enough, as `head` does, is no fault where nothing was done
        raise AnswerNotWritten(done, why, advice=advice, quiet=isinstance(error, BrokenPipeError)) from error


def on_terminal(stream: TextIO | None) -> bool:
    """Whether somebody looks at a stream on a terminal that can be drawn on."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") not in {"", "dumb"}


def say(sentence: str) -> None:
    """Print a sentence for people on stderr; where nobody can read it, it is dropped."""
    with contextlib.suppress(OSError):
        click.echo(sentence, err=True)


def _discard_the_rest() -> None:
    """Let what is left in stdout's buffer go nowhere, or the interpreter fails on it once more when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
