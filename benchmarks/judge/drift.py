"""How many captured answers the judge needs to see a drift: `python -m benchmarks.judge.drift [--runs 200]`.

Two classes, one of which grows on green; 10% of the captured answers are green's, 30 periods, alpha 1%, tolerance 10%,
errors and slow requests acting beside it without a failure. Prints the share of runs that are found, and the median of
green's answers until then.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta

from modeldrop.judge.answers import AnswerBin, DriftTerms
from modeldrop.judge.bins import Bin, Counts
from modeldrop.judge.judge import judge
from modeldrop.policy.model import JudgePolicy

START = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
PERIODS = 30
SHARES = ((0.5, 0.5), (0.5, 0.6), (0.5, 0.65), (0.5, 0.75), (0.5, 1.0), (0.1, 0.2), (0.1, 0.3), (0.1, 1.0), (0.9, 1.0))
GREEN_A_PERIOD = (2, 10, 50)


def drawn(chance: random.Random, count: int, share: float) -> Counter[str]:
    return Counter("grows" if chance.random() < share else "shrinks" for _ in range(count))


def found_after(chance: random.Random, blue: float, green: float, answers: int) -> int | None:
    bins, told = [], []
    for number in range(PERIODS):
        start = START + timedelta(minutes=number)
        bins.append(Bin(start, 60, Counts(900 * answers, 0, 0), Counts(100 * answers, 0, 0)))
        told.append(AnswerBin(start, 60, drawn(chance, 9 * answers, blue), drawn(chance, answers, green)))
    terms = DriftTerms(0.1, {"grows": blue, "shrinks": 1 - blue})
    verdict = judge(
        bins, JudgePolicy(), canary_started=START, green_share=0.1, expected_bins=PERIODS, answers=told, drift=terms
    )
    return verdict.decided_after_seconds // 60 * answers if verdict.decided_after_seconds else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    head = " | ".join(f"{answers} answers of green a period" for answers in GREEN_A_PERIOD)
    print(f"| blue | green | {head} |\n|---|---|{'---|' * len(GREEN_A_PERIOD)}")
    for blue, green in SHARES:
        cells = []
        for answers in GREEN_A_PERIOD:
            chance = random.Random(f"{blue} {green} {answers}")
            found = [found_after(chance, blue, green, answers) for _ in range(runs)]
            seen = [one for one in found if one is not None]
            median = f", after {statistics.median(seen):.0f} answers" if len(seen) * 2 > runs else ""
            cells.append(f"{len(seen) / runs:.1%}{median}")
        print(f"| {blue:.0%} | {green:.0%} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
