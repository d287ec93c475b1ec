"""`pumpbench hil adopt`: golden sessions on file, and rules that two recordings of the same thing propose."""

from __future__ import annotations

import hashlib
import stat
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.comparison.differences import Comparison
from hil.comparison.golden import read_golden
from hil.comparison.learning import Proposal, proposals
from hil.comparison.rules import Rules
from hil.comparison.rules_file import rules_of
from hil.errors import BadConfiguration, PumpbenchError, UsageError
from protocol.identifiers import State
from tests.unit.hil.comparison.recordings import at, changed, recorded
from tests.unit.hil.test_decode import recorded as recorded_loopback

if TYPE_CHECKING:
    from pathlib import Path

    from hil.capture.messages import RecordedMessage

    Said = list[RecordedMessage]


def adopt(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main.cli, ["hil", "adopt", *map(str, arguments)])


def refusal(*arguments: str | Path) -> PumpbenchError:
    error = adopt(*arguments).exception
    assert isinstance(error, PumpbenchError), error
    return error


# Golden sessions


def test_a_golden_session_is_the_recording_its_rules_and_where_it_comes_from(
    a_visit: Path, tmp_path: Path
) -> None:
    done = adopt(a_visit, "--into", tmp_path / "sessions", "--name", "clinic-day")
    assert done.exit_code == 0, done.output
    path = tmp_path / "sessions" / "clinic-day.session.toml"
    assert done.stdout.strip() == str(path)
    document = tomllib.loads(path.read_text())
    assert document["sha256"] == hashlib.sha256(a_visit.read_bytes()).hexdigest()
    provenance = document["provenance"]
    assert provenance["adopted_from"] == str(a_visit)
    assert provenance["adopted_by"].startswith("pumpbench ")
    assert provenance["adopted_at"].endswith("Z")
    assert provenance["requests"] > 5
    assert provenance["recorder"][0]["told"]["target"] == "emulator"
    session = read_golden(path)
    assert (session.name, session.recording.read_bytes()) == ("clinic-day", a_visit.read_bytes())
    assert session.rules == Rules()
    assert stat.S_IMODE(session.recording.stat().st_mode) == 0o600


def test_a_golden_session_has_the_rules_that_it_was_given(a_visit: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        '[[rule]]\nmessage="GetStatusReply"\nfield="batt_mv"\nrule="delta"\ntolerance=20\nreason="noise"\n'
    )
    assert adopt(a_visit, "--into", tmp_path, "--rules", own, "--name", "b").exit_code == 0
    assert [each.place for each in read_golden(tmp_path / "b.session.toml").rules.overrides.values()] == [
        "GetStatusReply.batt_mv"
    ]
    own.write_text("[[rule]]")
    assert isinstance(refusal(a_visit, "--into", tmp_path, "--rules", own, "--name", "c"), BadConfiguration)
    assert not (tmp_path / "c.pcapng").exists()


@pytest.mark.parametrize("there", [".session.toml", ".pcapng", ".rules.toml"])
def test_nothing_that_is_there_is_written_over_and_no_half_session_is_left(
    a_visit: Path, tmp_path: Path, there: str
) -> None:
    (tmp_path / f"a{there}").write_text("mine")
    assert "File exists" in str(refusal(a_visit, "--into", tmp_path))
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [(f"a{there}", "mine")]


def test_what_could_not_be_held_against_a_run_is_not_adopted(a_visit: Path, tmp_path: Path) -> None:
    content = a_visit.read_bytes()
    damaged, empty = tmp_path / "damaged.pcapng", tmp_path / "empty.pcapng"
    damaged.write_bytes(content[:-7])
    empty.write_bytes(content[: content.index(b"\x06\0\0\0")])
    sealed = recorded_loopback(tmp_path / "sealed.pcapng", secrets=False, key=bytes(range(16)))
    for path, words in (
        (damaged, "is damaged: "),
        (empty, "has no request that could be asked again"),
        (sealed, "is sealed, and no key opens it"),
        (tmp_path / "none.pcapng", "cannot be read"),
    ):
        assert words in str(refusal(path, "--into", tmp_path / "sessions"))
    assert "is no name for a session" in str(refusal(a_visit, "--into", tmp_path, "--name", "../x"))
    assert not (tmp_path / "sessions").exists()


