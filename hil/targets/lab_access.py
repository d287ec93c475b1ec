"""How instruments reach the lab: its commands, ports, HTTP addresses, and the person at the terminal."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final, TextIO
from urllib.parse import urlsplit

from hil.errors import BadConfiguration, BenchLost
from hil.instruments.declaration import BenchAccess
from hil.targets.port import open_port, open_socket
from hil.targets.reset import run_command
from hil.targets.schemes import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hil.channel import Channel

FETCH_LIMIT_S: Final = 10.0
MS_PER_S: Final = 1_000
TERMINAL: Final = "/dev/tty"


def lab_access(directory: Path) -> BenchAccess:
    """What instruments of a bench file in that directory reach the lab by."""

    def run(words: tuple[str, ...], what: str) -> None:
        run_command(words, directory, what)

    def find(words: tuple[str, ...], what: str) -> None:
        named = words[0]
        place = str(directory / named) if os.path.dirname(named) else named  # noqa: PTH120 - "./x" has one
        if shutil.which(place) is None:
            raise BadConfiguration(
                f"{what} cannot be run: there is no program {named}", advice="check the bench file"
            )

    def wait(ms: int) -> None:
        threading.Event().wait(ms / MS_PER_S)

    return BenchAccess(run, _open_line, _fetch, _asker(), wait, find, _knock)


def _knock(url: str, limit_ms: int) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=limit_ms / MS_PER_S).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BenchLost(f"nothing can be reached at {url} ({reason})", advice="ask it by hand") from error


def _open_line(address: str, baud: int) -> Channel:
    scheme, _, place = address.partition(":")
    if scheme == "socket":
        return open_socket(*host_and_port(address, place), address)
    return open_port(address.removeprefix("pty:"), address, baud=baud)


def _fetch(url: str) -> None:
    try:
        with urllib.request.urlopen(url, timeout=FETCH_LIMIT_S):  # noqa: S310 - the bench file takes http(s) alone
            pass
    except (OSError, ValueError) as error:  # HTTPError and a timeout are OSErrors
        reason = getattr(error, "reason", None) or error
        raise BenchLost(f"{url} did not do it ({reason})", advice="ask it by hand") from error


def _asker() -> Callable[[str], bool] | None:
    """What asks the person at the terminal, past what pytest captures; None where nobody is there."""
    if not sys.__stdin__ or not sys.__stdin__.isatty():
        return None

    def ask(question: str) -> bool:
        with open(TERMINAL, "r+", encoding="utf-8", buffering=1) as terminal:  # noqa: PTH123 - a device
            return asked(terminal, question)

    return ask


def asked(terminal: TextIO, question: str) -> bool:
    """Write a question and wait for a line; True where it is yes."""
    terminal.write(f"\n{question} [yes/no] ")
    terminal.flush()
    return terminal.readline().strip().lower() in {"y", "yes"}
