"""Write the table that the judge's interval is held against: anytime-valid limits of an independent library, savvi.

    uv run --no-project --with savvi==0.3.1 python benchmarks/judge/oracle.py > tests/unit/judge_oracle.json

savvi's Multinomial with theta_0 = (1/2, 1/2) and k = 2 spreads its bet uniformly over green's chance of each event,
which at an even split of requests is our r / (1 + r). (Lindon and Malek 2022, "Anytime-valid inference for
multinomial count data".)
"""

import json

import numpy as np
from savvi.multinomial import Multinomial

COUNTS = [(14, 14), (30, 10), (5, 5), (9, 0), (0, 7), (300, 200), (2, 40), (1, 0), (2500, 2400)]
ALPHAS = (0.01, 0.1)

rows = []
for alpha in ALPHAS:
    for green, blue in COUNTS:
        found = Multinomial(alpha, np.array([0.5, 0.5]), k=2)
        found.update(np.array([green, blue]))
        low, high = found.calculate_conf_int()[0]
        rows.append({
            "alpha": alpha, "green": green, "blue": blue,
            "low": float(low / (1 - low)) if green else 0.0, "high": float(high / (1 - high)) if blue else None,
        })  # fmt: skip
print(json.dumps(rows, indent=1))
