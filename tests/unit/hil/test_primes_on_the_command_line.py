"""`program prime` says what leaves the tip: of a path that was primed before, and beside a program [DOMAIN 8]."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.cli.path_commands import given_into_the_path
from hil.cli.procedure_documents import PrimePart
from hil.errors import DeviceError, UsageError
from hil.plugin import verifies
from hil.procedures.fluid_path import FluidPath, PrimeKind
from hil.rig_client import RigClient
from protocol.messages.reading import GetDeliveryReply
from tests.support.for_each import for_each
from tests.unit.bench.processes import ThreadBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

HOUR_MS = 3_600_000
PATH = FluidPath(198_000, 140_000)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadBench]:
    """A pump, and a directory of state of its own: its primes are nobody else's."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    bench = ThreadBench(seed=1)
    yield bench
    bench.close()


def rig_of(bench: ThreadBench) -> AbstractContextManager[RigClient]:
    return closing(RigClient(str(bench.ready["control"]), "the token"))


def prime(bench: ThreadBench, *arguments: str) -> Result:
    words = ("program", "prime", *arguments, "--yes", "--target", f"pty:{bench.ready['port']}")
    return CliRunner().invoke(main.cli, words)


# FI 26
def test_a_path_that_was_primed_is_not_primed_again_by_yes_alone(bench: ThreadBench) -> None:
    assert prime(bench, "--kind", "new").exception is None
    with rig_of(bench) as rig:
        rig.advance(HOUR_MS)
    refused = prime(bench, "--kind", "new").exception
    assert isinstance(refused, UsageError)
    told = "the pump has delivered 0.363 mL already, 0.338 mL of it by a prime: if that is in the path, "
    assert f"{told}up to 0.338 mL (169 mcg) would leave the tip at once" in str(refused)
    assert "add --again in scripts" in refused.one_line()
    assert prime(bench, "--kind", "new", "--again").exception is None, "it was purged since"
    waits = prime(bench, "--kind", "revision").exception
    assert isinstance(waits, DeviceError), "a new catheter holds nothing, whatever the pump has given"


def test_what_the_program_gives_beside_a_prime_is_told_with_it(bench: ThreadBench) -> None:
    document = json.loads(prime(bench, "--kind", "new", "--json").stdout)
    duration_ms = document["prime"]["duration_ms"]
    assert document["beside_nl"] == 600_000 * duration_ms // 86_400_000 == 8_666
    again = prime(bench, "--kind", "new")
    assert isinstance(again.exception, DeviceError), "it is under way"
    with rig_of(bench) as rig:
        rig.advance(HOUR_MS)
    words = prime(bench, "--kind", "new", "--again").stdout
    assert "0 mcg out of the tip before its end; the program gives 0.008666 mL (4.333 mcg) beside it" in words


@for_each(
    ("kind", "basal_nl", "asked"),
    [
        (PrimeKind.NEW, 0, False),
        (PrimeKind.NEW, 33_799, False),
        (PrimeKind.NEW, 33_800, True),
        (PrimeKind.REPLACEMENT, 33_800, True),
        (PrimeKind.PURGED, 140_000, False),
        (PrimeKind.PURGED, 174_000, True),
        (PrimeKind.REVISION, 9_000_000, False),
    ],
)
def test_what_the_pump_has_given_is_held_against_what_the_path_is_said_to_hold(
    kind: PrimeKind, basal_nl: int, asked: bool
) -> None:
    part = PrimePart(
        kind=kind.value,
        volume_nl=PATH.volume_nl,
        duration_ms=1,
        tip_drug_ng=0,
        following_drug_ng=0,
        following_nominal_ng=0,
    )
    given = GetDeliveryReply(basal_nl, *[0] * (len(GetDeliveryReply._fields) - 1))
    assert bool(given_into_the_path(part, PATH, given, 500_000)) is asked


def test_a_bridge_takes_no_dose_of_a_program_that_has_several(
    bench: ThreadBench,
) -> None:
    target = ("--target", f"pty:{bench.ready['port']}")

    def program(*arguments: str) -> Result:
        return CliRunner().invoke(main.cli, ["program", *arguments, *target])

    assert program("bridge", "--concentration", "1000").exception is None
    several = (
        "flex",
        "weekdays",
        "00:00=8mcg/h",
        "weekend",
        "00:00=12mcg/h",
        "--yes",
        "--accept",
        "dose-change",
    )
    assert program(*several).exception is None
    error = program("bridge", "--concentration", "1000", "--dose", "200").exception
    assert isinstance(error, UsageError)
    assert "--bridge-dose is missing: the active program has no single dose" in str(error)
    assert "transit" not in program("path").stdout, "no one rate is that of the whole week"
    doses = ("--dose", "200", "--bridge-dose", "200")
    assert program("bridge", "--concentration", "1000", *doses).exception is None


# FI 27, RH-01
@verifies("PRC-002")
def test_tubing_of_the_volume_of_before_2016_is_not_primed_nor_bridged_without_a_word(
    bench: ThreadBench,
) -> None:
    target = ("--target", f"pty:{bench.ready['port']}")
    assert (
        CliRunner().invoke(main.cli, ["program", "config", "tubing", "0.199", "--yes", *target]).exception
        is None
    )
    refused = prime(bench, "--kind", "new").exception
    assert isinstance(refused, UsageError)
    assert "0.059 mL larger than it is: a prime gives that, 29.5 mcg too much" in str(refused)
    assert "correct it with `pumpbench program config tubing 0.14`, or name its volume" in refused.one_line()
    plan = CliRunner().invoke(main.cli, ["program", "bridge", "--concentration", "1000", *target])
    assert "the tubing is told 0.059 mL larger than it is: the bridge is too long by that" in plan.stdout
    named = prime(bench, "--kind", "new", "--tubing-ml", "0.199")
    assert named.exception is None
    assert "0.397 mL" in named.stdout


def test_a_prime_is_not_told_in_another_drug_than_the_pump_has_nor_a_transit_at_a_rate_that_no_pump_runs(
    bench: ThreadBench,
) -> None:
    wrong = prime(bench, "--kind", "new", "--concentration", "300").exception
    assert isinstance(wrong, UsageError)
    assert "--concentration is 300 mcg/mL, and the pump's program is for 500 mcg/mL" in str(wrong)
    assert prime(bench, "--kind", "new", "--concentration", "500").exception is None
    target = ("--target", f"pty:{bench.ready['port']}")
    for dose in ("1000000", "0.001"):
        refused = CliRunner().invoke(main.cli, ["program", "path", "--dose", dose, *target]).exception
        assert isinstance(refused, UsageError)
        assert "and the pump runs 0.048 mL/day to 24 mL/day" in str(refused)
