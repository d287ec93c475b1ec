"""A life that broke an invariant as a test of the product: it fails while the fault is there, and passes without it.

Two files side by side: NAME.life.json says which life and which deeds, and test_NAME.py is collected by pytest.
"""

from __future__ import annotations

import json
import re
import tempfile
import textwrap
import warnings
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hil.campaign.deed import Deed, Event
from hil.campaign.plan import check_of_deeds, plan_of
from hil.campaign.row_text import checked_deed
from hil.campaign.rows import Rows
from hil.campaign.story import lines
from hil.campaign.violations_told import meaning_of
from hil.errors import BadConfiguration

if TYPE_CHECKING:
    from pathlib import Path

    from hil.campaign.plan import Plan
    from hil.campaign.playing import Wrong

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 10_000_000
TEST: Final = '''"""{title}

Made by `pumpbench campaign replay --adopt`: it fails while the fault is in the pump, and passes once it is mended.

{story}
"""

from __future__ import annotations

from pathlib import Path

from hil.campaign.adopted import play_adopted


def test_{name}_breaks_no_invariant() -> None:
    play_adopted(Path(__file__).with_name("{file}"))
'''


class ToldOtherwise(UserWarning):
    """An adopted life does other things than when it was adopted: it may no longer show what it was made for."""


class Adopted(NamedTuple):
    """An adopted life."""

    plan: Plan
    seed: int
    row: tuple[Deed, ...]
    invariant: str
    story: tuple[Event, ...]


class _Files(NamedTuple):
    """The two files of an adopted life."""

    life: Path
    test: Path


def _files_of(directory: Path, seed: int, invariant: str) -> _Files:
    name = f"life_{seed}_{invariant.lower()}"
    return _Files(directory / f"{name}.life.json", directory / f"test_{name}.py")


def check_place(directory: Path, seed: int, invariant: str) -> None:
    """BadConfiguration where `adopt` could not write here: to be asked before the work that leads to it.

    The directory is made where it is not there.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        there = [path for path in _files_of(directory, seed, invariant) if path.exists()]
        if not there:
            tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise _unwritable(directory, error) from error
    if there:
        raise BadConfiguration(
            f"{there[0]} is there already", advice="take it away, or name another directory"
        )


def _unwritable(directory: Path, error: OSError) -> BadConfiguration:
    return BadConfiguration(f"{directory} cannot be written ({error.strerror})", advice="name another")


def adopt(
    directory: Path, plan: Plan, seed: int, row: tuple[Deed, ...], wrong: Wrong, story: tuple[Event, ...]
) -> Path:
    """Write both files into a directory, which is made where it is not there; returns the path of the test.

    BadConfiguration where one of them is there, or cannot be written; then neither is.
    """
    from hil import __version__  # noqa: PLC0415 - it reads what is installed

    check_place(directory, seed, wrong.invariant)
    files = _files_of(directory, seed, wrong.invariant)
    told = lines(story)
    data = {
        "format": FORMAT,
        "pumpbench": __version__,
        "plan": plan.said(),
        "seed": seed,
        "deeds": [
            {"number": each.number, "name": each.name, "arguments": dict(each.arguments)} for each in row
        ],
        "invariant": wrong.invariant,
        "found": wrong.found,
        "story": [list(each) for each in story],
    }
    title = f"Life {seed} broke {wrong.invariant}: {meaning_of(wrong.invariant)}."
    wrapped = (
        part for line in told for part in textwrap.wrap(_in_a_docstring(line), 110, subsequent_indent="    ")
    )
    name = files.test.stem.removeprefix("test_")
    text = TEST.format(title=title, story="\n".join(wrapped), name=name, file=files.life.name)
    try:
        _write_both({files.life: json.dumps(data, indent=1) + "\n", files.test: text})
    except OSError as error:
        raise _unwritable(directory, error) from error
    return files.test


def _write_both(contents: dict[Path, str]) -> None:
    """Write new files: all of them, or none."""
    begun: list[Path] = []
    try:
        for path, content in contents.items():
            with path.open("x", encoding="utf-8") as new:
                begun.append(path)
                new.write(content)
    except BaseException:
        for path in begun:
            path.unlink(missing_ok=True)
        raise


def _in_a_docstring(line: str) -> str:
    return re.sub(r'[\\"]', "'", line)


def read_adopted(path: Path) -> Adopted:
    """An adopted life from its file; BadConfiguration where it is none."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise BadConfiguration(f"{path} has more than {FILE_BYTES_MAX} bytes: that is no adopted life")
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if data["format"] != FORMAT:
            raise BadConfiguration(f"{path} has format {data['format']!r}, and {FORMAT} is read here")
        plan = plan_of(data["plan"], f"life_{data['seed']}", str(path))
        check_of_deeds(plan)
        row = tuple(
            checked_deed(Deed(int(each["number"]), str(each["name"]), tuple(each["arguments"].items())))
            for each in data["deeds"]
        )
        story = tuple(Event(*each) for each in data["story"])
        return Adopted(plan, int(data["seed"]), row, str(data["invariant"]), story)
    except OSError as error:
        raise BadConfiguration(f"{path} cannot be read ({error.strerror})", advice="look for it") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadConfiguration(
            f"{path} is no adopted life ({type(error).__name__}: {error})",
            advice="take it out of version control anew, or adopt the life again",
        ) from error


def play_adopted(path: Path) -> None:
    """Play it: AssertionError with its story where an invariant does not hold, whichever it is.

    ToldOtherwise is warned of where the life does other things than it did when it was adopted, answers aside.
    """
    adopted = read_adopted(path)
    played = Rows(adopted.plan, adopted.seed).play(adopted.row)
    story = played.lives[0].story
    if played.wrong is not None:
        told = "\n".join(lines(story))
        raise AssertionError(f"{played.wrong.invariant}: {played.wrong.found}\n{told}")
    if _done(story)[: len(adopted.story)] != _done(adopted.story):
        warnings.warn(
            f"{path.name}: the life does other things than when it was adopted, and holds: look whether it still "
            f"shows what broke {adopted.invariant}",
            ToldOtherwise,
            stacklevel=2,
        )


def _done(story: tuple[Event, ...]) -> list[tuple[int, str]]:
    """What was done, without what was answered."""
    return [(each.number, each.deed.partition(": ")[0]) for each in story]
