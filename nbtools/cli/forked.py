"""The command as a fork executes it: `python -m nbtools.cli.forked CALLED ARGS`.

CALLED is how the command was called; see nbtools/command.py.
"""

from __future__ import annotations

import sys

from nbtools.cli import main

if __name__ == "__main__":
    del sys.argv[0]
    main(leave=sys.exit)
