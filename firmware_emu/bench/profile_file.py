"""Profiles by name and from TOML files: what kind of pump to make, and what the clinic did to it.

A file names only what differs from the built-in profile that it is `based_on`:

    name = "fast pump"
    summary = "One sentence on it."
    based_on = "implanted"                # or "factory": never filled, never programmed, clock not set
    pump = "40 mL"                        # or "20 mL"
    wall_clock = 2026-03-02T10:00:00+01:00
    vendor_messages = ["motor"]           # of an installed package: entry points of the group pumpbench.messages
    card_key = "ffeeddccbbaa99887766554433221100"  # of the implant card, which pairs anew where all keys are lost
    [model]                               # fields of firmware_emu.profile.PumpModel
    accuracy_ppm = 1_145_000
    [implant]                             # fields of firmware_emu.profile.Implant
    filled_nl = 20_000_000
    [patient]                             # texts that the pump keeps
    id = "P-1"
    [catheter]                            # instead of model.catheter_nl
    length_mm = 1_140
    trimmed_mm = 240
    [drug]                                # its number and concentration are those of [implant]
    name = "baclofen"
    concentration_ng_per_ml = 2_000_000
    [policies]                            # what a clinic decides; fields of PumpModel too
    empty_policy = "minimum_rate"
    [components]                          # parts of the plant, each with its kind
    catheter = "plug-flow"
    [[keys]]                              # instead of the published development keys
    key_id = 7
    role = "clinician"
    key = "00112233445566778899aabbccddeeff"

Every error is one line: the file, the key, what was expected, what came. A device key is never shown.
"""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from firmware_emu.bench.errors import BadConfigurationError, pass_on_out_of_resources
from firmware_emu.bench.extensions import Row, installed
from firmware_emu.bench.profile_rules import (
    CATHETER_NL_PER_CM,
    CATHETER_RULES,
    DRUG_FIELDS,
    KEY_RULES,
    PUMPS,
    TABLES,
    TOP_RULES,
    Rule,
    contradiction,
    one_of,
)
from firmware_emu.plant.components import COMPONENTS, ComponentRow, kinds_of, register_component
from firmware_emu.profile import (
    CommitMode,
    EmptyPolicy,
    Implant,
    PairedKey,
    Profile,
    RecoveryLog,
    TelemetryExit,
    Texts,
)
from protocol.identifiers import Role
from protocol.link.development_keys import DEVELOPMENT_CARD, DEVELOPMENT_KEYS, is_published
from protocol.registry import MESSAGES_ENTRY_POINTS, VENDORS, VendorMessages, register_vendor

if TYPE_CHECKING:
    from enum import StrEnum

WALL_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
FILE_BYTES_MAX: Final = 64 * 1024
"""A hundred times what a profile needs; /dev/zero must not hang us."""
SHOWN_CHARACTERS: Final = 80
SECRETS: Final = frozenset({"key", "card_key"})
MM_PER_CM: Final = 10

PUBLISHED_KEYS: Final = tuple(
    PairedKey(key.key_id, int(key.role), key.key, development=True) for key in DEVELOPMENT_KEYS
)

BUILT_IN: Final = {
    "implanted": Profile(
        name="implanted",
        keys=PUBLISHED_KEYS,
        card_key=DEVELOPMENT_CARD,
        implant=Implant(),
        wall_at_start_s=int((datetime(2026, 3, 2, 10, tzinfo=UTC) - WALL_EPOCH).total_seconds()),
    ),
    "factory": Profile(name="factory", keys=PUBLISHED_KEYS, card_key=DEVELOPMENT_CARD, implant=None),
}
"""[DOMAIN 0.5]; the clock of the implanted one is that of WE-20, so that every run of it is the same."""

SHIPPED: Final = Path(__file__).resolve().parent.parent / "profiles"
"""What this installation brings beside the built-in ones; those of the same name there are examples."""

COMPONENT_ENTRY_POINTS: Final = "pumpbench.components"

SAID_AS: Final = {
    ("pump", "reservoir_size_nl"): "pump",
    ("catheter", "catheter_nl"): "catheter.length_mm",
    ("drug", "drug_id"): "drug.number",
}
"""How a file says a field of model or implant, where it is not by the field's own name."""

Table = dict[str, Any]


def load_profile(given: str | Path) -> Profile:
    """A built-in profile by its name, else the one in the TOML file there, else a shipped one by its name.

    Raises BadConfigurationError.
    """
    path = profile_path(given)
    if path is None:
        return BUILT_IN[str(given)]
    try:
        return _profile(_tables(path), path.stem)
    except _Wrong as wrong:
        raise BadConfigurationError(f"profile {path}: {wrong}") from None


