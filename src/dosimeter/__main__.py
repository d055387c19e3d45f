"""`python -m dosimeter`: the command line, for environments whose scripts are not on the path."""

from __future__ import annotations

from dosimeter.cli.app import entry

if __name__ == "__main__":
    entry()
