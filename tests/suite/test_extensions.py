"""What somebody else's package adds works from an installed wheel, in an environment that has no checkout of ours."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.patience import PATIENCE_S
from tests.support.shared_place import shared_place

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUSE = Path(__file__).resolve().parents[2]
EXTENSIONS = HOUSE / "fixtures" / "extensions"
PROFILE = EXTENSIONS / "leaking_catheter" / "leaking.toml"
BUILDS = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
PACKAGED = ("pyproject.toml", "README.md", "LICENSE", "protocol", "firmware_emu", "hil")


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        input="",
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with pumpbench and the extensions installed, its dependencies ours."""
    return shared_place(tmp_path_factory, "fresh", make_environment) / "environment" / "bin"


def make_environment(place: Path) -> None:
    ours = place / "pumpbench"
    ours.mkdir()
    for name in PACKAGED:
        copy = shutil.copytree if (HOUSE / name).is_dir() else shutil.copy
        copy(HOUSE / name, ours / name)
    theirs = shutil.copytree(EXTENSIONS, place / "extensions")
    sources = [ours, *(path.parent for path in theirs.glob("*/pyproject.toml"))]
    (place / "wheels").mkdir()
    for source in sources:  # what pip calls, without three processes of pip for each
        built = run(sys.executable, "-c", BUILDS, place / "wheels", cwd=source)
        assert built.returncode == 0, built.stderr
    environment = place / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=place)
    python = environment / "bin" / "python"
    wheels = sorted((place / "wheels").glob("*.whl"))
    assert len(wheels) == len(sources)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    installed = run(*pip, "install", "-q", "--no-deps", "--no-index", "--no-compile", *wheels, cwd=place)
    assert installed.returncode == 0, installed.stderr
    library = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=place
    ).stdout.strip()
    Path(library, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


def test_the_environment_is_not_this_checkout(fresh: Path, tmp_path: Path) -> None:
    found = run(
        fresh / "python", "-c", "import hil, protocol, firmware_emu; print(hil.__file__)", cwd=tmp_path
    )
    assert found.stdout.startswith(str(fresh.parent)), found.stderr


def test_an_installed_suite_runs_on_a_target_and_a_catheter_of_somebody_else(
    fresh: Path, tmp_path: Path
) -> None:
    command = [fresh / "pumpbench", "hil", "run", "--target", "logged:line.txt:emulator", "--profile"]
    ran = run(*command, PROFILE, "-k", "byte_by_byte or test_refill", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout
    assert (tmp_path / "line.txt").read_text(), "it ran on a target of somebody else"
    unknown = run(*command, "suite_on_a_prt", cwd=tmp_path)
    assert unknown.returncode == 10
    assert "suite_on_a_port, or the path of a profile file" in unknown.stderr


def test_an_installed_emulator_knows_its_profiles_by_name(fresh: Path, tmp_path: Path) -> None:
    command = [fresh / "pumpbench", "emulate", "--until-eof", "--profile"]
    made = run(*command, "forty_millilitre", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout.splitlines()[0])["identity"]["serial"] == "EMU-40-00001"
    assert run(*command, "forty_millilitr", cwd=tmp_path).returncode == 10
    assert list(fresh.parent.glob("lib/*/site-packages/firmware_emu/profiles/profile.schema.json"))


def test_an_installed_dissector_knows_the_messages_of_installed_packages(fresh: Path, tmp_path: Path) -> None:
    printed = run(fresh / "pumpbench", "wireshark", "--print", cwd=tmp_path)
    assert printed.returncode == 0, printed.stderr
    assert 'name = "VENDOR_C0 GetWear", prefix = "vendor_c0.req"' in printed.stdout


def test_a_target_of_somebody_else_is_found_by_its_scheme(fresh: Path, tmp_path: Path) -> None:
    asked = run(
        fresh / "pumpbench", "program", "status", "--target", "logged:line.txt:emulator", cwd=tmp_path
    )
    assert asked.returncode == 0, asked.stderr
    assert "EMULATED pump" in asked.stdout
    lines = (tmp_path / "line.txt").read_text().splitlines()
    assert {line[0] for line in lines} == {"<", ">"}


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("logged:line.txt", "names no file and device; write logged:FILE:ADDRESS"),
        ("logged:line.txt:nonsense", "no such target address: 'nonsense'"),
        ("unheard:of", "no such target address: 'unheard:of'"),
    ],
)
def test_a_wrong_address_is_refused_by_whoever_it_is_about(
    fresh: Path, tmp_path: Path, address: str, sentence: str
) -> None:
    asked = run(fresh / "pumpbench", "program", "status", "--target", address, cwd=tmp_path)
    assert asked.returncode == 10
    assert sentence in asked.stderr
    assert asked.stderr.count("\n") == 1


@pytest.fixture
def socket_path() -> Iterator[Path]:
    """A path that is short enough for a Unix socket."""
    with tempfile.TemporaryDirectory(prefix="pump-") as place:
        yield Path(place) / "line"


