"""A worker of xdist: does what it is told on its stdin, as execnet starts a Python."""

from __future__ import annotations

import sys

exec(eval(sys.stdin.readline()))  # noqa: S102, S307  # `popen_bootstrapline` of execnet
