"""Programs beside Python that some tests use."""

from __future__ import annotations

import shutil
from typing import Final

from codegen.doctor.findings import Finding

PART: Final = "Programs"


def browser() -> Finding:
    """Chromium and its driver, in which reports are tested; nothing else needs them."""
    names = (("chromium", "chromium-browser"), ("chromedriver",))
    found = [next(filter(None, map(shutil.which, choice)), None) for choice in names]
    missing = [choice[0] for choice, path in zip(names, found, strict=True) if path is None]
    shown = ", ".join(path for path in found if path) or "none"
    if not missing:
        return Finding(PART, "browser", shown, needed=False)
    fault = f"no {' and no '.join(missing)}: tests of reports are skipped"
    mend = "apt-get install chromium chromium-driver"
    return Finding(PART, "browser", shown, "absent", fault, mend, needed=False)
