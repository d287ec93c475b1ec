"""`pumpbench hil targets`: what is plugged in, what it is, and who holds it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from hil import address as addresses
from hil.cli.bench_warnings import unusable_boards
from hil.cli.connection import tell_error
from hil.cli.documents import json_text
from hil.cli.output import tell
from hil.errors import BadConfiguration, InUse, PumpbenchError, UsageError
from hil.targets.schemes import SCHEMES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hil.bench_file import BenchFile, BenchTarget
    from hil.leases import Holder
    from hil.targets.board import BoardTarget
    from hil.targets.usb import SerialPort

EXIT_CODES = """\
\b
Exit codes:
   0  it was shown, or the lease was taken away
  10  the bench file cannot be read, or what --revoke names is no board
  11  the holder does not let go
  12  the output could not be printed
"""


@click.command(epilog=EXIT_CODES)
@click.option("--json", "as_json", is_flag=True, help="JSON: an object with all lists.")
@click.option(
    "--ask", is_flag=True, help="Ask each board of the bench file that nobody holds which pump it is."
)
@click.option(
    "--revoke",
    metavar="NAME",
    help="Take the lease on a board away: a name of the bench file, or an address.",
)
@click.option("--why", metavar="TEXT", default="", help="With --revoke: what its holder is told.")
def targets(as_json: bool, ask: bool, revoke: str | None, why: str) -> None:
    """List the serial ports of this machine, the boards of the bench file, and the kinds of target."""
    try:
        if revoke is not None:
            _revoke(revoke, why, as_json=as_json)
            return
        if why:
            raise UsageError("--why says why a lease is taken away, and none is", advice="add --revoke NAME")
        _list(as_json=as_json, ask=ask)
    except PumpbenchError as error:
        if as_json:
            tell_error(error)
        raise


def _list(*, as_json: bool, ask: bool) -> None:
    from hil.targets.usb import serial_ports  # noqa: PLC0415 - 20 ms that only this command needs

    bench = _bench_file()
    ports = serial_ports()
    refused = {} if bench is None else unusable_boards(bench)
    usable = [] if bench is None else [each for name, each in bench.targets.items() if name not in refused]
    document = {
        "serial_ports": [_of_port(port, bench) for port in ports],
        "bench_file": None if bench is None else str(bench.path),
        "targets": [_of_target(each, ports, ask=ask) for each in usable],
        "refused": [{"name": name, "why": error.one_line()} for name, error in refused.items()],
        "forms": [scheme.form for scheme in SCHEMES.values()],
    }
    tell(json_text("hil-targets", document) if as_json else "\n".join(_lines(document)))


def _bench_file() -> BenchFile | None:
    from hil.bench_file import find_bench_file, read_bench_file  # noqa: PLC0415 - as above

    path = find_bench_file()
    return None if path is None else read_bench_file(path)


def _of_port(port: SerialPort, bench: BenchFile | None) -> dict[str, Any]:
    """A port, how it is named by what it is, and who holds its board, wherever that one's lock is."""
    from hil.leases import BoardLock, lease_directory  # noqa: PLC0415 - as above
    from hil.targets.board import board_at  # noqa: PLC0415 - as above
    from hil.targets.usb import address_of  # noqa: PLC0415 - as above

    board = board_at(port.device, lambda: [port])
    places = dict.fromkeys([None, *(each.leases for each in (bench.targets.values() if bench else ()))])
    holders = [BoardLock(lease_directory(place), board).holder() for place in places]
    return {
        **port._asdict(),
        "address": address_of(port),
        "held_by": _of_holder(next(filter(None, holders), None)),
    }


def _of_target(named: BenchTarget, ports: Sequence[SerialPort], *, ask: bool) -> dict[str, Any]:
    from hil.targets.board import bench_target  # noqa: PLC0415 - as above

    target = bench_target(f"bench:{named.name}", named)
    holder = target.lock.holder()
    board = target.board()
    device = next((port.device for port in ports if board in _names_of(port)), None)
    return {
        "name": named.name,
        "address": named.address,
        "device": device,
        "instruments": list(named.instruments),
        "identity": _identity(target) if ask and holder is None else None,
        "held_by": _of_holder(holder),
    }


def _names_of(port: SerialPort) -> tuple[str, str]:
    from hil.targets.usb import address_of  # noqa: PLC0415 - as above

    return port.device, address_of(port)


