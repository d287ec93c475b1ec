"""Emulators are forks of a process that has imported them, and each start is one with what holds at that moment."""

from __future__ import annotations

import os
import select
import signal
from contextlib import closing
from pathlib import Path

import pytest

from hil.errors import BadConfiguration, BenchLost
from hil.targets.choices import PumpChoice
from hil.targets.fork_server import EMULATORS, ForkServer
from hil.targets.process import ProcessTarget

SUITE_PROFILE = Path(__file__).parents[3] / "fixtures/profiles/suite_on_a_port.toml"


def started(choice: PumpChoice | None = None) -> str:
    """Start an emulator and end it; the name of its profile."""
    with closing(ProcessTarget(choice)) as target:
        target.start()
        return str(target.ready["identity"]["profile"])


def server_pid() -> int:
    assert EMULATORS._server is not None
    return EMULATORS._server.pid


def test_each_emulator_has_a_seed_and_a_memory_of_its_own() -> None:
    with closing(ProcessTarget()) as one, closing(ProcessTarget()) as other:
        one.start()
        other.start()
        assert one.ready["seed"] != other.ready["seed"]
        assert one.ready["identity"]["memory_id"] != other.ready["identity"]["memory_id"]
        assert one.ready["token"] != other.ready["token"]


def test_a_server_that_was_killed_is_started_again() -> None:
    started()
    before = server_pid()
    os.kill(before, signal.SIGKILL)
    started()
    assert server_pid() != before


def test_a_path_is_looked_up_in_the_directory_of_this_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started()
    (tmp_path / "mine.toml").write_text(SUITE_PROFILE.read_text())
    choice = PumpChoice(profile="./mine.toml")
    with pytest.raises(BadConfiguration, match=r"mine\.toml"):
        started(choice)
    monkeypatch.chdir(tmp_path)
    assert started(choice)


def test_an_emulator_has_the_environment_of_this_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started()
    before = server_pid()
    (tmp_path / "runtime").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    with closing(ProcessTarget()) as target:
        target.start()
        assert target.ready["keys"].startswith(str(tmp_path / "runtime"))
    assert server_pid() == before


def test_another_setting_of_python_is_another_server(monkeypatch: pytest.MonkeyPatch) -> None:
    started()
    before = server_pid()
    monkeypatch.setenv("PYTHONUTF8", "1")
    started()
    assert server_pid() != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


def test_a_python_that_does_not_start_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(BenchLost, match=r"no emulator could be started: +<no Python frame>"):
        started()
    monkeypatch.undo()
    assert started()


def test_a_fork_of_this_process_has_a_server_of_its_own_and_does_not_end_ours() -> None:
    started()
    ours = server_pid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            started()
            code = 0 if server_pid() != ours else 2
            EMULATORS.end()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    started()
    assert server_pid() == ours


def test_an_emulator_outlives_the_server_and_still_tells_how_it_ended() -> None:
    server = ForkServer()
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device
        emulator = server.start(["emulate", "--until-eof"], nothing.fileno())
    assert emulator.stdout.readline().startswith(b'{"ready": true')
    server.end()
    assert emulator.poll() is None
    emulator.stdin.close()
    assert emulator.wait(30) == 0
    emulator.stdout.close()


def test_the_number_of_a_process_that_has_ended_is_kept_until_its_exit_code_was_taken() -> None:
    """Or a signal that is meant for it would find nobody, and some day another process."""
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device
        emulator = EMULATORS.start(["emulate", "--until-eof"], nothing.fileno())
    emulator.stdin.close()
    assert emulator.stdout.read().startswith(b'{"ready": true')  # to its end
    select.select([emulator._ended], [], [], 30)
    os.kill(emulator.pid, 0)
    emulator.send_signal(signal.SIGTERM)
    assert emulator.wait(30) == 0
    emulator.send_signal(signal.SIGTERM)
    emulator.stdout.close()


def test_a_process_that_was_killed_has_the_signal_as_its_exit_code() -> None:
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 - a device
        emulator = EMULATORS.start(["emulate", "--until-eof"], nothing.fileno())
    emulator.send_signal(signal.SIGKILL)
    assert emulator.wait(30) == -signal.SIGKILL
    emulator.stdin.close()
    emulator.stdout.close()
