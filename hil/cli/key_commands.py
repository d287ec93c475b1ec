"""`pumpbench program keys`: who is paired with a pump, and pairing and revoking, with a magnet over the pump."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hil.cli.connection import Options, confirm, connected, one_of, require_target, show, with_options
from hil.cli.documents import KeysPart
from hil.cli.help_pages import ListsWholeSentences
from hil.cli.output import say
from hil.cli.quantities import Quantity
from hil.errors import DeviceRefused, LinkError, UsageError
from hil.key_file import KEY_ID_MAX, written_key
from hil.programmer.entropy import SystemEntropy
from protocol.identifiers import Role
from protocol.link.development_keys import DeviceKey
from protocol.wire.limits import KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hil.cli.tables import Rows
    from protocol.messages.keys import KeyRow

KEY_ID = Quantity(low=1, high=KEY_ID_MAX)


@click.group(name="keys", cls=ListsWholeSentences)
def keys() -> None:
    """Who is paired with a pump, and changing that. Hold a magnet over the pump meanwhile."""


def key_rows(paired: Sequence[KeyRow]) -> Rows:
    """Each paired key: its id, role and slot."""
    return [(f"key {row.key_id}", f"{row.role.name.lower()}, slot {row.slot}") for row in paired]


@keys.command(name="list")
@with_options
def list_keys(options: Options) -> None:
    """Who is paired. No key is shown: a pump gives none away."""
    with connected(options) as pump:
        paired = pump.paired_keys()
    show(options, key_rows(paired), KeysPart(keys=list(paired)))


@keys.command()
@click.argument("new_role", metavar="ROLE", type=one_of(Role))
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--key-id", type=KEY_ID, help="Id of the new key (default: the lowest that is free).")
@with_options
def add(options: Options, new_role: str, path: Path, key_id: int | None) -> None:
    """Draw a new key of a role, write it to the key file FILE, and pair it.

    FILE is made, for its owner alone to read; it is never replaced.
    """
    require_target(options)
    with connected(options, settled=True, changes="KEY_ADD") as pump:
        taken = {row.key_id for row in pump.paired_keys()}
        if key_id is None:
            key_id = min(set(range(1, len(taken) + 2)) - taken)
        elif key_id in taken:
            raise UsageError(f"key {key_id} is paired already", advice="name another id, or none")
        drawn = SystemEntropy().draw(KEY_BYTES)
        key = DeviceKey(key_id, Role[new_role.upper()], drawn, slot=0, development=False)
        try:
            with written_key(path, key, gone_after=DeviceRefused):
                pump.pair(key)
        except LinkError:
            say(f"pumpbench: {path} is kept: its key, {key_id}, may be paired")
            raise
        paired = pump.paired_keys()
    say(f"pumpbench: the key is in {path}; name it with --key, and keep a copy where the pump's card is kept")
    show(options, key_rows(paired), KeysPart(keys=list(paired), added=key_id), done=f"key {key_id} is paired")


@keys.command()
@click.argument("key_id", type=KEY_ID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_options
def revoke(options: Options, key_id: int, yes: bool) -> None:
    """Forget the key KEY_ID at once. Its programmer gets no further session; a bolus under way goes on."""
    require_target(options)
    with connected(options, settled=True, changes="KEY_REVOKE") as pump:
        row = next((each for each in pump.paired_keys() if each.key_id == key_id), None)
        if row is None:
            raise UsageError(
                f"key {key_id} is not paired", advice="`pumpbench program keys list` shows which are"
            )
        own = ", which is this programmer's own" if key_id == pump.key.key_id else ""
        confirm(f"revoke key {key_id} ({row.role.name.lower()}, slot {row.slot}){own}", yes=yes)
        pump.revoke(key_id)
        paired = () if own else pump.paired_keys()
    shown = key_rows(paired) if paired else [(f"key {key_id}", "revoked")]
    show(options, shown, KeysPart(keys=list(paired), revoked=key_id), done=f"key {key_id} is revoked")
