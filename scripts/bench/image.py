"""What keeping an image costs: a step that commits, with its sync and without, against a bare append of the same size.

The disk decides the first figure: a sync costs a tenth of a millisecond on a fast one and ten on a slow one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from firmware_emu.bench.image_file import ImageFile
from firmware_emu.profile import PairedKey, Profile
from scripts.bench.measure import NS_PER_US, Row, interleaved

ROUNDS = 21
CALLS = 50
COMMIT_BYTES = 512  # a journal of some records and two log entries
STATE = {"plant": {"strokes": 1}, "powered": True}


def rows() -> list[Row]:
    """A committing step on file, synced and not."""
    profile = Profile(keys=(PairedKey(1, 2, bytes(16)),))
    with tempfile.TemporaryDirectory() as place:
        images = {
            syncing: ImageFile(Path(place) / str(syncing), profile, syncing=syncing)
            for syncing in (True, False)
        }
        for image in images.values():
            image.begin(1)
        bare = os.open(Path(place) / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        writes = ((0, bytes(COMMIT_BYTES)),)

        def bare_append_and_sync() -> None:
            os.write(bare, bytes(COMMIT_BYTES))
            os.fdatasync(bare)

        medians = interleaved(
            {
                "append": lambda: os.write(bare, bytes(COMMIT_BYTES)),
                "append and sync": bare_append_and_sync,
                "never": lambda: images[False].append(1, writes, STATE),
                "commit": lambda: images[True].append(1, writes, STATE),
            },
            rounds=ROUNDS,
            calls=CALLS,
        )
        for image in images.values():
            image.close()
        os.close(bare)
    us = {name: ns / NS_PER_US for name, ns in medians.items()}
    return [
        Row("commit on --image, --sync never", "bare append", us["append"], us["never"], "us", 10),
        Row(
            "commit on --image, --sync commit",
            "append, fdatasync",
            us["append and sync"],
            us["commit"],
            "us",
            2,
        ),
    ]
