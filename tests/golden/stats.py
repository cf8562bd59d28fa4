"""Prints the golden values of src/stats/tests.rs: python stats.py > stats.json"""

import json
import sys

import numpy as np
import scipy
from scipy import stats

SAMPLES = {
    "pair": [1.0, 2.0],
    "runs": [98.7, 99.1, 97.2, 103.9, 99.0],
    "ttft_ms": [50.12, 50.4, 49.98, 51.77, 50.01, 50.33, 75.5],
    "around_a_million": [1e6 + x for x in (0.001, 0.002, 0.0035, 0.001, 0.004, 0.0001)],
    "negative": [-3.5, 4.25, -1.125, 0.5, 2.75, -8.0, 1.0, 0.0],
    "thirty": [round(float(x), 6) for x in np.random.default_rng(117).normal(100, 5, 30)],
}


def describe(values):
    x = np.array(values)
    low, high = stats.t.interval(0.95, len(x) - 1, loc=x.mean(), scale=stats.sem(x))
    return {
        "values": values,
        "mean": x.mean(),
        "sd": x.std(ddof=1),
        "median": np.median(x),
        "percentiles": {str(p): np.percentile(x, p) for p in (0, 1, 5, 25, 50, 90, 95, 99, 100)},
        "mad": stats.median_abs_deviation(x),
        "cv": x.std(ddof=1) / abs(x.mean()),
        "ci95": [low, high],
    }


json.dump(
    {
        "versions": {
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "samples": {name: describe(values) for name, values in SAMPLES.items()},
        "student": [
            [p, df, stats.t.ppf(p, df)]
            for df in (1, 2, 3, 4, 5, 9, 29, 99, 1000)
            for p in (0.025, 0.6, 0.95, 0.975, 0.995, 0.9995)
        ],
    },
    sys.stdout,
    indent=1,
)
print()
