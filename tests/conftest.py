"""What holds for every test: signals do what they do in a terminal, however the run itself was started."""

from __future__ import annotations

import signal

# `nohup` ignores HUP, a shell's background job INT: both are inherited, and emulators would ignore them too.
for _number, _usual in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)
