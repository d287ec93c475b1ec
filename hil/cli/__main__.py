"""The command `pumpbench`, also as `python -m hil.cli`: imports all the rest while Ctrl-C is heard.

No exception may fall into an import, where it would come out as another or be swallowed: a handler leaves at once.
"""

import os
import signal
import sys

INTERRUPTED = 130  # what a shell makes of SIGINT
# Groups that do nothing which Ctrl-C could leave half done: it may end them anywhere.
LEAVING_NOTHING = ("hil",)


def main() -> None:
    """Run the command line. Ctrl-C before that ends it without a word: nothing has been done yet."""
    listening = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # or somebody wants it ignored
    if listening:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    from hil.cli.main import main as run  # noqa: PLC0415 - the point of this module

    if listening and not set(sys.argv[1:2]).intersection(LEAVING_NOTHING):
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
