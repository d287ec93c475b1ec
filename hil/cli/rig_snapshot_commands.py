"""`pumpbench rig snapshot`, `restore`, `fork` and `diff`: a pump as it was, gone back to, branched and compared."""

from __future__ import annotations

import json
import re
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hil.cli.new_file import check_new, new_file, unwritable
from hil.cli.quantities import Quantity
from hil.cli.rig_connection import place_of, with_rig
from hil.cli.rig_words import clock_words
from hil.cli.tables import columns
from hil.errors import BadConfiguration, UsageError
from hil.rig_client import RigClient
from hil.rig_snapshots import differences

if TYPE_CHECKING:
    from hil.cli.rig_connection import Bench
    from hil.rig_snapshots import RigSnapshot

FILE_MAX_BYTES = 1 << 23  # what a bench takes
SHOWN_CHARACTERS = 40
FORKED = "forked"
FILE = click.Path(path_type=Path, dir_okay=False)


def _memory_id(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    if text is None:
        return None
    if not re.fullmatch("[0-9a-fA-F]{1,16}", text):
        raise UsageError(f"{text[:40]!r} is no memory id", advice="write 1 to 16 hex digits")
    return int(text, 16)


MEMORY_ID = click.option(
    "--memory-id",
    metavar="HEX",
    callback=_memory_id,
    help="What its memory is called then, for a run that must repeat. Default: a name that is new.",
)


@click.command()
@click.argument("name", required=False)
@click.option("--out", type=FILE, help="Write it to a new file too, for your eyes only: it holds keys.")
@click.option("--forget", "is_forgotten", is_flag=True, help="Throw the one of that name away instead.")
@with_rig
def snapshot(bench: Bench, *, name: str | None, out: Path | None, is_forgotten: bool) -> None:
    """Keep the pump as it is now under NAME, its session and bolus with it; without NAME list what is kept.

    \b
    snapshot before
    snapshot before --out before.json
    snapshot before --forget

    Snapshots go with the bench; a file stays. `pumpbench emulate --snapshot FILE` starts a pump from one. A file holds
    the keys of the pump and of its session: nobody else may read it.
    """  # noqa: D301 - the mark of click for lines as they stand
    if name is None:
        if out is not None or is_forgotten:
            raise UsageError("which snapshot is not said", advice="name it: `pumpbench rig snapshot NAME`")
        _list(bench)
        return
    if is_forgotten:
        bench.rig.forget(name)
        bench.show(f"{name} is forgotten", _told(bench), done=f"{name} was thrown away")
        return
    kept = bench.rig.snapshot(name) if out is None else _kept_in_file(bench, name, out)
    text = f"{name} is kept: {_words(kept)}"
    if out is not None:
        text += f"\n{out} holds the keys of the pump and of its session: only you may read it, keep it so"
    bench.show(text, _told(bench, kept, out), done=f"{name} was kept")


@click.command()
@click.argument("name")
@click.option("--file", "file", type=FILE, help="Of this file, which is kept under NAME first.")
@MEMORY_ID
@with_rig
def restore(bench: Bench, *, name: str, file: Path | None, memory_id: int | None) -> None:
    """Go on from a snapshot, as often as one likes: the pump's time goes on from there, and may go back.

    To a programmer the pump is one that has lost what it did since: its session is over, and its memory has another id.
    """
    if file is not None:
        bench.rig.put_snapshot(name, _document_of(file))
    restored = bench.rig.restore(name, memory_id)
    bench.show(
        f"the pump is as it was in {name}, and stands at {clock_words(restored.now_ms)}\n"
        f"its session is over, and its memory is {restored.memory_id:016x}",
        {"now_ms": restored.now_ms, "memory_id": f"{restored.memory_id:016x}"},
        done=f"the pump was restored from {name}",
    )


@click.command()
@click.option("--to", "to", type=FILE, required=True, help="File with the ready line of the other emulator.")
@click.option("--name", default=FORKED, show_default=True, help="What the snapshot is called there.")
@MEMORY_ID
@with_rig
def fork(bench: Bench, *, to: Path, name: str, memory_id: int | None) -> None:
    """Let another emulator go on from this pump as it is now; both have a future of their own.

    The other was started with the same profile and --control. Neither ever answers as the other does: the fork has no
    session, its memory another id, and it draws other random numbers.
    """
    place = place_of(to)
    taken = {each.name for each in bench.rig.snapshots()}
    here = next(each for each in (f"{FORKED}-{number}" for number in count(1)) if each not in taken)
    kept = bench.rig.snapshot(here)
    try:
        document = bench.rig.read_snapshot(here)
    finally:
        bench.rig.forget(here)
    other = RigClient(*place)
    try:
        other.put_snapshot(name, document)
        restored = other.restore(name, memory_id)
    finally:
        other.close()
    bench.show(
        f"the emulator of {to} goes on from {clock_words(kept.pump_ms)}, its memory is {restored.memory_id:016x}",
        {"now_ms": restored.now_ms, "memory_id": f"{restored.memory_id:016x}"},
        done="the other emulator goes on from here",
    )


@click.command()
@click.argument("one")
@click.argument("other")
@click.option(
    "--count",
    type=Quantity(low=1, high=100_000),
    default=200,
    show_default=True,
    help="Show at most so many.",
)
@with_rig
def diff(bench: Bench, *, one: str, other: str, count: int) -> None:
    """Compare two snapshots field by field: names of kept ones, or files (with a slash or .json in their name).

    \b
    diff before after
    diff before ./monday.json
    """  # noqa: D301 - the mark of click for lines as they stand
    found = differences(*(_one_of(bench, each) for each in (one, other)))
    rows: list[tuple[str, ...]] = [
        ("FIELD", one, other),
        *((each.field, *map(_shown, each[1:])) for each in found[:count]),
    ]
    text = "\n".join(columns(rows)) if found else f"{one} and {other} are the same pump at the same moment"
    if len(found) > count:
        text += f"\n... and {len(found) - count} more (--count)"
    bench.show(text, {"count": len(found), "differences": [each._asdict() for each in found[:count]]})


def _list(bench: Bench) -> None:
    """Show what the bench keeps."""
    kept = bench.rig.snapshots()
    rows: list[tuple[str, ...]] = [("NAME", "PUMP TIME", "PROFILE", "SERIAL")]
    rows += [(each.name, clock_words(each.pump_ms), each.profile, each.serial) for each in kept]
    bench.show("\n".join(columns(rows)) if kept else "no snapshot is kept", _told(bench))


def _told(bench: Bench, kept: RigSnapshot | None = None, out: Path | None = None) -> dict[str, Any]:
    """The document of `rig snapshot`."""
    every = bench.rig.snapshots() if bench.as_json else ()
    return {
        "kept": None if kept is None else kept._asdict(),
        "file": None if out is None else str(out.absolute()),
        "snapshots": [each._asdict() for each in every],
    }


def _words(kept: RigSnapshot) -> str:
    return f"{kept.profile}, serial {kept.serial}, at {clock_words(kept.pump_ms)}"


def _shown(value: object) -> str:
    text = "-" if value is None else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 3]}..."