def test_a_golden_session_that_is_not_as_it_was_is_refused(a_visit: Path, tmp_path: Path) -> None:
    adopt(a_visit, "--into", tmp_path)
    session = tmp_path / "a.session.toml"
    text = session.read_text()
    for changes, words in (
        (("format = 1", "format = 2"), "has format 2, and 1 is read here"),
        (('"a.pcapng"', '"../a.pcapng"'), "name a file beside it"),
        (('"a.rules.toml"', '"b.rules.toml"'), "b.rules.toml cannot be read"),
        (('sha256 = "', 'sha256 = "0'), "is not the recording that was adopted"),
    ):
        session.write_text(text.replace(*changes))
        with pytest.raises(BadConfiguration) as refused:
            read_golden(session)
        assert words in str(refused.value)
    session.write_text(text)
    recording = tmp_path / "a.pcapng"
    recording.write_bytes(recording.read_bytes() + b"\0")
    with pytest.raises(BadConfiguration, match="is not the recording that was adopted"):
        read_golden(session)


# Learning


def proposed(one: Said, other: Said) -> dict[str, Proposal]:
    return {
        f"{each.message}.{each.field_path}".removesuffix("."): each for each in proposals(one, other, Rules())
    }


def with_batteries(said: Said, values_mv: list[int], **fields: Any) -> Said:
    status = said[at(said, "GetStatusReply")]
    message: Any = status.message
    return [status._replace(message=message._replace(batt_mv=value, **fields)) for value in values_mv]


@pytest.mark.parametrize(
    ("values_mv", "rule"),
    [
        ([(2900, 2903), (2890, 2885), (2880, 2880)], "delta 5"),
        ([(10, 70), (20, 71), (30, 90)], "monotonic"),
        ([(30, 70), (20, 71), (30, 90)], "volatile"),
        ([(10, 70), (20, 71)], "volatile"),
    ],
)
def test_a_number_that_differs_gets_the_narrowest_rule_that_fits_it(
    said: Said, values_mv: list[tuple[int, int]], rule: str
) -> None:
    one, other = (with_batteries(said, [pair[n] for pair in values_mv]) for n in (0, 1))
    (found,) = proposed(one, other).values()
    assert (found.message, found.field_path, str(found.rule)) == ("GetStatusReply", "batt_mv", rule)


def test_no_rule_is_proposed_for_a_dose_a_state_or_a_message_that_is_missing(said: Said) -> None:
    one = with_batteries(said, [1])
    other = with_batteries(said, [1], rate_nl_per_day=7, state=State.SAFE_STATE)
    found = proposed(one, [*other, said[at(said, "GetLimitsReply")]])
    assert {place: each.rule for place, each in found.items()} == {
        "GetStatusReply.rate_nl_per_day": None,
        "GetStatusReply.state": None,
        "GetLimitsReply": None,
    }
    assert "it is a dose figure" in found["GetStatusReply.rate_nl_per_day"].evidence


def test_proposed_rules_are_taken_once_each_has_a_reason_and_then_nothing_differs(
    a_visit: Path, said: Said, tmp_path: Path
) -> None:
    other_path = recorded(tmp_path / "b.pcapng", model={"log_capacity": 3_000})
    done = adopt(a_visit, "--learn", other_path)
    assert done.exit_code == 0, done.output
    assert 'field = "log_capacity"' in done.stdout
    with pytest.raises(BadConfiguration, match="has an empty reason"):
        rules_of(done.stdout, "proposed")
    rules = rules_of(done.stdout.replace('reason = ""', 'reason = "another log"'), "proposed")
    other = changed(said, "GetLimitsReply", log_capacity=3_000)
    assert list(Comparison(Rules()).differences(said, other))
    assert list(Comparison(rules).differences(said, other)) == []


def test_nothing_is_learnt_from_what_could_not_be_read_or_is_the_same(a_visit: Path, tmp_path: Path) -> None:
    assert "nothing differs: no rule is needed" in adopt(a_visit, "--learn", a_visit).stderr
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(a_visit.read_bytes()[:-7])
    assert "nothing is learnt from" in str(refusal(a_visit, "--learn", cut))
    assert isinstance(refusal(a_visit, "--learn", a_visit, "--into", tmp_path), UsageError)


def test_a_session_in_virtual_time_does_not_claim_to_be_of_1970(a_visit: Path, tmp_path: Path) -> None:
    done = adopt(a_visit, "--into", tmp_path / "sessions")
    assert done.exit_code == 0, done.output
    (session,) = (tmp_path / "sessions").glob("*.session.toml")
    assert "recorded_at" not in tomllib.loads(session.read_text())["provenance"]
