"""Runs the command line: ``python -m simcert``."""

from simcert.cli import main

if __name__ == "__main__":
    main(prog_name="simcert")
