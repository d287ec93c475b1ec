"""Record the sessions of fixtures/sessions from their seeds, and damage one in each way.

python -m scripts.record_sessions             write the files anew
python -m scripts.record_sessions --check     say whether they are what would be written, and change nothing
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from scripts.sessions.causes import told_causes
from scripts.sessions.damaged import DAMAGED
from scripts.sessions.recorded_pump import RecordedPump
from scripts.sessions.stories import STORIES

SESSIONS = Path(__file__).resolve().parent.parent / "fixtures" / "sessions"


def recorded(names: Iterable[str] = tuple(STORIES)) -> dict[str, bytes]:
    """The files of these sessions, by their names: each recording, and the TOML beside it."""
    files = {}
    with tempfile.TemporaryDirectory(prefix="pumpbench-") as place:
        for name in names:
            story, path = STORIES[name], Path(place) / f"{name}.pcapng"
            with RecordedPump(path, name, story.seed, model=story.model, implant=story.implant) as bench:
                story.play(bench)
            files[path.name] = path.read_bytes()
            files[f"{name}.toml"] = told_causes(path, story).encode()
    return files


def damaged(sessions: dict[str, bytes]) -> dict[str, bytes]:
    """The damaged files, made of the recordings."""
    good = {name.removesuffix(".pcapng"): data for name, data in sessions.items() if name.endswith(".pcapng")}
    lines = ["# made by scripts/record_sessions.py"]
    files = {}
    for name, each in DAMAGED.items():
        files[f"damaged/{name}.pcapng"] = each.make(good)
        lines += ["", f"[{name}]", f'what = "{each.what}"', f"exit_code = {each.exit_code}"]
        lines += [f"packets = {each.packets(good)}", f'says = "{each.says}"']
    files["damaged/damaged.toml"] = ("\n".join(lines) + "\n").encode()
    return files


def main() -> None:
    """Write, or with --check compare."""
    if sys.argv[1:] not in ([], ["--check"]):
        raise SystemExit(__doc__)
    files = recorded()
    files |= damaged(files)
    if sys.argv[1:]:
        there = {name for name in files if (SESSIONS / name).is_file()}
        changed = [
            name for name in files if name not in there or (SESSIONS / name).read_bytes() != files[name]
        ]
        if changed:
            raise SystemExit(f"{', '.join(changed)}: not up to date: run python -m scripts.record_sessions")
        return
    (SESSIONS / "damaged").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (SESSIONS / name).write_bytes(data)


if __name__ == "__main__":
    main()
