"""What of all that symnet stands on is here, and what would mend the rest.

Nothing in this folder needs NumPy, Numba or llvmlite: they are tried in processes of their own,
since a broken library may end the process that loads it.
"""

from __future__ import annotations

from codegen.doctor.diagnosis import diagnose as diagnose
from codegen.doctor.findings import Finding as Finding
from codegen.doctor.findings import as_json as as_json
from codegen.doctor.findings import healthy as healthy
from codegen.doctor.findings import shown as shown
