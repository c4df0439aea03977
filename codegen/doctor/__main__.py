"""`python -m codegen.doctor`: `symnet doctor`, also where NumPy cannot be imported."""

from __future__ import annotations

import sys

from codegen.doctor.diagnosis import diagnose
from codegen.doctor.findings import healthy, shown

if __name__ == "__main__":
    found = diagnose()
    print(shown(found))
    sys.exit(0 if healthy(found) else 1)