def _one_of(bench: Bench, name: str) -> dict[str, Any]:
    """A kept snapshot, or one of a file."""
    return (
        _document_of(Path(name)) if "/" in name or name.endswith(".json") else bench.rig.read_snapshot(name)
    )


def _document_of(file: Path) -> dict[str, Any]:
    """What a file holds; BadConfiguration where that is no document."""
    try:
        with file.open("rb") as lines:
            document = json.loads(lines.read(FILE_MAX_BYTES + 1))
    except OSError as error:
        raise BadConfiguration(
            f"{file} cannot be read: {error.strerror}", advice="name a snapshot"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadConfiguration(
            f"{file} is no snapshot: it is no JSON, or has more than {FILE_MAX_BYTES} bytes",
            advice="write one with `pumpbench rig snapshot NAME --out FILE`",
        ) from error
    if not isinstance(document, dict):
        raise BadConfiguration(f"{file} is no snapshot", advice="name a file that `rig snapshot` wrote")
    return document


def _kept_in_file(bench: Bench, name: str, out: Path) -> RigSnapshot:
    """Keep it and write it to a new file, for nobody else's eyes.

    The file is made first: where it cannot be, nothing is kept. Where it cannot be filled, the error says what is.
    """
    check_new(out)
    try:
        file = new_file(out)
    except OSError as error:
        raise unwritable(out, error) from error
    try:
        with file:
            kept = bench.rig.snapshot(name)
            file.write(json.dumps(bench.rig.read_snapshot(name), separators=(",", ":")).encode() + b"\n")
    except BaseException as error:
        out.unlink()
        if isinstance(error, OSError):
            raise BadConfiguration(
                f"{out} cannot be written ({error.strerror}); {name} is kept by the bench all the same",
                advice=f"name another place and write it anew, or `pumpbench rig snapshot {name} --forget`",
            ) from error
        raise
    return kept
