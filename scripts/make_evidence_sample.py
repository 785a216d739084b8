"""Write docs/evidence-sample.html from a release of the demo that is kept in tests, and its picture if asked.

python -m scripts.make_evidence_sample [--picture]
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from modeldrop.evidence.html import render_html
from modeldrop.judge.bins import read_bins

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "tests" / "unit" / "golden"
PAGE, PICTURE = ROOT / "docs" / "evidence-sample.html", ROOT / "docs" / "evidence.png"


def sample() -> str:
    """Return the page of the demo's release 3, which was rolled back."""
    card = json.loads((KEPT / "release-3.evidence.json").read_text())
    return render_html(card, read_bins((KEPT / "release-3.bins.jsonl").read_text().splitlines()))


def main() -> None:
    """Write the page; with --picture also what Chromium makes of it."""
    PAGE.write_text(sample())
    if "--picture" not in sys.argv:
        return
    program = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        sys.exit("no chromium on the path: install it (Debian: apt-get install chromium), or leave --picture out")
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}"]
        picture = [f"--screenshot={PICTURE}", "--window-size=980,1330", PAGE.as_uri()]
        subprocess.run([program, *flags, *picture], check=True, capture_output=True, timeout=60)


if __name__ == "__main__":
    main()
