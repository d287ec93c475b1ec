"""The rig of a command of `pumpbench rig`: the bench that its options name, and how it tells people and programs."""

from __future__ import annotations

import functools
import json
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from hil.cli.connection import tell_error
from hil.cli.documents import error_fields, json_line, json_text
from hil.cli.interrupts import ending_of
from hil.cli.output import tell
from hil.cli.rig_words import event_line
from hil.errors import AnswerNotWritten, BadConfiguration, PumpbenchError, UsageError
from hil.rig import LostEvents
from hil.rig_client import RigClient

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hil.rig import RigEvent

READY = "PUMPBENCH_READY"
LEASE = "PUMPBENCH_LEASE"
READY_LINE_MAX = 65_536  # characters: a file may have no end, as a device has none


class Bench(NamedTuple):
    """The rig of a command, and how it tells its answer."""

    rig: RigClient
    name: str
    as_json: bool
    told: list[PumpbenchError]

    def show(self, shown: str, document: Mapping[str, object], *, done: str = "") -> None:
        """A text for people, or the document for programs."""
        tell(json_text(self.name, document) if self.as_json else shown, done=done)

    def show_line(self, event: RigEvent | LostEvents) -> None:
        """An event as it comes, a line."""
        if not self.as_json:
            tell(event_line(event))
            return
        lost = event.lost if isinstance(event, LostEvents) else 0
        self.show_document({"event": None if lost else event._asdict(), "lost": lost})

    def show_document(self, document: Mapping[str, object], *, done: str = "") -> None:
        """A document that is one of several, a line."""
        tell(json_line(self.name, document), done=done, last=False)

    def fail(self, error: PumpbenchError, document: Mapping[str, object]) -> PumpbenchError:
        """The error of what was not done, once a program was told it with what was."""
        if self.as_json:
            self.told.append(error)
            tell(json_text(self.name, {**document, "error": error_fields(error)}))
        return error


def with_rig(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the rig that the ready line names, as its first argument."""

    @click.option(
        "--ready",
        "ready_file",
        type=click.Path(path_type=Path),
        envvar=READY,
        help=f"File with what `pumpbench emulate --control HOST:PORT` printed (or ${READY}).",
    )
    @click.option(
        "--lease",
        "lease_id",
        metavar="ID",
        envvar=LEASE,
        help=f"Id of the lease under which the bench is used, as `lease take` printed it (or ${LEASE}).",
    )
    @click.option("--json", "as_json", is_flag=True, help="JSON: raw integers, units in the names.")
    @functools.wraps(command)
    def wrapped(
        *args: Any, ready_file: Path | None, lease_id: str | None, as_json: bool, **kwargs: Any
    ) -> None:
        told: list[PumpbenchError] = []
        try:
            if ready_file is None:
                raise UsageError(
                    "nobody has said which bench: name the file of its ready line",
                    advice=f"with --ready FILE behind the command, or in ${READY}",
                )
            client = RigClient(*place_of(ready_file), lease=lease_id or None)
            try:
                command(Bench(client, _document_name(), as_json, told), *args, **kwargs)
            finally:
                client.close()
        except (PumpbenchError, KeyboardInterrupt) as caught:
            error = caught if isinstance(caught, PumpbenchError) else ending_of(caught)
            if as_json and error not in told and not isinstance(error, AnswerNotWritten):
                tell_error(error)
            raise error from error.__cause__

    return wrapped


def _document_name() -> str:
    """`rig-` and the name of the command, or of its group below `rig`, whose commands share one."""
    context = click.get_current_context()
    group = context.parent.command.name if context.parent is not None else None
    return f"rig-{context.command.name if group in {None, 'rig'} else group}"


def place_of(ready_file: Path) -> tuple[str, str]:
    """Address and token of the rig control in a file with a ready line; BadConfiguration where it has none."""
    try:
        descriptor = os.open(
            ready_file, os.O_RDONLY | os.O_NONBLOCK
        )  # a pipe that nobody writes to would wait
        with os.fdopen(descriptor) as lines:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadConfiguration(
                    f"{ready_file} is no file, and its line could be read once at most",
                    advice="write the ready line to a file: `pumpbench emulate --control 127.0.0.1:0 >FILE`",
                )
            ready = json.loads(lines.readline(READY_LINE_MAX))
        url, token = (_text_or_none(ready[name]) for name in ("control", "token"))
    except OSError as error:
        raise BadConfiguration(
            f"{ready_file} cannot be read: {error.strerror}", advice="name the file of the ready line"
        ) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadConfiguration(
            f"{ready_file} does not begin with a ready line",
            advice="write it with `pumpbench emulate --control 127.0.0.1:0 >FILE`",
        ) from error
    if url is None or token is None:
        raise BadConfiguration(
            f"the emulator of {ready_file} has no rig control", advice="start it with --control 127.0.0.1:0"
        )
    return url, token


def _text_or_none(value: object) -> str | None:
    """A member of the ready line; TypeError where it is neither text nor null."""
    if value is None or isinstance(value, str):
        return value
    raise TypeError(value)
