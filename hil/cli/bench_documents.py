"""The JSON documents of `pumpbench hil` on benches and runs; `hil.cli.json_schema` describes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from hil.cli.campaign_documents import CAMPAIGN_DOCUMENTS
from hil.cli.compare_documents import COMPARE_DOCUMENTS
from hil.cli.documents import ErrorFields  # noqa: TC001 - the schema is made from it
from hil.cli.history_documents import HISTORY_DOCUMENTS


class HolderPart(TypedDict):
    """Who holds a board."""

    name: Annotated[str, "user and machine"]
    purpose: Annotated[str, "what for"]
    pid: Annotated[int, "number of the process"]
    held_s: Annotated[int, "since how long"]


class PortPart(TypedDict):
    """A serial port of this machine; empty where the system does not know."""

    device: Annotated[str, "path of the device, as it is numbered now"]
    description: Annotated[str, "what the system calls it"]
    vid_pid: Annotated[str, "USB vendor and product, as 0403:6001"]
    serial_number: Annotated[str, "serial number of the USB device"]
    interface: Annotated[str, "which of its ports, as 1.0"]
    address: Annotated[str, "how a target names it: usb:VID:PID:SERIAL, or its path"]
    held_by: Annotated[HolderPart | None, "who holds it; null where nobody does"]


class BenchTargetPart(TypedDict):
    """A board of the bench file."""

    name: Annotated[str, "its name; bench:NAME is its address"]
    address: Annotated[str, "where it is, as the file says"]
    device: Annotated[
        str | None, "path that it has now; null where it is not plugged in, or is no serial port"
    ]
    instruments: Annotated[list[str], "names of its instruments"]
    identity: Annotated[
        str | None, "what the pump says of itself, or why it says nothing; null without --ask"
    ]
    held_by: Annotated[HolderPart | None, "who holds it; null where nobody does"]


class RefusedTargetPart(TypedDict):
    """A board of the bench file that cannot be used."""

    name: Annotated[str, "its name"]
    why: Annotated[str, "what is wrong in its table, in one sentence"]


class TargetsPart(TypedDict):
    """What `hil targets` lists."""

    serial_ports: Annotated[list[PortPart], "the serial ports of this machine"]
    bench_file: Annotated[str | None, "the nearest bench file; null where there is none"]
    targets: Annotated[list[BenchTargetPart], "the boards of the bench file that can be used"]
    refused: Annotated[list[RefusedTargetPart], "those whose tables cannot be right"]
    forms: Annotated[list[str], "the forms of addresses"]


class RevokePart(TypedDict):
    """What `hil targets --revoke` did."""

    board: Annotated[str, "the board"]
    taken_from: Annotated[HolderPart | None, "who held it; null where nobody did"]


class CheckPart(TypedDict):
    """One check of a preflight."""

    name: Annotated[
        str,
        "identity, capabilities, link, clock, power, disk; where the bench file names them profile, instrument NAME "
        "and console",
    ]
    state: Annotated[str, "fit, unfit, or not seen where the talk with the pump ended before"]
    found: Annotated[str, "what was found; empty where it was not seen"]
    problem: Annotated[str, "what is wrong with it; empty where nothing is"]


class PreflightPart(TypedDict):
    """What `hil preflight` found."""

    target: Annotated[str, "address of the board"]
    checks: Annotated[list[CheckPart], "each check, in order"]
    error: NotRequired[Annotated[ErrorFields, "all reasons in one sentence, where the board is not fit"]]


class VerifiedRunPart(TypedDict):
    """How a run ended whose report was verified."""

    result: Annotated[str, "counts in one line"]
    complete: Annotated[bool, "whether each chosen test has a verdict, and one at least passed or failed"]
    exit_code: Annotated[int | None, "exit code of the process"]


class VerifyPart(TypedDict):
    """What `report verify` found."""

    directory: Annotated[str, "directory of the report"]
    state: Annotated[Literal["whole", "changed"], "whether each file is as it was written"]
    manifest_sha256: Annotated[
        str, "SHA-256 of the manifest: kept elsewhere, it tells whether that is the same"
    ]
    files: Annotated[list[str], "the files of the report, as the manifest names them"]
    changed: Annotated[list[str], "files whose SHA-256 is another"]
    missing: Annotated[list[str], "files that are not there any more"]
    added: Annotated[list[str], "files that the manifest does not name"]
    run: Annotated[
        VerifiedRunPart | None, "how the run ended, as report.json says; null where a file is not whole"
    ]
    not_shown: Annotated[list[str], "with --strict: what is not shown to be met, a line each"]
    error: NotRequired[
        Annotated[ErrorFields, "all of it in one sentence, where it is not whole or not shown"]
    ]


BENCH_DOCUMENTS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "hil-targets": ((TargetsPart,),),
    "hil-revoke": ((RevokePart,),),
    "hil-preflight": ((PreflightPart,),),
    "report-verify": ((VerifyPart,),),
    **CAMPAIGN_DOCUMENTS,
    **COMPARE_DOCUMENTS,
    **HISTORY_DOCUMENTS,
}