def profile_path(given: str | Path) -> Path | None:
    """The file that a profile is read from; None for a built-in one."""
    if given in BUILT_IN:
        return None
    path = Path(given)
    return SHIPPED / f"{given}.toml" if str(given) in profile_names() and not path.exists() else path


def profile_names() -> list[str]:
    """Names that `load_profile` knows: the built-in profiles, then the shipped ones."""
    return [*sorted(BUILT_IN), *sorted({path.stem for path in SHIPPED.glob("*.toml")} - set(BUILT_IN))]


def profile_summary(name: str) -> str:
    """What a shipped profile says of itself in one sentence; "" where it says nothing."""
    summary = _tables(SHIPPED / f"{name}.toml").get("summary", "")
    return summary if isinstance(summary, str) else ""


class _Wrong(Exception):
    """What is wrong in the file, without the file's name."""


def _tables(path: Path) -> Table:
    import tomllib  # noqa: PLC0415 - 3 ms that a built-in profile does not need

    try:
        content = _read(path)
    except FileNotFoundError:
        raise _Wrong(f"no such file, and no built-in profile ({', '.join(profile_names())})") from None
    except OSError as error:
        pass_on_out_of_resources(error)
        raise _Wrong(f"cannot be read: {error.strerror}") from None
    except ValueError as error:  # a path with a NUL byte
        raise _Wrong(f"cannot be read: {error}") from None
    if len(content) > FILE_BYTES_MAX:
        raise _Wrong(f"is larger than {FILE_BYTES_MAX} bytes, which no profile is")
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise _Wrong(f"is not UTF-8 text, at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise _Wrong(f"is not TOML: {_one_line(str(error))}") from None


def _read(path: Path) -> bytes:
    """The beginning of a file; a pipe or a device is not opened: that may hang, or pulse the lines of a port."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a directory says so when it is read
        raise _Wrong("is no regular file; a profile is not read from a pipe or a device")
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX + 1)


def _profile(tables: Table, stem: str) -> Profile:
    top = _checked(tables, TOP_RULES, "")
    base = BUILT_IN[top.get("based_on", "implanted")]
    part = {name: _checked(top.get(name, {}), rules, f"{name}.") for name, rules in TABLES.items()}
    model = replace(base.model, **_model_fields(top, part))
    implant = base.implant
    of_drug = {field: part["drug"][name] for name, field in DRUG_FIELDS.items() if name in part["drug"]}
    if "implant" in top or of_drug:
        fields = _said_once({"implant": part["implant"], "drug": of_drug})
        implant = replace(implant or Implant(), **fields)
    fault = contradiction(model, implant)
    if fault is not None:
        raise _Wrong(fault)
    rest: Table = {}
    if "vendor_messages" in top:
        rest["vendor_messages"] = _registered_vendors(top["vendor_messages"])
    if "wall_clock" in top:
        wall_clock: datetime = top["wall_clock"]
        since_epoch = wall_clock - WALL_EPOCH
        if since_epoch < timedelta():
            raise _Wrong(f"wall_clock must not be before 2000 in UTC, is {_shown(wall_clock)}")
        rest["wall_at_start_s"] = since_epoch // timedelta(seconds=1)
        rest["tz_minutes"] = (wall_clock.utcoffset() or timedelta()) // timedelta(minutes=1)
    if "keys" in top:
        rest["keys"] = _keys(top["keys"])
        rest["card_key"] = None  # who has secret keys of his own gets no published one beside them
    if "card_key" in top:
        rest["card_key"] = bytes.fromhex(top["card_key"])
    texts = Texts(
        part["patient"].get("id", ""),
        part["patient"].get("notes", ""),
        part["drug"].get("name", ""),
        part["catheter"].get("model", ""),
    )
    if implant is None and texts != Texts():
        raise _Wrong(
            "patient, drug.name and catheter.model must be of a pump that is implanted; add [implant]"
        )
    return replace(base, name=top.get("name", stem), model=model, implant=implant, texts=texts, **rest)


def _model_fields(top: Table, part: dict[str, Table]) -> Table:
    """Fields of the model that a file names, wherever it does."""
    of_pump = {"reservoir_size_nl": PUMPS[top["pump"]]} if "pump" in top else {}
    fields = _said_once(
        {
            "model": part["model"],
            "pump": of_pump,
            "catheter": _catheter(part["catheter"]),
            "policies": part["policies"],
        }
    )
    for name, words in _WORDS.items():
        if name in fields:
            fields[name] = words(fields[name])
    if part["components"]:
        fields["components"] = _components(part["components"])
    return fields


_WORDS: Final[dict[str, type[StrEnum]]] = {
    "empty_policy": EmptyPolicy,
    "commit_mode": CommitMode,
    "telemetry_exit": TelemetryExit,
    "recovery_log": RecoveryLog,
}
"""Fields of the model that are a word of a short list."""


def _said_once(tables: dict[str, Table]) -> Table:
    """The settings of several tables together; none may be said in two."""
    fields: Table = {}
    said_in: dict[str, str] = {}
    for name, table in tables.items():
        for field, value in table.items():
            place = SAID_AS.get((name, field), f"{name}.{field}")
            if field in fields:
                raise _Wrong(f"{place} must be said once, is said as {said_in[field]} too")
            fields[field], said_in[field] = value, place
    return fields


def _catheter(table: Table) -> Table:
    """The volume of what was implanted of a catheter, to the nearest nL, halves up [DOMAIN 4.2]."""
    if not {"length_mm", "trimmed_mm", "volume_nl_per_cm"} & set(table):
        return {}
    if "length_mm" not in table:
        raise _Wrong(f"catheter.length_mm is missing; it must be {CATHETER_RULES['length_mm'].expected}")
    length_mm, trimmed_mm = table["length_mm"], table.get("trimmed_mm", 0)
    if trimmed_mm >= length_mm:
        raise _Wrong(f"catheter.trimmed_mm must be below catheter.length_mm = {length_mm}, is {trimmed_mm}")
    nl_per_cm = table.get("volume_nl_per_cm", CATHETER_NL_PER_CM)
    return {"catheter_nl": ((length_mm - trimmed_mm) * nl_per_cm + MM_PER_CM // 2) // MM_PER_CM}


def _installed(group: str, name: str, row_class: type[Row], place: str) -> Row | None:
    try:
        return installed(group, name, row_class)
    except BadConfigurationError as error:
        raise _Wrong(f"{place}: {error}") from error


def _registered_vendors(names: list[str]) -> tuple[str, ...]:
    for name in names:
        vendor = VENDORS.get(name) or _installed(
            MESSAGES_ENTRY_POINTS, name, VendorMessages, "vendor_messages"
        )
        if vendor is None:
            raise _Wrong(f"vendor_messages: no installed package offers {_shown(name)}; install it")
        try:
            register_vendor(vendor)
        except ValueError as error:
            raise _Wrong(f"vendor_messages: {error}") from None
    return tuple(names)


def _components(table: Table) -> tuple[tuple[str, str], ...]:
    for part, kind in table.items():
        if (part, kind) not in COMPONENTS:
            row = _installed(COMPONENT_ENTRY_POINTS, f"{part}.{kind}", ComponentRow, f"components.{part}")
            if row is not None:
                register_component(row)
        if (part, kind) not in COMPONENTS:
            known = one_of(*kinds_of(part)).expected
            raise _Wrong(
                f"components.{part} must be {known} or a kind of an installed package, is {_shown(kind)}"
            )
    return tuple(sorted(table.items()))


def _keys(entries: list[Table]) -> tuple[PairedKey, ...]:
    keys: list[PairedKey] = []
    for number, entry in enumerate(entries, start=1):
        place = f"keys, entry {number}, "
        fields = _checked(entry, KEY_RULES, place)
        for name, rule in KEY_RULES.items():
            if name not in fields:
                raise _Wrong(f"{place}{name} is missing; it must be {rule.expected}")
        if any(fields["key_id"] == other.key_id for other in keys):
            raise _Wrong(f"{place}key_id must be its own, but {fields['key_id']} was there before")
        key = bytes.fromhex(fields["key"])
        role = int(Role[fields["role"].upper()])
        keys.append(PairedKey(fields["key_id"], role, key, is_published(key)))
    return tuple(keys)


def _checked(table: Table, rules: dict[str, Rule], place: str) -> Table:
    """The table itself, if it holds known settings with values that they take."""
    for name, value in table.items():
        rule = rules.get(name)
        if rule is None:
            raise _Wrong(_unknown(name, rules, place))
        if not rule.accepts(value):
            shown = _count(value) if name in SECRETS else _shown(value)
            raise _Wrong(f"{place}{name} must be {rule.expected}, is {shown}")
    return table


def _unknown(name: str, rules: dict[str, Rule], place: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - likewise

    near = get_close_matches(name, rules, n=1)
    hint = f"did you mean {place}{near[0]}?" if near else f"known are {', '.join(rules)}"
    return f"{place}{_one_line(name)} is no setting; {hint}"


def _shown(value: object) -> str:
    """A value as TOML would write it, short and on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + _one_line(value) + '"'
    if isinstance(value, dict | list):
        return f"{'a table' if isinstance(value, dict) else 'a list'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of more than 38 digits"
    return _one_line(str(value))


def _count(value: object) -> str:
    """How long a secret is, without the secret."""
    return f"{len(value)} characters that are not shown" if isinstance(value, str) else "no text"


def _one_line(text: str) -> str:
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return plain if len(plain) <= SHOWN_CHARACTERS else plain[:SHOWN_CHARACTERS] + "..."
