"""Paths, variables and files of odd content: exit code 10 with one sentence, never a traceback."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import hil
from hil.connected_programmer import connect
from hil.errors import BadConfiguration
from hil.key_file import read_key
from hil.outcome_store import OutcomeStore, default_path, fingerprint_of
from tests.support.for_each import for_each
from tests.support.not_run import skip_without_right
from tests.support.patience import PATIENCE_S

KEY = b"0123456789abcdef"
HOUSE = Path(__file__).resolve().parents[3]
DEEP = "[" * 60_000
NO_PATHS = ["~nosuchuser/state.json", "a\0b", "\ud800"]


@pytest.mark.parametrize("path", NO_PATHS, ids=ascii)
def test_what_is_no_path_is_a_configuration_error_that_names_the_option(path: str) -> None:
    for option, chosen in (("--state", {"state": path}), ("--key", {"key": path})):
        with pytest.raises(BadConfiguration, match=option), connect("emulator", **chosen):  # type: ignore[arg-type]
            pass


def ended(*arguments: str | bytes, **environment: str | None) -> tuple[int, str]:
    """Exit code and stderr of the command line with these variables; None takes one away."""
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    command: list[str | bytes] = [sys.executable, "-m", "hil.cli", *arguments]
    done = subprocess.run(
        command, capture_output=True, cwd=HOUSE, env=variables, timeout=PATIENCE_S, check=False
    )
    return done.returncode, done.stderr.decode("ascii")


@pytest.mark.one_in(6)
@pytest.mark.parametrize("option", ["--state", "--key"])
@pytest.mark.parametrize(
    "path", [b"~nosuchuser/x", b"/proc/nowhere/\xff\xfe/x", b"/dev/null/x", b"/" + b"x" * 5_000]
)
def test_an_odd_path_is_exit_10_and_one_sentence(option: str, path: bytes) -> None:
    code, said = ended(
        "program", "status", "--target", "emulator", option, path, PYTHONIOENCODING="ascii:strict"
    )
    assert (code, said.count("\n")) == (10, 1), said
    assert said.startswith("pumpbench: configuration: "), said
    assert not (HOUSE / "~nosuchuser").exists()


@pytest.mark.parametrize("place", ["/dev/full", "/dev/null/below", "/proc/nowhere"])
def test_a_state_directory_that_cannot_be_is_exit_10_before_a_port_is_greeted(
    place: str, tmp_path: Path
) -> None:
    master, slave = os.openpty()
    target = f"pty:{os.ttyname(slave)}"
    code, said = ended("program", "status", "--target", target, XDG_STATE_HOME=place)
    os.set_blocking(master, False)
    with pytest.raises(BlockingIOError):  # not one byte
        os.read(master, 1)
    os.close(master)
    os.close(slave)
    assert (code, said.count("\n")) == (10, 1), said


@for_each(
    "arguments",
    [
        ("program", "status", "--target", "emulator", "--state", "state.json"),
        ("program", "status", "--target", "emulator", "--key", "key.json"),
        ("hil", "list"),
        ("hil", "run"),
        ("hil", "run", "--report", "{elsewhere}"),
        ("emulate", "--image", "image"),
    ],
)
def test_a_directory_that_is_gone_is_told_as_that(arguments: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as elsewhere:
        command = [sys.executable, "-m", "hil.cli", *(each.format(elsewhere=elsewhere) for each in arguments)]
        done = subprocess.run(
            ["sh", "-c", 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"', f"{elsewhere}/gone", *command],
            env={**os.environ, "PYTHONPATH": str(HOUSE)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
    sentence = done.stderr.splitlines()[-1]
    assert (done.returncode, "Traceback" in done.stderr) == (10, False), done.stderr
    assert "the directory that this was started in is gone" in sentence


@pytest.mark.parametrize("home", ["XDG_STATE_HOME", "HOME"])
@pytest.mark.parametrize("value", ["relative/place", "", "~nosuchuser"])
def test_a_variable_that_names_no_place_is_passed_over(
    home: str, value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv(home, value)
    assert default_path(1, KEY).is_absolute()
    if home == "XDG_STATE_HOME":
        assert default_path(1, KEY).parent == tmp_path / ".local/state/pumpbench"


def test_nobodys_home_is_a_configuration_error() -> None:
    if os.geteuid():
        skip_without_right("become a user that does not exist")
    default_path(1, KEY)  # imports what that user could not read
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        os.environ.pop("HOME", None)
        os.environ.pop("XDG_STATE_HOME", None)
        try:
            os.setuid(54_321)
            os.write(write_end, str(default_path(1, KEY)).encode())
        except BadConfiguration as error:
            os.write(write_end, error.one_line().encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(write_end)
    assert os.read(read_end, 4_096).startswith(b"configuration: there is no home directory")
    os.close(read_end)


def state(**fields: object) -> str:
    document = {"schema": "pumpbench-outcomes/2", "key_fingerprint": fingerprint_of(KEY), **fields}
    return json.dumps(document)


ODD_STATES = {
    "deep": DEEP,
    "deep inside": state(memories=7).replace("7", DEEP + "]" * 60_000),
    "1e400": state(memories={"0" * 16: {"last_cmd_id": 7, "commands": []}}).replace("7", "1e400"),
    "NaN": state(memories={"0" * 16: {"last_cmd_id": 7, "commands": []}}).replace("7", "NaN"),
    "33 bits": state(memories={"0" * 16: {"last_cmd_id": 2**32, "commands": []}}),
    "many digits": state(memories=7).replace("7", "7" * 5_000),
    "underscore": state(memories={"0_0": {"last_cmd_id": 7, "commands": []}}),
    "not UTF-8": "\udcff",
}


@pytest.mark.parametrize("content", ODD_STATES.values(), ids=ODD_STATES)
def test_a_state_file_of_odd_content_is_a_configuration_error_and_is_left(
    content: str, tmp_path: Path
) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadConfiguration, match=r"state\.json"):
        OutcomeStore(path, key=KEY).open()
    assert path.read_bytes() == content.encode("utf-8", "surrogateescape")


def test_what_is_no_regular_file_is_no_state_file_and_no_key_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(BadConfiguration, match="no regular file"):
            OutcomeStore(path, key=KEY).open()
        with pytest.raises(BadConfiguration, match="no regular file"):
            read_key(path)


@pytest.mark.parametrize(
    "content", [DEEP, '{"key_id": 1e400, "role": "clinician", "key": "00"}', "\ud800"], ids=range(3)
)
def test_a_key_file_of_odd_content_is_a_configuration_error(content: str, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    path.chmod(0o600)
    with pytest.raises(BadConfiguration, match="key file"):
        read_key(path)


@pytest.mark.parametrize("key_id", ["7", "2_5", 7.0, True, None])
def test_a_key_id_is_a_whole_number_and_nothing_that_looks_like_one(key_id: object, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps({"key_id": key_id, "role": "clinician", "key": "00" * 16}))
    path.chmod(0o600)
    with pytest.raises(BadConfiguration, match="key_id"):
        read_key(path)


def test_the_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with hil.connect("emulator", state="~/mine.json") as pump:
        pump.stop()
    assert (tmp_path / "mine.json").exists()
