"""How long 10,000 short files take in one `modeldrop judge replay`: python benchmarks/judge/replay_speed.py [FILES]."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.luck import instance_luck
from modeldrop.judge.terms import Terms, write_bins
from modeldrop.policy.model import JudgePolicy

BINS, SEED = 10, 20261124
START = datetime(2026, 11, 23, 20, tzinfo=UTC)


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    chance = random.Random(SEED)
    terms = Terms(
        JudgePolicy(),
        START,
        green_share=0.1,
        expected_bins=BINS,
        metrics=("errors", "slow"),
        luck=instance_luck(0.1, 10),
    )
    with tempfile.TemporaryDirectory() as directory:
        for number in range(files):
            bins = [
                Bin(
                    START + timedelta(minutes=minute),
                    60,
                    Counts(1080, chance.binomialvariate(1080, 0.005), chance.binomialvariate(1080, 0.05)),
                    Counts(120, chance.binomialvariate(120, 0.005), chance.binomialvariate(120, 0.05)),
                )
                for minute in range(BINS)
            ]
            Path(directory, f"{number:05}.jsonl").write_text(write_bins(bins, terms))
        began = time.perf_counter()
        command = [sys.executable, "-m", "cli.main", "judge", "replay", directory, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - began
    verdicts = done.stdout.count('"verdict": ')
    print(f"{verdicts} verdicts on {files} files of {BINS} bins in {seconds:.1f} s, exit status {done.returncode}")


if __name__ == "__main__":
    main()