@contextlib.contextmanager
def emulating(fresh: Path, *arguments: object) -> Iterator[dict[str, str]]:
    """An emulator of the fresh environment while it runs: its ready line."""
    command = [str(fresh / "pumpbench"), "emulate", "--until-eof", *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()
            assert process.wait(PATIENCE_S) == 0


def test_a_port_of_somebody_else_carries_a_pump_that_their_target_opens(
    fresh: Path, tmp_path: Path, socket_path: Path
) -> None:
    with emulating(fresh, "--port", f"unix:{socket_path}") as ready:
        assert ready["target"] == f"unix:{socket_path}"
        for _ in range(2):
            asked = run(fresh / "pumpbench", "program", "status", "--target", ready["target"], cwd=tmp_path)
            assert asked.returncode == 0, asked.stderr
            assert "EMULATED pump" in asked.stdout
        second = run(fresh / "pumpbench", "emulate", "--port", f"unix:{socket_path}", cwd=tmp_path)
        assert (second.returncode, second.stderr.count("\n")) == (11, 1)
        assert "name a path that is not there yet" in second.stderr
    assert not socket_path.exists()


@pytest.mark.parametrize(
    ("port", "sentence"),
    [
        ("unix:", "a Unix socket needs a path of 1 to 107 bytes: write unix:PATH"),
        ("unheard:of", "there is no kind of port 'unheard'; there are pty, tcp:HOST:PORT"),
    ],
)
def test_a_wrong_port_is_refused_by_whoever_it_is_about(
    fresh: Path, tmp_path: Path, port: str, sentence: str
) -> None:
    asked = run(fresh / "pumpbench", "emulate", "--port", port, cwd=tmp_path)
    assert asked.returncode == 2
    assert sentence in asked.stderr


ASK_FOR_WEAR = """
import pickle
import sys
from hil import address
from hil.errors import DeviceRefused
from hil.programmer.programmer import Programmer
from hil.targets import PumpChoice, make_target
from motor_messages import Motor
from protocol.link.development_keys import development_key
from protocol.identifiers import Role

target = make_target(address.parse(sys.argv[1]), PumpChoice())
target.start()
channel = target.open_channel()
with Programmer(channel, key=development_key(Role.CLINICIAN)) as programmer:
    for rated_strokes in (1_000_000, 0):
        try:
            print(Motor(programmer).wear(rated_strokes))
        except DeviceRefused as refused:
            print(refused)
    with open("line.pickle", "wb") as file:
        pickle.dump(tuple(programmer.wire_log.entries), file)
channel.close()
target.close()
"""

READ_LINES = """
import pickle
import sys
from hil.wire_log import line_of

for entry in pickle.load(open("line.pickle", "rb")):
    print(line_of(entry))
print("motor_handlers" in sys.modules)
"""


def profile_with(path: Path, line: str) -> Path:
    path.write_text(line + "\n")
    return path


def test_a_vendors_message_is_asked_handled_refused_and_read_by_names_of_its_own(
    fresh: Path, tmp_path: Path
) -> None:
    profile = profile_with(tmp_path / "motor.toml", 'vendor_messages = ["motor"]')
    with emulating(fresh, "--profile", profile) as ready:
        asked = run(fresh / "python", "-c", ASK_FOR_WEAR, ready["target"], cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    worn, refused = asked.stdout.splitlines()
    assert worn == "GetWearReply(commanded_strokes=0, seen_strokes=0, left_strokes=1000000)"
    assert "refused: ENUM, limit 1 strokes, nearest acceptable 1 strokes" in refused
    read = run(fresh / "python", "-c", READ_LINES, cwd=tmp_path)
    assert "REQUEST VENDOR_C0 #1 GetWear rated_strokes=1000000" in read.stdout, read.stderr
    assert "GetWearReply commanded_strokes=0 seen_strokes=0 left_strokes=1000000" in read.stdout
    assert read.stdout.endswith("False\n"), "a programmer imports nothing of the pump"


def test_a_pump_whose_profile_has_no_such_messages_does_not_know_them(fresh: Path, tmp_path: Path) -> None:
    asked = run(fresh / "python", "-c", ASK_FOR_WEAR, "emulator", cwd=tmp_path)
    assert asked.stdout.count("UNSUPPORTED_OP") == 2, asked.stderr


def test_messages_that_nobody_has_installed_are_refused_by_profile_and_key(
    fresh: Path, tmp_path: Path
) -> None:
    profile = profile_with(tmp_path / "other.toml", 'vendor_messages = ["rotor"]')
    asked = run(fresh / "pumpbench", "emulate", "--profile", profile, cwd=tmp_path)
    assert (asked.returncode, asked.stderr.count("\n")) == (10, 1)
    assert (
        f'profile {profile}: vendor_messages: no installed package offers "rotor"; install it' in asked.stderr
    )


THE_DOSE_THAT_ARRIVES = """
import sys
from contextlib import closing
from hil.targets import PumpChoice, make_target
from hil.address import parse

for address in ("emulator", "emulator:process"):
    for profile in sys.argv[1:]:
        with closing(make_target(parse(address), PumpChoice(profile=profile))) as target:
            target.start()
            target.rig.advance(86_400_000)
            truth = target.rig.state().truth
            print(truth["emitted_nl_ppm"], truth["tip_fg_ppm"], truth["lost_fg_ppm"])
"""


def test_a_catheter_of_somebody_else_loses_what_it_says(fresh: Path, tmp_path: Path) -> None:
    asked = run(fresh / "python", "-c", THE_DOSE_THAT_ARRIVES, "implanted", PROFILE, cwd=tmp_path)
    assert asked.returncode == 0, asked.stderr
    arrived = [[int(word) for word in line.split()] for line in asked.stdout.splitlines()]
    for implanted, leaking in (arrived[:2], arrived[2:]):
        emitted, at_tip, lost = implanted
        assert lost == 0
        assert leaking == [emitted, at_tip * 80 // 100, at_tip * 20 // 100]


def test_without_the_package_its_kind_is_refused_in_one_sentence(tmp_path: Path) -> None:
    started = run(sys.executable, "-m", "hil.cli", "emulate", "--profile", PROFILE, cwd=tmp_path)
    assert started.returncode == 10
    assert (
        'leaking.toml: components.catheter must be one of "plug-flow" or a kind of an installed package, is "leaking"'
        in started.stderr
    )
    assert started.stderr.count("\n") == 1
