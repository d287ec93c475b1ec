"""`pumpbench program config`: what the clinic sets of a pump, read and written in the units of a clinic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hil.cli.connection import Options, confirm, connected, require_target, show, with_options
from hil.cli.documents import ConfigItem, ConfigPart
from hil.cli.output import say
from hil.cli.quantities import ML, Moment, Quantity
from hil.cli.tables import wall_text
from hil.errors import DeviceError, DeviceRefused
from hil.quantity_words import duration, ml
from protocol.identifiers import ConfigId, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from hil.programmer.configuration import ConfigValue

NOT_SET = "not set"
WITH_NEAREST = frozenset({ErrorCode.CONFIG_VALUE, ErrorCode.TIME_RANGE})


class YesOrNo(click.ParamType[bool]):
    """`yes` or `no`, and nothing that has to be guessed."""

    name = "yes or no"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Whether."""
        if value not in {"yes", "no"}:
            self.fail(f"{value!r} is neither yes nor no", param, ctx)
        return bool(value == "yes")


class Text(click.ParamType[str]):
    """Any text that UTF-8 can carry."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text."""
        try:
            value.encode()
        except UnicodeEncodeError:
            self.fail(f"{value!r} is no text that UTF-8 can carry", param, ctx)
        return str(value)


def printable(text: str) -> str:
    """A text of the pump as a terminal may show it: what does not print is escaped, so that it does nothing there."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class Item(NamedTuple):
    """One item: how its value is written, and how it is shown."""

    config_id: ConfigId
    kind: click.ParamType[Any]
    words: Callable[[Any], str]

    @property
    def name(self) -> str:
        """As the command line names it: without the unit, which its value has."""
        if self.config_id is ConfigId.IMPLANT_WALL_S:
            return "implant-date"
        return self.config_id.name.lower().removesuffix("_nl").removesuffix("_s").replace("_", "-")

    def read(self, text: str) -> ConfigValue:
        """What was written, as the library takes it; click's UsageError where it is none."""
        value = self.kind.convert(text, None, click.get_current_context())
        return value.wall_s if self.config_id is ConfigId.IMPLANT_WALL_S else value  # type: ignore[no-any-return]


def _date(wall_s: int) -> str:
    return wall_text(wall_s) if wall_s else NOT_SET


def _text(text: str) -> str:
    return printable(text) or NOT_SET


_SECONDS = Quantity("s")
ITEMS: Final = {
    item.name: item
    for item in (
        Item(ConfigId.PATIENT_ID, Text(), _text),
        Item(ConfigId.NOTES, Text(), _text),
        Item(ConfigId.DRUG_NAME, Text(), _text),
        Item(ConfigId.CATHETER_MODEL, Text(), _text),
        Item(ConfigId.CATHETER_NL, ML, ml),
        Item(ConfigId.TUBING_NL, ML, ml),
        Item(ConfigId.IMPLANT_WALL_S, Moment(), _date),
        Item(ConfigId.BOLUS_MAX_NL, ML, ml),
        Item(ConfigId.HOUR_MAX_NL, ML, ml),
        Item(ConfigId.DAY_MAX_NL, ML, ml),
        Item(ConfigId.PROGRAM_DAY_MAX_NL, ML, ml),
        Item(ConfigId.CRITICAL_INTERVAL_S, _SECONDS, duration),
        Item(ConfigId.NONCRITICAL_INTERVAL_S, _SECONDS, duration),
        Item(ConfigId.PATIENT_MAY_READ_THERAPY, YesOrNo(), lambda value: "yes" if value else "no"),
    )
}


@click.command(name="config")
@click.argument("name", required=False, type=click.Choice(list(ITEMS)))
@click.argument("value", required=False)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_options
def config(options: Options, name: str | None, value: str | None, yes: bool) -> None:
    """What the clinic has set: all of it, the item NAME, or with VALUE set it.

    Volumes in mL, intervals in s, a date as 2026-03-02T10:00:00+01:00, whether as yes or no, all else as text.
    """
    if name is None or value is None:
        items = list(ITEMS.values()) if name is None else [ITEMS[name]]
        with connected(options) as pump:
            found = [(item, pump.configuration(item.config_id)) for item in items]
        rows = [(item.name, item.words(now)) for item, now in found]
        show(options, rows, ConfigPart(items=[ConfigItem(item.config_id, now) for item, now in found]))
        return
    item = ITEMS[name]
    wanted = item.read(value)
    require_target(options)
    with connected(options, settled=True, changes="CONFIG_WRITE") as pump:
        before = pump.configuration(item.config_id)
        confirm(f"set {name} from {item.words(before)} to {item.words(wanted)}", yes=yes)
        try:
            pump.configure(item.config_id, wanted)
        except DeviceRefused as refused:
            if type(wanted) is int and refused.error.code in WITH_NEAREST:
                say(
                    f"pumpbench: the nearest {name} that this pump takes is {item.words(refused.error.nearest)}"
                )
            raise
        now = pump.configuration(item.config_id)
    if now != wanted:
        raise DeviceError(
            f"the pump was told {name} {item.words(wanted)} and reads {item.words(now)}",
            advice="read it once more, and do not trust this pump where it stays so",
        )
    document = ConfigPart(items=[ConfigItem(item.config_id, now)], before=before)
    show(options, [(name, item.words(now)), ("before", item.words(before))], document, done=f"{name} is set")
