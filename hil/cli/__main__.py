"""`python -m hil.cli` is the command `pumpbench`."""

from hil.cli.main import main

if __name__ == "__main__":
    main()
