"""`pumpbench diff`: two recordings of pumps, compared as a person would who has both conversations before him."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from hil.capture.messages import FrameState
from hil.cli import main
from hil.cli.json_schema import json_schema
from hil.comparison import side
from hil.comparison.differences import Comparison, Difference, How
from hil.comparison.rules import Rules
from hil.comparison.rules_file import rules_of
from hil.errors import BadConfiguration, NotTheSame, PumpbenchError
from protocol.codec.field_words import bare_name_and_unit
from protocol.codec.layouts import declaration_of, declared_classes
from protocol.codec.sameness import EXACT
from protocol.identifiers import ErrorCode, Kind
from protocol.messages.errors import refusal
from protocol.messages.log import LogRead, LogReadReply
from tests.unit.hil.comparison.recordings import (
    at,
    changed,
    messages,
    recorded,
    visit_with_one_more_question,
)
from tests.unit.hil.test_decode import recorded as recorded_loopback

if TYPE_CHECKING:
    from hil.capture.messages import RecordedMessage

    Said = list[RecordedMessage]


SESSIONS = Path(__file__).parents[4] / "fixtures" / "sessions"


def diff(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main.cli, ["diff", *map(str, arguments)])


def ended(done: Result) -> PumpbenchError:
    assert isinstance(done.exception, PumpbenchError), done.output
    return done.exception


def document(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(diff(*arguments, "--json").stdout)
    jsonschema.Draft202012Validator(json_schema("diff")).validate(found)
    return found


def differences(one: Said, other: Said, rules: Rules | None = None) -> list[Difference]:
    return list(Comparison(rules or Rules()).differences(one, other))


def places(one: Said, other: Said, rules: Rules | None = None) -> list[tuple[How, str]]:
    return [(each.how, each.place) for each in differences(one, other, rules)]


def test_the_same_visit_to_the_same_pump_is_the_same_though_every_nonce_and_tag_differs(
    a_visit: Path, tmp_path: Path
) -> None:
    other = recorded(tmp_path / "b.pcapng")
    assert a_visit.read_bytes() != other.read_bytes()
    done = diff(a_visit, other)
    assert done.exit_code == 0, done.output
    assert "messages compared: the same" in done.stdout
    assert "ClientHello.nonce_c: volatile, 1 of 1 (as declared)" in done.stdout
    found = document(a_visit, other)
    assert (found["same"], found["differences"], found["first"], found["fields"]) == (True, 0, None, [])
    assert found["compared"] == len(messages(a_visit))


def test_one_dose_limit_that_is_other_is_named_by_message_and_field_and_nothing_else_is(
    a_visit: Path, tmp_path: Path
) -> None:
    other = recorded(tmp_path / "b.pcapng", model={"bolus_max_nl": 400_000})
    done = diff(a_visit, other)
    assert isinstance(ended(done), NotTheSame)
    assert "have one difference, the first in GetLimitsReply.bolus_max_nl" in str(done.exception)
    assert "first difference: GetLimitsReply.bolus_max_nl differs" in done.stdout
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("! ")]
    assert row.split() == ["!", "bolus_max_nl", "500000", "nL", "400000", "nL"]
    assert "GetLimitsReply.bolus_max_nl differs, one time" in done.stdout
    (field,) = document(a_visit, other)["fields"]
    assert (field["how"], field["place"], field["count"]) == ("field", "GetLimitsReply.bolus_max_nl", 1)
    assert [field["shown"][0][name] for name in ("first_value", "second_value")] == ["500000", "400000"]


def test_one_more_question_is_one_insertion_with_its_answer_and_not_the_end_of_the_comparison(
    a_visit: Path, tmp_path: Path
) -> None:
    other = recorded(tmp_path / "b.pcapng", visit_with_one_more_question)
    found = document(a_visit, other)
    assert [(each["how"], each["place"], each["count"]) for each in found["fields"]] == [
        ("extra", "GetDelivery", 1),
        ("extra", "GetDeliveryReply", 1),
    ]
    assert found["compared"] == len(messages(a_visit))
    back = document(other, a_visit)
    assert {each["how"] for each in back["fields"]} == {"missing"}
    assert "is only in the second" in diff(a_visit, other).stdout


def test_each_message_that_is_inserted_is_one_insertion_wherever_it_stands(said: Said) -> None:
    for place, entry in enumerate(said):
        found = differences(said, [*said[:place], entry, *said[place:]])
        assert [(each.how, type(each.second and each.second.message)) for each in found] == [
            (How.EXTRA, type(entry.message))
        ]


def test_each_field_of_each_message_that_is_exact_is_named_where_it_differs(said: Said) -> None:
    looked_at = set()
    for place, entry in enumerate(said):
        message: Any = entry.message
        rules = dict(zip(message._fields, _rules(type(message)), strict=True))
        for name, value in zip(message._fields, message, strict=True):
            if rules[name] != EXACT or type(value) is not int:
                continue
            other = changed(said, type(message).__name__, _number(said, place), **{name: value + 1})
            assert places(said, other) == [(How.FIELD, f"{type(message).__name__}.{name}")]
            looked_at.add((type(message).__name__, name))
    assert {("GetLimitsReply", "day_max_nl"), ("BolusCommit", "volume_nl")} <= looked_at


def _rules(cls: type) -> list[Any]:
    record = declaration_of(cls).record
    names: Any = cls
    by_name = dict(zip((name for name, _ in record.parts), record.rules, strict=True))
    return [by_name[name] for name in names._fields]


def _number(said: Said, place: int) -> int:
    return sum(type(each.message) is type(said[place].message) for each in said[:place])


def test_a_refusal_in_place_of_an_answer_is_a_difference_of_that_answer(said: Said) -> None:
    place = at(said, "BolusCommitReply")
    frame: Any = said[place].frame
    refused = said[place]._replace(
        frame=frame._replace(kind=Kind.ERROR), message=refusal(ErrorCode.ROLE, detail=1)
    )
    (only,) = differences(said, [*said[:place], refused, *said[place + 1 :]])
    assert (only.how, only.place, only.was, only.now) == (
        How.FIELD, "BOLUS_COMMIT.answer", "BolusCommitReply", "ErrorReply ROLE",
    )  # fmt: skip


def test_a_command_may_have_another_id_but_a_cancel_of_another_command_is_a_difference(said: Said) -> None:
    """Ids are names: whoever is called so in one recording has one name in the other."""
    commit: Any = said[at(said, "BolusCommit")].message
    cancelled: Any = said[at(said, "BolusCancel")].message
    assert cancelled.target_cmd_id == commit.cmd_id
    renamed = [each._replace(message=_renamed(each.message, commit.cmd_id, 99)) for each in said]
    assert (How.FIELD, "LogReadReply.entries[0].cmd_id") in places(said, renamed)
    spoken, renamed = ([each for each in side if _is_no_log(each)] for side in (said, renamed))
    assert places(spoken, renamed) == []
    other = changed(renamed, "BolusCancel", target_cmd_id=98)
    assert places(spoken, other) == [(How.FIELD, "BolusCancel.target_cmd_id")]


def _is_no_log(entry: RecordedMessage) -> bool:
    return not isinstance(entry.message, LogRead | LogReadReply)


def _renamed(message: Any, was: int, now: int) -> Any:
    names = {name for name in message._fields if name.endswith("cmd_id") and getattr(message, name) == was}
    return message._replace(**dict.fromkeys(names, now))


def test_rows_and_entries_of_a_log_are_compared_one_by_one(said: Said) -> None:
    place = next(
        n for n, each in enumerate(said) if isinstance(each.message, LogReadReply) and each.message.entries
    )
    page: Any = said[place].message
    raw = page.entries[0]
    damaged = page._replace(entries=(bytes([raw[0] ^ 1, *raw[1:]]), *page.entries[1:]))
    fewer = page._replace(entries=page.entries[:-1])
    for other, name in ((damaged, "LogReadReply.entries[0]"), (fewer, "LogReadReply.entries.length")):
        changed_one = [*said[:place], said[place]._replace(message=other), *said[place + 1 :]]
        assert places(said, changed_one) == [(How.FIELD, name)]


@pytest.mark.parametrize(
    ("rule", "values", "differs"),
    [
        ("exact", [(5, 5), (5, 6)], [1]),
        ("volatile", [(5, 5), (5, 6)], []),
        ("delta", [(100, 103), (100, 97), (100, 104), (100, 96)], [2, 3]),
        ("monotonic", [(1, 70), (2, 80), (1, 90), (3, 89), (4, 90)], [2, 3]),
        ("monotonic", [(5, 5), (4, 4)], []),
        ("monotonic", [(5, 5), (5, 4), (5, 4), (5, 9)], [1]),
        ("mapped", [(1, 7), (2, 8), (1, 7), (1, 8), (1, 8), (3, 7), (0, 0), (0, 9)], [3, 7]),
        ("mapped", [(1, 7), (2, 7), (2, 7), (1, 7)], [1, 3]),
        ("mapped", [(1, 7), (2, 7), (1, 8)], [1]),
        ("mapped", [(9, 0), (1, 7)], [0]),
    ],
)
def test_a_rule_of_ones_own_judges_as_it_says(
    said: Said, rule: str, values: list[tuple[int, int]], differs: list[int]
) -> None:
    tolerance = "tolerance = 3" if rule == "delta" else ""
    own = f'[[rule]]\nmessage="GetStatusReply"\nfield="batt_mv"\nrule="{rule}"\n{tolerance}\nreason="because"'
    status = said[at(said, "GetStatusReply")]
    message: Any = status.message
    one, other = (
        [status._replace(message=message._replace(batt_mv=pair[n])) for pair in values] for n in (0, 1)
    )
    comparison = Comparison(rules_of(own, "own"))
    found = list(comparison.differences(one, other))
    assert [(each.was, each.now) for each in found] == [values[n] for n in differs]
    (applied,) = [each for each in comparison.judge.applied if each.place == "GetStatusReply.batt_mv"]
    assert (applied.judged, applied.source) == (len(values), "because")
    assert applied.hid == sum(was != now for was, now in values) - len(differs)
    assert comparison.judge.unused() == []


def test_a_rule_for_a_record_holds_in_every_message_with_it_and_one_of_the_message_goes_before(
    said: Said,
) -> None:
    reply: Any = said[at(said, "BolusCommitReply")].message
    other = changed(said, "BolusCommitReply", result=reply.result._replace(reason=7))
    place = (How.FIELD, "BolusCommitReply.result.reason")
    record = '[[rule]]\nmessage="CommandResult"\nfield="reason"\nrule="volatile"\nreason="r"\n'
    own = '[[rule]]\nmessage="BolusCommitReply"\nfield="result.reason"\nrule="exact"\nreason="r"\n'
    assert places(said, other) == [place]
    assert places(said, other, rules_of(record, "x")) == []
    assert places(said, other, rules_of(record + own, "x")) == [place]


def test_dose_figures_are_compared_exactly_unless_somebody_says_otherwise() -> None:
    for cls in declared_classes():
        for (name, _layout), rule in zip(
            declaration_of(cls).record.parts, declaration_of(cls).record.rules, strict=True
        ):
            if bare_name_and_unit(name)[1] in {"nL", "nL/day", "ng/day", "ng/mL"}:
                assert rule == EXACT, f"{cls.__name__}.{name}"


def test_a_sealed_frame_is_the_same_as_nothing_not_even_as_itself(said: Said) -> None:
    sealed = [
        each._replace(state=FrameState.SEALED, message=None, payload=None)
        if each.state is FrameState.OPENED
        else each
        for each in said
    ]
    number = sum(each.state is FrameState.SEALED for each in sealed)
    assert number
    for one, other in ((sealed, sealed), (said, sealed), (sealed, said)):
        assert sum(each.how is not How.FIELD for each in differences(one, other)) >= number


def test_a_file_with_sealed_frames_says_so_and_is_no_match(tmp_path: Path) -> None:
    path = recorded_loopback(tmp_path / "sealed.pcapng", secrets=False, key=bytes(range(16)))
    done = diff(path, path)
    assert isinstance(ended(done), NotTheSame)
    assert "6 frames of" in done.stderr
    assert "give the key by --key" in done.stderr
    assert document(path, path)["sealed"] == [6, 6]


def test_damage_is_said_and_ends_with_10_though_all_that_could_be_read_is_the_same(
    a_visit: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.pcapng"
    cut.write_bytes(a_visit.read_bytes()[:-7])
    for files in ((a_visit, cut), (cut, a_visit), (cut, cut)):
        done = diff(*files)
        assert isinstance(ended(done), BadConfiguration)
        assert "is damaged" in str(done.exception)
        assert f"!!! {cut}: " in done.stdout
    found = document(cut, cut)
    assert (found["same"], found["differences"], len(found["damage"])) == (False, 0, 2)


def test_two_recordings_of_nothing_are_not_the_same_but_no_comparison(a_visit: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcapng"
    empty.write_bytes(a_visit.read_bytes()[: a_visit.read_bytes().index(b"\x06\0\0\0")])
    assert "there is nothing to compare" in str(ended(diff(empty, empty)))
    assert isinstance(ended(diff(empty, a_visit)), BadConfiguration | NotTheSame)


def test_no_recording_and_no_file_are_refused_in_a_sentence(a_visit: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.pcapng"
    text.write_text("no recording")
    for other in (text, tmp_path / "missing.pcapng"):
        assert isinstance(ended(diff(a_visit, other)), BadConfiguration)


def test_more_than_ten_of_a_kind_are_counted_and_ten_are_shown(
    said: Said, a_visit: Path, tmp_path: Path
) -> None:
    def asks_often(pump: Any) -> None:
        for _ in range(13):
            pump.limits()

    one = recorded(tmp_path / "a.pcapng", asks_often)
    other = recorded(tmp_path / "b.pcapng", asks_often, model={"bolus_max_nl": 400_000})
    (field,) = document(one, other)["fields"]
    assert (field["count"], len(field["shown"]), field["more"]) == (13, 10, 3)
    assert "  and 3 more" in diff(one, other).stdout


RULE = {"message": '"GetStatusReply"', "field": '"batt_mv"', "rule": '"volatile"', "reason": '"a reason"'}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"message": '"GetStatuReply"'}, "there is no such message; did you mean GetStatusReply?"),
        ({"field": '"batt_mw"'}, "which GetStatusReply does not have; did you mean batt_mv?"),
        ({"field": '"batt_mv.x"'}, "which GetStatusReply does not have"),
        ({"rule": '"loose"'}, "rules are exact, volatile, delta, monotonic, mapped"),
        ({"reason": '""'}, "has an empty reason; say why the values may differ"),
        ({"reason": '"  "'}, "as its reason"),
        ({"reason": None}, "has no reason"),
        ({"rule": None}, "has no rule"),
        ({"rule": '"delta"'}, "has no tolerance"),
        ({"rule": '"delta"', "tolerance": "0"}, "has 0 as its tolerance"),
        ({"rule": '"delta"', "tolerance": "true"}, "has True as its tolerance"),
        ({"tolerance": "3"}, "is volatile, which has no tolerance"),
        ({"rule": '"delta"', "tolerance": "3", "field": '"state"'}, "GetStatusReply.state is no number"),
        ({"rule": '"monotonic"', "field": '"flags"'}, "GetStatusReply.flags is no number"),
        ({"because": '"x"'}, "has 'because'; its keys are message, field, rule, tolerance, reason"),
        ({"message": '"BadFrame"', "field": '"wire"'}, "whose one field is data"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused_by_its_number(
    a_visit: Path, tmp_path: Path, changes: dict[str, str | None], words: str
) -> None:
    table = {key: value for key, value in {**RULE, **changes}.items() if value is not None}
    text = "\n".join(("[[rule]]", *(f"{key} = {value}" for key, value in table.items())))
    path = tmp_path / "own.toml"
    path.write_text(text)
    error = ended(diff(a_visit, a_visit, "--rules", path))
    assert isinstance(error, BadConfiguration)
    assert f"{path}: rule 1 " in str(error)
    assert words in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rule", "is not TOML"),
        ("rule = 3", "begin each rule with [[rule]]"),
        ("rules = []", "only tables [[rule]] are expected"),
        ("[[rule]]\nmessage='Ping'\nfield='x'\nrule='exact'\nreason='r'", "it has no fields"),
    ],
)
def test_a_file_that_is_no_list_of_rules_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        rules_of(text, "own.toml")
    assert words in str(refused.value)


def test_a_second_rule_for_a_field_is_refused() -> None:
    text = '[[rule]]\nmessage="PingReply"\nfield="x"\nrule="exact"\nreason="r"\n'
    twice = 2 * text.replace("PingReply", "GetStatusReply").replace('"x"', '"batt_mv"')
    with pytest.raises(BadConfiguration, match=r"rule 2 is a second one for GetStatusReply\.batt_mv"):
        rules_of(twice, "own.toml")


def test_a_rule_for_a_message_that_one_recording_has_alone_never_applied(said: Said) -> None:
    own = '[[rule]]\nmessage="GetLimitsReply"\nfield="stroke_nl"\nrule="exact"\nreason="r"\n'
    comparison = Comparison(rules_of(own, "own"))
    without = [each for each in said if "GetLimits" not in type(each.message).__name__]
    assert {each.place for each in comparison.differences(said, without)} == {"GetLimits", "GetLimitsReply"}
    assert [each.place for each in comparison.judge.unused()] == ["GetLimitsReply.stroke_nl"]


def test_a_rule_that_never_applied_is_reported(a_visit: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    rule = '[[rule]]\nmessage="{}"\nfield="{}"\nrule="volatile"\nreason="r"\n'
    path.write_text(rule.format("GetReservoirReply", "ptm_denied") + rule.format("GetStatusReply", "batt_mv"))
    done = diff(a_visit, a_visit, "--rules", path)
    assert done.exit_code == 0
    assert "the rule for GetReservoirReply.ptm_denied never applied" in done.stderr
    assert "batt_mv" not in done.stderr
    assert document(a_visit, a_visit, "--rules", path)["never_applied"] == ["GetReservoirReply.ptm_denied"]


def test_a_file_too_long_to_be_kept_is_compared_as_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic, refill = SESSIONS / "clinic_day.pcapng", SESSIONS / "refill.pcapng"
    for paths in ((clinic, refill), (clinic, clinic)):
        of_kept = diff("--json", *paths)
        with monkeypatch.context() as fewer:
            fewer.setattr(side, "KEPT_MAX", 10)
            of_read = diff("--json", *paths)
        assert (of_read.stdout, of_read.exit_code) == (of_kept.stdout, of_kept.exit_code)
        assert json.loads(of_read.stdout)["compared"] > 50
