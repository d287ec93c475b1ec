"""`pumpbench rig snapshot`, `restore`, `fork`, `diff`, and `emulate --snapshot`: from a shell, to a file and back."""

from __future__ import annotations

import json
import resource
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from hil.cli import main
from hil.errors import BadConfiguration, PumpbenchError, UsageError
from tests.unit.bench.processes import Emulator, ThreadBench
from tests.unit.hil.test_json_schema import check

if TYPE_CHECKING:
    from collections.abc import Iterator

Shell = Callable[..., str]


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ThreadBench]]:
    """Two benches, each with a file of its ready line, by that file."""
    place = tmp_path_factory.mktemp("ready")
    benches = {}
    for name in ("one", "other"):
        bench = ThreadBench(seed=1)
        path = place / f"{name}.json"
        path.write_text(json.dumps(bench.ready) + "\n")
        benches[str(path)] = bench
    yield benches
    for bench in benches.values():
        bench.close()


@pytest.fixture
def files(benches: dict[str, ThreadBench]) -> list[str]:
    """The files of the two benches, their pumps at time 0 and with nothing kept."""
    for bench in benches.values():
        bench.renew("implanted")
        for kept in bench.rig("GET", "/v1/snapshots")["snapshots"]:
            bench.rig("DELETE", f"/v1/snapshots/{kept['name']}")
    return list(benches)


def run(ready: str, *arguments: str) -> str:
    """What a command prints that does what was asked."""
    done = CliRunner().invoke(main.cli, ["rig", *arguments, "--ready", ready])
    if isinstance(done.exception, PumpbenchError):
        raise done.exception
    assert done.exception is None, done.exception
    return done.output


@pytest.fixture
def shell(files: list[str]) -> Shell:
    return lambda *arguments: run(files[0], *arguments)


def test_a_pump_is_kept_listed_gone_back_to_and_forgotten(shell: Shell) -> None:
    assert shell("snapshot") == "no snapshot is kept\n"
    shell("advance", "24:00")
    assert shell("snapshot", "day").startswith("day is kept: implanted, serial ")
    shell("advance", "24:00")
    said = shell("restore", "day", "--memory-id", "ab")
    assert said.splitlines()[0].startswith("the pump is as it was in day, and stands at 1 d")
    assert said.splitlines()[1] == "its session is over, and its memory is 00000000000000ab"
    assert json.loads(shell("state", "--json"))["now_ms"] == 86_400_000
    assert [line.split()[0] for line in shell("snapshot").splitlines()] == ["NAME", "day"]
    assert shell("snapshot", "day", "--forget") == "day is forgotten\n"
    assert shell("snapshot") == "no snapshot is kept\n"


