"""``python -m pantiny.benchmarks`` is ``pantiny bench``."""

from __future__ import annotations

import sys

from pantiny.cli import main

if __name__ == "__main__":
    main(["bench", *sys.argv[1:]], prog_name="pantiny")
