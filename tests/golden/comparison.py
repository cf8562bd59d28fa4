"""Prints the golden values of src/report/comparison/tests/: python comparison.py > comparison.json"""

import json
import sys

import numpy as np
import scipy
from scipy import optimize, special, stats

# throughput by cell (model, throttle) and repeat; the baseline is the throttle "off"
CELLS = {
    "gemma/off": [101.2, 99.8, 100.9, 98.7, 100.1],
    "gemma/60": [96.1, 95.2, 96.6, 93.9, 95.7],
    "gemma/30": [101.9, 99.1, 101.4, 98.9, 100.2],
    "qwen/off": [80.4, 83.1, 79.9, 81.7, 82.2],
    "qwen/60": [84.9, 86.6, 84.1, 85.2, 87.3],
    "qwen/30": [78.0, 88.5, 80.2, 75.1, 84.4],
}


def hedges(of, to):
    n, m = len(of), len(to)
    df = n + m - 2
    pooled = np.sqrt(((n - 1) * of.var(ddof=1) + (m - 1) * to.var(ddof=1)) / df)
    correction = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
    d = (of.mean() - to.mean()) / pooled
    root = np.sqrt(1 / n + 1 / m)
    t = d / root

    def end(p):
        # far from t SciPy's noncentral t is not a number
        towards = 0.25 if p < 0.5 else -0.25
        far = t + towards
        while (stats.nct.cdf(t, df, far) - p) * (stats.nct.cdf(t, df, t) - p) > 0:
            far += towards
        return optimize.brentq(lambda delta: stats.nct.cdf(t, df, delta) - p, t, far, xtol=1e-13)

    return correction * d, [correction * root * end(0.975), correction * root * end(0.025)]


def t_test(of, to, pairs):
    return stats.ttest_rel(of, to) if pairs else stats.ttest_ind(of, to, equal_var=False)


def contrast(of, to, pairs):
    """A rate is judged by the ratio of geometric means; the difference of means is there to be read."""
    ci = t_test(of, to, pairs).confidence_interval(0.95)
    log = t_test(np.log(of), np.log(to), pairs)
    log_ci = log.confidence_interval(0.95)
    g, g_ci = hedges(of, to)
    return {
        "difference": of.mean() - to.mean(),
        "ci": [ci.low, ci.high],
        "ratio": stats.gmean(of) / stats.gmean(to),
        "ratio_ci": [float(np.exp(log_ci.low)), float(np.exp(log_ci.high))],
        "g": g,
        "g_ci": g_ci,
        "p": log.pvalue,
    }


def table(pairs):
    rows = {}
    for name, values in CELLS.items():
        model, throttle = name.split("/")
        if throttle != "off":
            rows[name] = contrast(np.array(values), np.array(CELLS[f"{model}/off"]), pairs)
    adjusted = stats.false_discovery_control([row["p"] for row in rows.values()])
    for row, p in zip(rows.values(), adjusted):
        row["p_adjusted"] = p
    return rows


def ranking(pairs):
    """p of every cell against the best, times the number of other cells, then as one family."""
    names = sorted(CELLS, key=lambda name: -np.mean(CELLS[name]))
    best = np.array(CELLS[names[0]])
    rows = [[names[0], None]]
    for name in names[1:]:
        p = contrast(np.array(CELLS[name]), best, pairs)["p"]
        rows.append([name, min(1.0, p * (len(names) - 1))])
    adjusted = stats.false_discovery_control([p for _, p in rows[1:]])
    return rows[:1] + [[name, p] for (name, _), p in zip(rows[1:], adjusted)]


json.dump(
    {
        "versions": {
            "python": sys.version.split()[0],
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "cells": CELLS,
        "paired": table(True),
        "welch": table(False),
        "ranking": {"paired": ranking(True), "welch": ranking(False)},
        "wilson": list(stats.binomtest(1, 4).proportion_ci(0.95, method="wilson")),
    },
    sys.stdout,
    indent=1,
)
print()