def test_a_file_of_it_is_for_nobody_elses_eyes_and_is_gone_back_to(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "hour.json"
    shell("advance", "1:00")
    said = shell("snapshot", "hour", "--out", str(out))
    assert said.splitlines()[1] == (
        f"{out} holds the keys of the pump and of its session: only you may read it, keep it so"
    )
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    with pytest.raises(BadConfiguration, match="is there already"):
        shell("snapshot", "hour", "--out", str(out))
    shell("snapshot", "hour", "--forget")
    shell("advance", "5:00")
    shell("restore", "again", "--file", str(out))
    assert json.loads(shell("state", "--json"))["now_ms"] == 3_600_000
    shell("snapshot", "now")
    assert "pump.plant.entropy.branch" in shell("diff", "again", "now"), "its chance is another one"


def test_two_snapshots_are_compared_field_by_field(shell: Shell, tmp_path: Path) -> None:
    shell("snapshot", "before", "--out", str(tmp_path / "before.json"))
    assert shell("diff", "before", str(tmp_path / "before.json")).endswith(
        "are the same pump at the same moment\n"
    )
    shell("advance", "1:00")
    shell("snapshot", "after")
    document = json.loads(shell("diff", "before", "after", "--json"))
    check("rig-diff", document)
    by_field = {each["field"]: (each["one"], each["other"]) for each in document["differences"]}
    assert by_field["pump.now[0]"] == (0, 3_600_000)
    assert by_field["pump.plant.rotor.strokes_turned"] == (0, 50)
    assert document["count"] == len(by_field)
    assert not any(field.startswith("pump.profile") for field in by_field)
    lines = shell("diff", "before", "after", "--count", "2").splitlines()
    assert lines[0].split() == ["FIELD", "before", "after"]
    assert len(lines) == 4
    assert lines[-1] == f"... and {document['count'] - 2} more (--count)"


def test_another_emulator_goes_on_from_here_and_both_have_a_future(files: list[str], shell: Shell) -> None:
    shell("advance", "3:00")
    document = json.loads(shell("fork", "--to", files[1], "--memory-id", "c0ffee", "--json"))
    check("rig-fork", document)
    assert (document["now_ms"], document["memory_id"]) == (10_800_000, "0000000000c0ffee")
    shell("advance", "1:00")
    assert json.loads(run(files[1], "state", "--json"))["now_ms"] == 10_800_000
    truths = [json.loads(run(each, "advance", "2:00") and run(each, "truth", "--json")) for each in files]
    assert [each["now_ms"] for each in truths] == [21_600_000, 18_000_000]
    assert shell("snapshot") == "no snapshot is kept\n", "of a fork nothing stays behind"


def test_where_the_file_cannot_be_written_nothing_is_kept_or_it_is_said_to_be(
    shell: Shell, tmp_path: Path
) -> None:
    with pytest.raises(BadConfiguration, match="cannot be written"):
        shell("snapshot", "nowhere", "--out", str(tmp_path / "none" / "a.json"))
    assert shell("snapshot") == "no snapshot is kept\n"
    out = tmp_path / "large.json"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as on a full disk
    try:
        with pytest.raises(
            BadConfiguration, match=r"cannot be written .*; large is kept by the bench all the same"
        ):
            shell("snapshot", "large", "--out", str(out))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "large" in shell("snapshot")
    assert not out.exists()
    with pytest.raises(UsageError):
        shell("snapshot", "a b", "--out", str(out))
    assert not out.exists()


def test_a_fork_leaves_what_is_kept_here_under_its_name_as_it_was(files: list[str], shell: Shell) -> None:
    shell("snapshot", "forked")
    shell("snapshot", "forked-1")
    before = shell("snapshot")
    shell("advance", "3:00")
    shell("fork", "--to", files[1])
    shell("fork", "--to", files[1], "--name", "forked-1")
    assert shell("snapshot") == before


@pytest.mark.parametrize(
    ("arguments", "kind", "sentence"),
    [
        (("restore", "nothing"), UsageError, "there is no snapshot 'nothing'; there are: none"),
        (("snapshot", "a b"), UsageError, "name"),
        (("snapshot", ""), UsageError, "'' is no name of a snapshot; name it"),
        (("snapshot", "--forget"), UsageError, "which snapshot is not said"),
        (("restore", "x", "--memory-id", "none"), UsageError, "'none' is no memory id"),
        (("restore", "x", "--file", "/nonexistent.json"), BadConfiguration, "cannot be read"),
        (("diff", "x", "/dev/null"), BadConfiguration, "is no snapshot"),
        (("fork", "--to", "/dev/null"), BadConfiguration, "is no file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused_in_words(
    shell: Shell, arguments: tuple[str, ...], kind: type[PumpbenchError], sentence: str
) -> None:
    if arguments[0] == "diff":
        shell("snapshot", "x")
    with pytest.raises(kind) as refused:
        shell(*arguments)
    assert sentence in str(refused.value)


def test_an_emulator_starts_from_a_file_and_remembers_it_in_an_image(shell: Shell, tmp_path: Path) -> None:
    out, image = tmp_path / "day.json", tmp_path / "image"
    shell("advance", "24:00")
    shell("snapshot", "day", "--out", str(out))
    wanted = ("--control", "127.0.0.1:0", "--time", "manual", "--snapshot", out)
    emulator = Emulator(*wanted, "--image", image, "--memory-id", "ab")
    seen = emulator.rig("GET", "/v1/state")
    emulator.kill()
    assert emulator.ready["identity"]["memory_id"] == "00000000000000ab"
    assert emulator.ready["seed"] == 1
    assert (seen["now_ms"], seen["truth"]["strokes_turned"]) == (86_400_000, 1_200)
    ended = Emulator.that_ends("--snapshot", out, "--image", image)
    assert ended.code == 10
    assert "holds a pump already; choose another --image for that of --snapshot" in ended.err
