"""`pumpbench redact`: a recording written anew, safe to share."""

from __future__ import annotations

from pathlib import Path

import click

from hil import __version__
from hil.capture.messages import read_messages
from hil.capture.pseudonyms import Pseudonyms
from hil.capture.redaction import Redaction
from hil.capture.soundness import Soundness
from hil.cli.connection import tell_error
from hil.cli.documents import json_line
from hil.cli.new_file import check_new, new_file, unwritable
from hil.cli.output import say, tell
from hil.cli.reading_progress import shown_reading
from hil.cli.recording_options import KEY, NEW_RECORDING
from hil.errors import BadConfiguration
from hil.key_file import read_keys
from hil.quantity_words import are, counted


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@NEW_RECORDING
@KEY
@click.option(
    "--name",
    "names",
    metavar="TEXT",
    multiple=True,
    help="A name to replace wherever marks have it, besides those in the messages; again for more.",
)
@click.option(
    "--drop-sealed", is_flag=True, help="Leave out frames that no key opens; a mark stands in place of each."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as a JSON document.")
def redact(
    file: Path, out: Path, key_path: Path | None, names: tuple[str, ...], drop_sealed: bool, as_json: bool
) -> None:
    """Write a recording anew so that it can be shared: in suite NONE, without keys, with pseudonyms for who was there.

    Serial numbers, memories, keys' numbers, patient, drug and catheter, notes and nonces are replaced, the same by the
    same; what cannot be read is blanked. Doses, times and dates stay. hil/capture/README.md has what becomes of what.
    Ends with 10, and no file, where frames are sealed and no key opens them; with 10 for a damaged file too, of which
    OUT has all that could be read.
    """
    try:
        _redact(file, out, key_path, names, drop_sealed=drop_sealed, as_json=as_json)
    except BadConfiguration as error:
        if as_json:
            tell_error(error)
        raise


def _redact(
    file: Path, out: Path, key_path: Path | None, names: tuple[str, ...], *, drop_sealed: bool, as_json: bool
) -> None:
    check_new(out)
    keys = [] if key_path is None else read_keys(key_path)
    soundness = Soundness()
    redaction = Redaction(Pseudonyms(names))
    with shown_reading(file) as seen:
        redaction.see(soundness.watching(read_messages(file, keys, seen=seen)))
    soundness.refuse_foreign(file)
    if redaction.without_direction:
        raise BadConfiguration(
            f"no direction or no time is told of {counted(redaction.without_direction, 'packet')} of {file}",
            advice="`pumpbench import` makes a recording of it, by rules that say both",
        )
    if redaction.sealed and not drop_sealed:
        frames = f"{counted(redaction.sealed, 'frame')} of {file} {are(redaction.sealed)} sealed"
        raise BadConfiguration(
            f"{frames}, and no key opens them to redact what is in them",
            advice="give the key of the device by --key, or leave them out by --drop-sealed",
        )
    try:
        with new_file(out) as stream:
            stream.writelines(redaction.written(read_messages(file, keys), __version__))
    except OSError as error:
        raise unwritable(out, error) from error
    _tell(redaction, out, as_json=as_json)
    if soundness.damage:
        soundness.check(file, with_key=False, advice=f"what could be read is in {out}")


def _tell(redaction: Redaction, out: Path, *, as_json: bool) -> None:
    pseudonyms = redaction.pseudonyms.counts
    if as_json:
        document = {
            "recording": str(out),
            "packets": redaction.packets,
            "blanked": redaction.blanked,
            "dropped": redaction.sealed,
            "pseudonyms": pseudonyms,
        }
        tell(json_line("redact", document))
        return
    words = ", ".join(f"{word} {count}" for word, count in pseudonyms.items()) or "nobody"
    say(
        f"{out} has {counted(redaction.packets, 'packet')}, in suite NONE; replaced, how many of each: {words}"
    )
    if redaction.blanked:
        say(f"{counted(redaction.blanked, 'packet')} could not be read whole: what could not is blanked")
    if redaction.sealed:
        frames = f"{counted(redaction.sealed, 'sealed frame')} {are(redaction.sealed)}"
        say(f"{frames} left out; a mark stands in place of each")
