"""`pumpbench wireshark`: the dissector printed and installed, and the session keys of a recording."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.errors import BadConfiguration, UsageError
from hil.wireshark.dissector import FILE_NAME
from protocol.capture.recording import SessionSecret
from protocol.identifiers import Role
from protocol.link.development_keys import development_key
from protocol.registry import COMMANDS
from tests.unit.protocol.capture.memory_files import MemoryFiles, RecordedLoopback, recorder_on

if TYPE_CHECKING:
    from collections.abc import Callable


def run(*words: object) -> Result:
    return CliRunner().invoke(main.cli, ["wireshark", *map(str, words)])


def recorded(path: Path, *, secrets: bool = True, key: bytes | None = None) -> list[SessionSecret]:
    """A recording of one session, with a development key or this one; returns the secrets that are in it."""
    files = MemoryFiles()
    recorder, _troubles = recorder_on(files, secrets=secrets)
    wire = RecordedLoopback(recorder)
    if key is not None:
        wire.client._key = wire.client._key._replace(key=key)
        wire.host.keys[wire.client._key.key_id] = wire.client._key
    wire.open()
    recorder.close()
    path.write_bytes(files.contents[0])
    return [entry for entry in files.entries() if isinstance(entry, SessionSecret)]


def test_the_dissector_is_printed_whole_with_every_command() -> None:
    printed = run("--print")
    assert printed.exit_code == 0, printed.output
    assert printed.stdout.startswith("-- Dissector of the wire of pumpbench")
    assert "--@" not in printed.stdout
    for row in COMMANDS.values():
        assert f'name = "{row.name}", prefix = "{row.name.lower()}.req"' in printed.stdout


def test_it_is_installed_where_wireshark_looks_and_again_over_itself(tmp_path: Path) -> None:
    for _ in range(2):
        done = run("--install", "--dir", tmp_path / "new" / "plugins")
        assert done.exit_code == 0, done.output
        assert done.stdout == f"{tmp_path / 'new' / 'plugins' / FILE_NAME}\n"
    assert list((tmp_path / "new/plugins").iterdir()) == [tmp_path / "new/plugins" / FILE_NAME]


def test_without_a_directory_it_goes_among_the_plugins_of_whoever_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert run("--install").exit_code == 0
    assert (tmp_path / ".local/lib/wireshark/plugins" / FILE_NAME).is_file()


def test_a_file_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("-- mine\n")
    done = run("--install", "--dir", tmp_path)
    assert isinstance(done.exception, BadConfiguration)
    assert "is not a dissector of ours" in str(done.exception)
    assert (tmp_path / FILE_NAME).read_text() == "-- mine\n"


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("--install", "--dir", tmp_path / "file")
    assert isinstance(done.exception, BadConfiguration)
    assert "the dissector cannot be written to" in str(done.exception)


@pytest.mark.parametrize("secrets", [True, False], ids=["with its keys", "without"])
def test_the_session_keys_of_a_recording_are_printed_once_each(tmp_path: Path, secrets: bool) -> None:
    """Without keys in it, they follow from the handshake: its device has a development key, which everybody knows."""
    path = tmp_path / "a.pcapng"
    held = recorded(path, secrets=secrets)
    assert bool(held) is secrets
    done = run("--keys", path)
    assert done.exit_code == 0, done.output
    assert re.fullmatch(r"session \d+ [0-9a-f]{32}\n", done.stdout)
    assert not secrets or done.stdout == f"session {held[0].sid} {held[0].sealing.hex()}\n"
    assert development_key(Role.CLINICIAN).key.hex() not in done.stdout


def test_a_capture_of_somebody_who_only_listened_is_opened_by_the_key_of_its_device(tmp_path: Path) -> None:
    path, key_file, key = tmp_path / "a.pcapng", tmp_path / "key.json", bytes(range(16))
    recorded(path, secrets=False, key=key)
    assert isinstance(run("--keys", path).exception, BadConfiguration)
    key_id = development_key(Role.CLINICIAN).key_id
    key_file.write_text(json.dumps({"key_id": key_id, "role": "clinician", "key": key.hex()}))
    key_file.chmod(0o600)
    done = run("--keys", path, "--key", key_file)
    assert re.fullmatch(r"session \d+ [0-9a-f]{32}\n", done.stdout), done.output
    assert key.hex() not in done.output


def test_keys_go_into_a_new_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path, keys = tmp_path / "a.pcapng", tmp_path / "keys.txt"
    recorded(path)
    done = run("--keys", path, "--out", keys)
    assert done.exit_code == 0, done.output
    assert done.stdout == f'tshark -o "pumpbench.keys:{keys}" -r "{path}"\n'
    assert keys.read_text() == run("--keys", path).stdout
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    again = run("--keys", path, "--out", keys)
    assert isinstance(again.exception, BadConfiguration)
    assert "is there already" in str(again.exception)


def test_the_keys_of_a_damaged_recording_are_given_and_the_damage_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.pcapng"
    recorded(path)
    path.write_bytes(path.read_bytes()[:-5])
    done = run("--keys", path)
    assert done.stdout.startswith("session ")
    assert isinstance(done.exception, BadConfiguration)
    assert "is damaged in one place" in str(done.exception)


def empty(path: Path) -> None:
    files = MemoryFiles()
    recorder_on(files)
    path.write_bytes(files.contents[0])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (empty, "holds no session keys, and no handshake that a key at hand opens"),
        (lambda path: path.write_text("hello"), "is no recording"),
        (Path.exists, "cannot be read"),
    ],
    ids=["no session", "no recording", "no file"],
)
def test_a_file_without_keys_is_said(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path / "a.pcapng")
    done = run("--keys", tmp_path / "a.pcapng")
    assert isinstance(done.exception, BadConfiguration)
    assert said in str(done.exception)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "one of --print, --install and --keys"),
        (("--print", "--install"), "one of --print, --install and --keys"),
        (("--print", "--dir", "x"), "--dir is of --install"),
        (("--print", "--out", "x"), "--out is of --keys"),
        (("--install", "--key", "x"), "--key is of --keys"),
    ],
)
def test_options_that_do_not_go_together_are_said(words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert isinstance(done.exception, UsageError)
    assert said in str(done.exception)
