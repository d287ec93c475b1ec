"""`pumpbench emulate` as a process: what it says, what it refuses, how it ends, and what survives kill -9."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware_emu.bench.key_file import KeyFile
from firmware_emu.bench.ports.tcp import parse_loopback
from firmware_emu.version import VERSION
from protocol.identifiers import State
from protocol.link.development_keys import DEVELOPMENT_KEYS
from tests.support.patience import PATIENCE_S
from tests.unit.bench.processes import EMULATE, Caller, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    Start = Callable[..., Emulator]


def test_the_ready_line_tells_all_that_a_program_needs(start: Start, tmp_path: Path) -> None:
    ready = start("--seed", "7", "--link", tmp_path / "pump").ready
    assert ready["ready"] is True
    assert ready["virtual"] is True
    assert ready["kind"] == "emulator"
    assert "not a medical device" in ready["not_a_medical_device"]
    assert ready["link"] == str(tmp_path / "pump")
    assert os.ttyname(os.open(ready["port"], os.O_RDWR | os.O_NOCTTY)) == ready["port"]
    assert (ready["tcp"], ready["control"], ready["token"]) == (None, None, None)
    assert ready["seed"] == 7
    assert ready["version"] == VERSION
    assert ready["identity"]["profile"] == "implanted"
    assert ready["identity"]["security"] == "secured"
    assert len(bytes.fromhex(ready["identity"]["memory_id"])) == 8


def test_the_version_is_the_distributions() -> None:
    project = Path(__file__).parents[3] / "pyproject.toml"
    assert f'\nversion = "{VERSION}"\n' in project.read_text()


def test_the_key_file_is_for_its_owner_alone_and_goes_with_the_emulator(start: Start) -> None:
    emulator = start()
    path = Path(emulator.ready["keys"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    rows = json.loads(path.read_text())
    assert rows == [
        {"key_id": key.key_id, "role": key.role.name.lower(), "key": key.key.hex()}
        for key in DEVELOPMENT_KEYS
    ]
    emulator.end()
    assert not path.parent.exists()


def test_the_key_file_of_a_killed_emulator_is_removed_by_the_next_and_no_other(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "XDG_RUNTIME_DIR", str(tmp_path)
    )  # elsewhere the emulators of other tests are "the next" too
    killed, living = start(), start()
    assert Path(killed.ready["keys"]).is_relative_to(tmp_path)
    killed.kill()
    assert Path(killed.ready["keys"]).exists()
    start()
    assert not Path(killed.ready["keys"]).parent.exists()
    assert Path(living.ready["keys"]).exists()


@pytest.mark.parametrize("name", ["XDG_RUNTIME_DIR", "TMPDIR"])
def test_the_key_file_is_in_no_place_that_is_told_from_where_the_emulator_was_started(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its path is for programs that were started elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv(name, ".")
    keys = KeyFile([])
    keys.remove()
    assert keys.path.is_absolute()


def test_a_key_file_that_is_not_written_whole_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """The key of a role that was cut off would be missing without a word."""
    done = subprocess.run(
        [*EMULATE],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (10, "", 1), done
    assert "keys.json cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_is_sent_the_moment_the_line_is_ready_is_answered(start: Start) -> None:
    for _ in range(3):
        emulator = start()
        caller = Caller.on_pty(emulator.ready["port"])
        assert caller.connect().status().state is State.RUN
        caller.close()
        emulator.end()


def test_the_pump_answers_through_its_link(start: Start, tmp_path: Path) -> None:
    start("--link", tmp_path / "pump")
    caller = Caller.on_pty(str(tmp_path / "pump"))
    assert caller.connect().status().state is State.RUN
    caller.close()


def test_clients_come_and_go_and_each_is_served(start: Start) -> None:
    emulator = start()
    for _ in range(4):
        caller = Caller.on_pty(emulator.ready["port"])
        assert caller.connect().status().state is State.RUN
        caller.close()


def test_the_pump_answers_on_tcp_and_has_one_client_at_a_time(start: Start) -> None:
    emulator = start("--tcp", "127.0.0.1:0")
    assert emulator.ready["port"] is None
    place = parse_loopback(emulator.ready["tcp"])
    with socket.create_connection(place, 20) as line:
        caller = Caller(line.fileno()).connect()
        with socket.create_connection(place, 20) as second:
            assert second.recv(1) == b""
        assert caller.status().state is State.RUN
    ended = emulator.end()
    assert "one line a pump" in ended.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_in_good_order(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    emulator = start("--link", tmp_path / "pump", "--control", "127.0.0.1:0", "--image", tmp_path / "image")
    ended = emulator.end(number)
    assert ended.code == 0
    assert "Traceback" not in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["image"]


def test_a_signal_while_rig_control_serves_ends_it_in_good_order(start: Start) -> None:
    emulator = start("--control", "127.0.0.1:0")
    emulator.rig("GET", "/v1/clock")
    ended = emulator.end()
    assert (ended.code, ended.out) == (0, "")
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("alone", "other", "why"),
    [
        (["--time", "manual"], ["--control", "127.0.0.1:0"], "nothing can turn this pump's clock"),
        (["--sync", "never"], ["--image", "IMAGE"], "--sync never has no effect: it is about an --image"),
    ],
)
def test_an_option_that_does_nothing_without_another_is_told_on_stderr(
    tmp_path: Path, alone: list[str], other: list[str], why: str
) -> None:
    arguments = [argument.replace("IMAGE", str(tmp_path / "image")) for argument in other]
    assert why in Emulator(*alone).end().err
    assert why not in Emulator(*alone, *arguments).end().err


def test_an_idle_emulator_sleeps(start: Start) -> None:
    emulator = start("--time", "manual")
    caller = Caller.on_pty(emulator.ready["port"])
    caller.connect()
    caller.close()

    def cpu_ticks() -> int:
        fields = Path(f"/proc/{emulator.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = cpu_ticks()
    select.select([], [], [], 0.5)
    assert cpu_ticks() - before <= 5  # a spinning loop would have used 50


def memory_id_of(emulator: Emulator) -> str:
    return str(emulator.ready["identity"]["memory_id"])


def test_a_second_pump_of_the_same_seed_is_another_memory(start: Start) -> None:
    assert memory_id_of(start("--seed", "9")) != memory_id_of(start("--seed", "9"))


def test_a_run_that_must_repeat_names_its_memory(start: Start) -> None:
    pumps = [start("--seed", "9", "--memory-id", "b0dE5") for _ in range(2)]
    assert [memory_id_of(pump) for pump in pumps] == ["00000000000b0de5"] * 2


def test_an_image_keeps_its_memory_and_takes_no_other_name(start: Start, tmp_path: Path) -> None:
    first = start("--image", tmp_path / "image", "--memory-id", "5")
    first.end()
    for given in ([], ["--memory-id", "5"]):
        again = start("--image", tmp_path / "image", *given)
        assert memory_id_of(again) == memory_id_of(first) == "0000000000000005"
        again.kill()
    ended = Emulator.that_ends("--image", tmp_path / "image", "--memory-id", "6")
    assert ended.code == 10
    assert "holds a memory of id 0000000000000005; leave --memory-id out" in ended.err


def test_a_killed_emulator_comes_back_from_its_image_as_the_same_pump(start: Start, tmp_path: Path) -> None:
    arguments = ("--image", tmp_path / "image", "--link", tmp_path / "pump", "--time", "manual")
    emulator = start(*arguments, "--control", "127.0.0.1:0")
    emulator.rig("POST", "/v1/clock/advance", {"ms": 86_400_000})
    caller = Caller.on_pty(emulator.ready["port"])
    before = caller.connect().status()
    caller.close()
    truth = emulator.rig("GET", "/v1/state")["truth"]
    emulator.kill()

    again = start(*arguments, "--control", "127.0.0.1:0")
    assert again.ready["identity"] == emulator.ready["identity"]
    assert again.ready["seed"] == emulator.ready["seed"]
    state = again.rig("GET", "/v1/state")
    assert state["now_ms"] == 86_400_000
    for name in ("true_nl_ppm", "emitted_nl_ppm", "strokes_turned"):
        assert state["truth"][name] == truth[name]
    caller = Caller.on_pty(again.ready["port"])
    after = caller.connect().status()
    caller.close()
    assert after.reservoir_calc_nl <= before.reservoir_calc_nl
    assert after.last_seq > before.last_seq


def test_time_off_is_told_on_the_command_line(start: Start, tmp_path: Path) -> None:
    start("--image", tmp_path / "image", "--time", "manual").kill()
    arguments = ("--image", tmp_path / "image", "--time", "manual", "--time-off", "5000")
    emulator = start(*arguments, "--control", "127.0.0.1:0")
    assert emulator.rig("GET", "/v1/clock")["now_ms"] == 5_000


def test_a_second_emulator_on_the_same_link_is_refused(start: Start, tmp_path: Path) -> None:
    first = start("--link", tmp_path / "pump")
    ended = Emulator.that_ends("--link", tmp_path / "pump")
    assert ended.code == 11
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert "belongs to an emulator or a tap that is running; stop it or choose another --link" in ended.err
    assert str((tmp_path / "pump").readlink()) == first.ready["port"]


def test_a_killed_emulator_leaves_its_link_free(start: Start, tmp_path: Path) -> None:
    start("--link", tmp_path / "pump").kill()
    emulator = start("--link", tmp_path / "pump")
    assert str((tmp_path / "pump").readlink()) == emulator.ready["port"]


def test_an_image_in_use_is_refused(start: Start, tmp_path: Path) -> None:
    start("--image", tmp_path / "image")
    ended = Emulator.that_ends("--image", tmp_path / "image")
    assert (ended.code, ended.out) == (11, "")
    assert "is in use by another emulator" in ended.err


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--tcp", "--control"):
            ended = Emulator.that_ends(option, place)
            assert (ended.code, ended.out) == (11, "")
            assert f"cannot listen on {place}: Address already in use" in ended.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--tcp", "0.0.0.0:0"], "is not a loopback address"),
        (["--control", "192.168.1.1:0"], "is not a loopback address"),
        (["--control", "here"], "is no address"),
        (["--time", "fast"], "is not one of real, manual"),
        (["--time", "x0"], "is not one of real, manual"),
        (["--seed", "-1"], "is not in the range"),
        (["--seed", "abc"], "is not a valid integer"),
        (["--memory-id", "xyz"], "is no memory id; write 1 to 16 hex digits"),
        (["--memory-id", "0x12"], "is no memory id"),
        (["--memory-id", "-1"], "is no memory id"),
        (["--memory-id", ""], "is no memory id"),
        (["--memory-id", "12345678123456780"], "is no memory id"),
        (["--sync", "always"], "is not one of"),
        (["--tcp", "127.0.0.1:0", "--link", "pump"], "one line a pump"),
        (["--tcp", "127.0.0.1:0", "--pty"], "one line a pump"),
        (["--time-off", "5"], "is about the pump of an --image"),
        (["--sped", "1"], "No such option"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(arguments: list[str], why: str) -> None:
    ended = Emulator.that_ends(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert why in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("option", "content", "why"),
    [
        ("--image", b"PK\x03\x04", "is no image of a pump"),
        ("--profile", b"name = [", "profile"),
        ("--profile", b"", None),
    ],
)
def test_a_bad_file_ends_with_10_and_a_sentence(
    start: Start, tmp_path: Path, option: str, content: bytes, why: str | None
) -> None:
    path = tmp_path / "file.toml"
    path.write_bytes(content)
    if why is None:  # an empty profile changes nothing
        assert start(option, path).ready["ready"]
        return
    ended = Emulator.that_ends(option, path)
    assert (ended.code, ended.out) == (10, "")
    assert why in ended.err
    assert ended.err.count("\n") == 1


def test_an_unknown_profile_ends_with_10() -> None:
    ended = Emulator.that_ends("--profile", "nosuch")
    assert (ended.code, ended.out) == (10, "")
    assert "nosuch" in ended.err


def test_an_image_of_another_profile_or_seed_ends_with_10(start: Start, tmp_path: Path) -> None:
    start("--image", tmp_path / "image", "--seed", "5").end()
    for arguments, why in (
        (["--profile", "factory"], "was made with another profile, 'implanted'"),
        (["--seed", "6"], "holds a pump of seed 5; leave --seed out"),
    ):
        ended = Emulator.that_ends("--image", tmp_path / "image", *arguments)
        assert (ended.code, ended.out) == (10, "")
        assert why in ended.err
    assert start("--image", tmp_path / "image", "--seed", "5").ready["seed"] == 5


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(EMULATE, stdout=write_end, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False)
    os.close(write_end)
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("--link", "z"), ("--image", "z")),
        (("--link", "z"), ("--image", ".z.pumpbench-lock")),
        (("--link", "z"), ("--image", "../place/z")),
        (("--link", "z"), ("--image", "leads-to-z")),
        (("--link", "z"), ("--profile", "./z")),
        (("--image", "p.toml"), ("--profile", "p.toml")),
    ],
)
def test_options_that_name_one_file_are_refused_before_anything_is_made(
    tmp_path: Path, first: tuple[str, str], second: tuple[str, str]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "leads-to-z").symlink_to("z")
    (place / "p.toml").touch()
    before = sorted(place.iterdir())
    done = Emulator.that_ends(*first, *second, cwd=place)
    assert (done.code, done.out) == (10, "")
    assert re.search("--(image|profile) and (the lock of )?--(link|image) are one file", done.err), done.err
    assert sorted(place.iterdir()) == before
    assert (place / "p.toml").read_bytes() == b""


@pytest.mark.parametrize("arguments", [("--image", "i"), ("--link", "l"), ("--profile", "./p")])
def test_a_path_in_a_directory_that_is_gone_is_refused_in_one_sentence(
    tmp_path: Path, arguments: tuple[str, str]
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    script = 'rmdir "$PWD" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *EMULATE, *arguments],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (10, "", 1), done.stderr
    assert "the directory that this was started in is gone" in done.stderr
