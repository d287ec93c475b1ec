"""What nobody may call: each ban catches its call, in the core and in tests alike."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BANNED = [
    "import time\n\ntime.sleep(1)\n",
    "from time import sleep\n\nsleep(1)\n",
    "from datetime import datetime\n\nNOW = datetime.now()\n",
    "from datetime import UTC, datetime\n\nNOW = datetime.now(tz=UTC)\n",
    "from datetime import datetime\n\nNOW = datetime.utcnow()\n",
    "from datetime import date\n\nNOW = date.today()\n",
    "from unittest import mock\n\nmock.patch('x')\n",
    "from unittest.mock import Mock\n\nMock()\n",
    "import pytest_mock\n\npytest_mock.plugin()\n",
]
PLACES = ["protocol/new.py", "firmware_emu/bench/new.py", "hil/suite/new.py", "tests/unit/plant/new.py"]


def bans_broken(root: Path, source: str, place: str) -> bool:
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ruff"),
            "check",
            "--select",
            "TID251",
            "--stdin-filename",
            place,
            "-",
        ],
        cwd=root,
        input=source,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode == 1


@pytest.mark.parametrize(
    "source", BANNED, ids=[source.splitlines()[2] + str(n) for n, source in enumerate(BANNED)]
)
@pytest.mark.parametrize("place", PLACES)
def test_a_banned_call_is_caught(root: Path, source: str, place: str) -> None:
    assert bans_broken(root, source, place)


def test_an_ordinary_call_is_not(root: Path) -> None:
    assert not bans_broken(root, "import time\n\ntime.monotonic_ns()\n", "hil/new.py")
