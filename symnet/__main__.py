"""`python -m symnet`."""

from __future__ import annotations

import sys

from symnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
