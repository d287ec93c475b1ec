"""What holds for every test: signals do what they do in a terminal, and no example has a deadline."""

from __future__ import annotations

import signal

from hypothesis import settings

# `nohup` ignores HUP, a shell's background job INT: both are inherited, and emulators would ignore them too.
for _number, _usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)

# How long an example takes says nothing about what it shows, and other processes may hold it up.
settings.register_profile("pumpbench", deadline=None)
settings.load_profile("pumpbench")