def _identity(target: BoardTarget) -> str:
    """What the pump there says of itself; why it says nothing."""
    from hil.connected_programmer import connect  # noqa: PLC0415 - as above
    from hil.identity_words import identity_of  # noqa: PLC0415 - as above

    try:
        with connect(target.address, state=False) as programmer:
            return identity_of(programmer.info())
    except PumpbenchError as error:
        return error.one_line()


def _of_holder(holder: Holder | None) -> dict[str, Any] | None:
    if holder is None:
        return None
    held_s = max(0, int(time.time()) - holder.since_s)
    return {"name": holder.name, "purpose": holder.purpose, "pid": holder.pid, "held_s": held_s}


def _revoke(name: str, why: str, *, as_json: bool) -> None:
    """Take the lease on a board away, and say from whom. InUse where its holder does not let go within 2 s."""
    from hil.leases import LETS_GO_WITHIN_S, own_name  # noqa: PLC0415 - as above

    target = _board_named(name)
    lock = target.lock
    holder = lock.holder()
    if holder is not None and not lock.revoke(own_name(), why or "by `pumpbench hil targets --revoke`"):
        raise InUse(
            f"{name} is still held by {holder.words(time.time())}: it was told, and did not let go within "
            f"{LETS_GO_WITHIN_S:g} s",
            advice=f"that process is stopped or hangs: `kill {holder.pid}` ends it, and the board is free",
        )
    if as_json:
        tell(json_text("hil-revoke", {"board": lock.board, "taken_from": _of_holder(holder)}))
    elif holder is None:
        tell(f"{name}: nobody holds it")
    else:
        tell(f"{name}: taken from {holder.words(time.time())}")


def _board_named(name: str) -> BoardTarget:
    from hil.targets import make_target  # noqa: PLC0415 - as above
    from hil.targets.board import BoardTarget  # noqa: PLC0415 - as above

    if not name:
        raise BadConfiguration("--revoke names no board", advice="name one of `pumpbench hil targets`")
    bench = _bench_file()
    is_name = bench is not None and name in (*bench.targets, *bench.refused)
    # a word that could be no address is meant as a name: the bench file, or that there is none, is what to tell of
    could_be_address = ":" in name or "/" in name or name in SCHEMES
    target = make_target(addresses.parse(name if could_be_address and not is_name else f"bench:{name}"))
    if not isinstance(target, BoardTarget):
        raise BadConfiguration(
            f"nobody can hold {name}: leases are on device paths, usb: and bench: alone",
            advice="name a board",
        )
    return target


# --- for people -----------------------------------------------------------------------------------------------------


def _lines(document: dict[str, Any]) -> Iterator[str]:
    yield "serial ports:"
    yield from _table(
        ("device", "description", "VID:PID", "serial number", "held by"),
        [
            (
                each["device"],
                each["description"],
                each["vid_pid"],
                each["serial_number"],
                _words(each["held_by"]),
            )
            for each in document["serial_ports"]
        ],
    )
    if document["bench_file"] is not None:
        yield f"boards of {document['bench_file']}:"
        yield from _table(
            ("name", "address", "plugged in as", "instruments", "held by", "pump"),
            [
                (
                    f"bench:{each['name']}",
                    each["address"],
                    each["device"],
                    ", ".join(each["instruments"]),
                    _words(each["held_by"]),
                    each["identity"],
                )
                for each in document["targets"]
            ],
        )
    for each in document["refused"]:
        yield f"  bench:{each['name']} cannot be used: {each['why']}"
    yield "emulated pumps:"
    yield "  emulator          in this process, virtual time"
    yield "  emulator:process  a process of its own on a PTY"
    others = [form for form in document["forms"] if not form.startswith("emulator")]
    yield f"other addresses: {', '.join(others)}"


def _words(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return ""
    return f"{holder['name']} for {holder['held_s'] // 60} min: {holder['purpose']} (process {holder['pid']})"


def _table(head: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> Iterator[str]:
    """Rows below their heads; a column that is empty throughout is left out."""
    if not rows:
        yield "  none found"
        return
    columns = [column for column in zip(head, *rows, strict=True) if any(column[1:])]
    shown = [[cell or "-" for cell in column] for column in columns]
    widths = [max(map(len, column)) for column in shown]
    for row in zip(*shown, strict=True):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {line}".rstrip()
