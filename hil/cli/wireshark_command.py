"""`pumpbench wireshark`: the dissector of the wire, where Wireshark finds it, and the keys that it is given."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import click

from hil.capture.session_keys import session_keys
from hil.cli.output import say, tell
from hil.errors import BadConfiguration, UsageError
from hil.key_file import read_keys
from hil.known_commands import all_commands
from hil.own_paths import path_of
from hil.quantity_words import counted
from hil.wireshark.dissector import FILE_NAME, FIRST_WORDS, dissector
from protocol.capture.recording import secret_line

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY = "~/.local/lib/wireshark/plugins"
"""Where Wireshark and tshark look for a person's dissectors in Lua, in every version since 2.5."""


@click.command()
@click.option("--print", "printed", is_flag=True, help="Print the dissector.")
@click.option(
    "--install", "installed", is_flag=True, help="Write the dissector to where Wireshark looks for it."
)
@click.option(
    "--dir", "directory", metavar="DIR", help=f"Where --install writes it to.  [default: {DIRECTORY}]"
)
@click.option(
    "--keys",
    "recording",
    metavar="RECORDING",
    help="Print the session keys of a recording, for the preference pumpbench.keys.",
)
@click.option(
    "--key",
    "key_path",
    metavar="FILE",
    help="With --keys: the key file of the device, for a recording that holds no keys.",
)
@click.option(
    "--out", "out", metavar="FILE", help="With --keys: a new file (0600) for them, instead of stdout."
)
def wireshark(
    printed: bool,
    installed: bool,
    directory: str | None,
    recording: str | None,
    key_path: str | None,
    out: str | None,
) -> None:
    """Let Wireshark and tshark read the wire: one of --print, --install and --keys.

    The dissector knows all messages, those of installed packages among them: make it anew after installing one.
    Session keys open every frame of their sessions, and nothing else; a device's own key is never printed.
    """
    if [printed, installed, recording is not None].count(True) != 1:
        raise UsageError("one of --print, --install and --keys says what to do", advice="name one of them")
    for option, value, needed, is_there in (
        ("--dir", directory, "--install", installed),
        ("--key", key_path, "--keys", recording is not None),
        ("--out", out, "--keys", recording is not None),
    ):
        if value is not None and not is_there:
            raise UsageError(f"{option} is of {needed}, which is missing", advice=f"name {needed} too")
    if recording is not None:
        _give_keys(path_of(recording, "--keys"), key_path, out)
        return
    commands, troubles = all_commands()
    for trouble in troubles:
        say(f"{trouble}: the dissector does not know them")
    text = dissector(commands)
    if printed:
        tell(text.rstrip("\n"))
    else:
        path = path_of(DIRECTORY if directory is None else directory, "--dir") / FILE_NAME
        _install(path, text)
        tell(str(path), done="the dissector was installed")


def _install(path: Path, text: str) -> None:
    """Write the dissector, whole or not at all, in place of an older one of ours alone."""
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.read_bytes().startswith(FIRST_WORDS.encode()):
            raise BadConfiguration(
                f"{path} is not a dissector of ours, and would be replaced",
                advice="move it, or name another --dir",
            )
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise BadConfiguration(
            f"the dissector cannot be written to {path} ({error.strerror})", advice="name another --dir"
        ) from error


def _give_keys(recording: Path, key_path: str | None, out: str | None) -> None:
    """Print the keys of a recording, or write them to a new file that only its owner can read."""
    keys = [] if key_path is None else read_keys(path_of(key_path, "--key"))
    found = session_keys(recording, keys)
    if not found.secrets:
        raise BadConfiguration(
            f"{recording} holds no session keys, and no handshake that a key at hand opens",
            advice="give the device's key by --key; a session without cryptography needs none",
        )
    lines = "\n".join(map(secret_line, found.secrets))
    if out is None:
        tell(lines)
    else:
        path = path_of(out, "--out")
        _write_keys(path, lines + "\n")
        tell(f'tshark -o "pumpbench.keys:{path}" -r "{recording}"', done="the keys were written")
    if found.damage:
        raise BadConfiguration(
            f"{recording} is damaged in {counted(found.damage, 'place')}",
            advice="the keys of what could be read are there",
        )


def _write_keys(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except FileExistsError as error:
        raise BadConfiguration(
            f"{path} is there already, and would be replaced", advice="name a new file"
        ) from error
    except OSError as error:
        raise BadConfiguration(
            f"the keys cannot be written to {path} ({error.strerror})",
            advice="name a place where you may write",
        ) from error
