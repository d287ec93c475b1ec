"""The command `pumpbench`, also as `python -m hil.cli`: imports all the rest while Ctrl-C is heard.

No exception may fall into an import, where it would come out as another or be swallowed: a handler leaves at once.
"""

import os
import signal

INTERRUPTED = 130  # what a shell makes of SIGINT
WORDS = b"pumpbench: interrupted: nothing was sent\n"


def main() -> None:
    """Run the command line. Ctrl-C before its command is there ends it at once: nothing has been done yet."""
    listening = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # or somebody wants it ignored
    if listening:
        signal.signal(signal.SIGINT, _leave)
    from hil.cli.main import main as run  # noqa: PLC0415 - the point of this module

    run()


def _leave(*_: object) -> None:
    try:
        os.write(2, WORDS)
    finally:
        os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
