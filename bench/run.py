"""The benchmark: `python bench/run.py`, or `make bench`. `--help` names what can be left out."""

import sys
from pathlib import Path

# The project's root in the place of this directory: the benchmark reads the server's own modules.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
