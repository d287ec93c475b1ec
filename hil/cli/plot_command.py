"""`pumpbench plot`: a recording of a line, or what a rig saw of a pump, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from hil.capture.course import course_of
from hil.capture.course_drawing import draw_course, picture_of
from hil.capture.messages import read_messages
from hil.capture.soundness import Soundness
from hil.cli.output import say, tell
from hil.cli.reading_progress import shown_reading
from hil.cli.recording_options import KEY
from hil.errors import BadConfiguration, UsageError
from hil.key_file import read_keys
from hil.plotting import PAGE_FORMATS, check_endings, draw, save
from hil.rig_recording import read_recording
from protocol.capture.pcapng import SECTION_HEADER

BEGINS: Final = SECTION_HEADER.to_bytes(4, "little")
OF_RIG: Final = "What was so, and what the pump believed"


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out",
    "pictures",
    metavar="FILE.png|.svg|.html",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Where the picture goes; again for one of another kind. Of a recording: beside it as PNG without.",
)
@click.option("--title", help=f"Above the picture. Of a recording: its name; else: {OF_RIG}.")
@KEY
def plot(
    files: tuple[Path, ...], pictures: tuple[Path, ...], title: str | None, key_path: Path | None
) -> None:
    """Draw a recording in pcapng, or what `pumpbench rig` printed, on one time axis.

    Of FILE.pcapng: rate, what the pump believes of its reservoir, boluses, alarms, faults, errors of the link. HTML is
    one page that needs nothing beside it. Of states, of `rig advance H:MM --every H:MM --json`, and events, of `rig
    trace --json` or `rig watch --json`: reservoir, dose at the tip, faults and alarms, as PNG or SVG.
    It needs matplotlib: pip install 'pumpbench[plot]'.
    """
    if any(map(_is_capture, files)):
        pictures = _plot_recording(files, pictures, title, key_path)
    elif not pictures:
        raise UsageError("nobody has said where the picture goes", advice="name a file with --out")
    elif key_path is not None:
        raise UsageError("--key opens a recording in pcapng, and these files are none", advice="leave it out")
    else:
        draw(read_recording(files), pictures, OF_RIG if title is None else title)
    tell("\n".join(map(str, pictures)), done="the pictures were written")


def _is_capture(path: Path) -> bool:
    """Whether a file is called pcapng, or begins as it does; what cannot be read is for its reader to say."""
    if path.suffix == ".pcapng":
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINS)) == BEGINS
    except OSError:
        return False


def _plot_recording(
    files: tuple[Path, ...], pictures: tuple[Path, ...], title: str | None, key_path: Path | None
) -> tuple[Path, ...]:
    if len(files) > 1:
        raise UsageError(f"{len(files)} files are named, and a recording is drawn alone", advice="name one")
    (path,) = files
    pictures = pictures or (path.with_suffix(".png"),)
    check_endings(pictures, PAGE_FORMATS)
    keys = [] if key_path is None else read_keys(key_path)
    soundness = Soundness()
    try:
        with shown_reading(path) as seen:
            course = course_of(soundness.watching(read_messages(path, keys, seen=seen)), str(path))
    except BadConfiguration:
        soundness.refuse_foreign(path)  # which says more than that nothing could be drawn
        raise
    picture = picture_of(course, path.name if title is None else title)
    save(pictures, lambda form: draw_course(picture, form))
    soundness.check(path, with_key=key_path is not None, advice="what is drawn is of what could be read")
    for remark in soundness.remarks(path):
        say(remark)
    return pictures
