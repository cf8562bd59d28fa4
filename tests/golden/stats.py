"""Prints the golden values of src/stats/tests/: python stats.py > stats.json"""

import json
import sys

import numpy as np
import scipy
from scipy import optimize, special, stats

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


# Two samples each; those of one length are taken as pairs, too.
PAIRS = {
    "clear": ([98.1, 97.5, 98.9, 98.3, 97.9], [93.2, 94.8, 92.9, 94.1, 93.7]),
    "overlapping": ([98.7, 99.1, 97.2, 103.9, 99.0], [97.0, 99.6, 98.8, 101.2, 96.1]),
    "unequal_spread": ([50.1, 50.2, 50.15, 50.05], [47.0, 55.0, 61.0, 40.0]),
    "unequal_sizes": ([12.0, 15.5, 9.75], [8.5, 7.0, 11.0, 6.25, 9.0, 10.5, 5.75]),
    "ties": ([1.0, 2.0, 2.0, 3.0, 4.0, 4.0], [2.0, 3.0, 3.0, 5.0, 6.0, 4.0]),
    "one_constant": ([7.0, 7.0, 7.0], [6.1, 6.4, 6.2]),
    "negative": ([-3.5, -1.25, -2.0, -4.75], [0.5, 1.5, -0.25, 2.0]),
    "dozen": (
        [round(float(x), 4) for x in np.random.default_rng(1).normal(100, 5, 12)],
        [round(float(x), 4) for x in np.random.default_rng(2).normal(104, 9, 12)],
    ),
}


def interval(pair):
    return [float(pair[0]), float(pair[1])]


def solve(f, start, towards):
    """The root of f on one side of start."""
    step = towards
    while f(start + step) < 0:
        step *= 2
    return optimize.brentq(f, start, start + step, xtol=1e-14, rtol=1e-14)


def ratio(x, y, bound, paired):
    """Fieller: mean(x) against bound * mean(y), and the bounds that are not rejected at 5 %."""

    def p(r):
        scaled = r * y
        if paired:
            return stats.ttest_rel(x, scaled).pvalue
        return stats.ttest_ind(x, scaled, equal_var=False).pvalue

    value = x.mean() / y.mean()
    step = abs(value) * 1e-3
    return {
        "value": value,
        "bound": bound,
        "p": p(bound),
        "ci95": [solve(lambda r: 0.05 - p(r), value, -step), solve(lambda r: 0.05 - p(r), value, step)],
    }


def log_ratio(x, y, paired):
    """Geometric means: t tests of the logarithms, carried back."""
    if min(x.min(), y.min()) <= 0:
        return None
    x, y = np.log(x), np.log(y)
    test = (lambda b: stats.ttest_rel(x, y + b)) if paired else lambda b: stats.ttest_ind(x, y + b, equal_var=False)
    return {
        "value": np.exp(x.mean() - y.mean()),
        "geometric_mean": np.exp(x.mean()),
        "bound": 1.1,
        "p": test(0).pvalue,
        "p_against_bound": test(np.log(1.1)).pvalue,
        "ci95": [float(np.exp(end)) for end in test(0).confidence_interval(0.95)],
    }


def tost(x, y, margin, paired):
    test = stats.ttest_rel if paired else lambda a, b, alternative: stats.ttest_ind(
        a, b, equal_var=False, alternative=alternative
    )
    return max(test(x + margin, y, alternative="greater").pvalue, test(x - margin, y, alternative="less").pvalue)


def hedges(x, y):
    n, m = len(x), len(y)
    freedom = n + m - 2
    pooled = np.sqrt(((n - 1) * x.var(ddof=1) + (m - 1) * y.var(ddof=1)) / freedom)
    scale = np.sqrt(1 / n + 1 / m)
    t = (x.mean() - y.mean()) / pooled / scale
    j = np.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)) / np.sqrt(freedom / 2)
    at = lambda p: optimize.brentq(lambda d: stats.nct.cdf(t, freedom, d) - p, t - 3 - abs(t), t + 3 + abs(t), xtol=1e-13)
    return {"value": j * t * scale, "ci95": [j * scale * at(0.975), j * scale * at(0.025)]}


def compare(x, y):
    x, y = np.array(x), np.array(y)
    welch = stats.ttest_ind(x, y, equal_var=False)
    mann = stats.mannwhitneyu(x, y)
    permuted = lambda kind: stats.permutation_test(
        (x, y), lambda a, b: a.mean() - b.mean(), permutation_type=kind, n_resamples=np.inf
    )
    result = {
        "x": list(x),
        "y": list(y),
        "welch": {
            "t": welch.statistic,
            "freedom": welch.df,
            "p": welch.pvalue,
            "p_against_2": stats.ttest_ind(x, y + 2, equal_var=False).pvalue,
            "ci95": interval(welch.confidence_interval(0.95)),
            "ci90": interval(welch.confidence_interval(0.90)),
            "tost_3": tost(x, y, 3.0, False),
        },
        "ratio": ratio(x, y, 1.1, False) if abs(stats.ttest_1samp(y, 0).pvalue) < 0.05 else None,
        "log_ratio": log_ratio(x, y, False),
        "mann_whitney": {"u": mann.statistic, "p": mann.pvalue},
        "hedges_g": hedges(x, y),
        "cliffs_delta": float(np.sign(x[:, None] - y[None, :]).mean()),
        "permutation": permuted("independent").pvalue if special.comb(len(x) + len(y), len(x)) < 9999 else None,
    }
    if len(x) == len(y):
        paired = stats.ttest_rel(x, y)
        result["paired"] = {
            "t": paired.statistic,
            "p": paired.pvalue,
            "ci95": interval(paired.confidence_interval(0.95)),
            "tost_3": tost(x, y, 3.0, True),
            "ratio": ratio(x, y, 1.1, True) if abs(stats.ttest_1samp(y, 0).pvalue) < 0.05 else None,
            "log_ratio": log_ratio(x, y, True),
            "permutation": permuted("samples").pvalue,
        }
        if len(set(x)) > 1:
            pearson, spearman = stats.pearsonr(x, y), stats.spearmanr(x, y)
            result["correlation"] = {
                "pearson": pearson.statistic,
                "pearson_p": pearson.pvalue,
                "pearson_ci95": interval(pearson.confidence_interval(0.95)) if len(x) > 3 else None,
                "against_half": 2 * stats.norm.sf(
                    abs(np.arctanh(pearson.statistic) - np.arctanh(0.5)) * np.sqrt(len(x) - 3)
                ),
                "spearman": spearman.statistic,
                "spearman_p": spearman.pvalue,
            }
    return result


def needed(enough):
    return next(n for n in range(2, 100_000) if enough(n))


def sample_sizes():
    rows = []
    for effect in (0.3, 0.5, 1.0, 2.5):
        power = lambda d, freedom, tail: stats.nct.sf(stats.t.ppf(1 - tail, freedom), freedom, d)
        rows.append({
            "effect": effect,
            "paired": needed(lambda n: power(effect * np.sqrt(n), n - 1, 0.025) >= 0.8),
            # both sides with sd 1
            "welch": needed(lambda n: power(effect * np.sqrt(n / 2), 2 * (n - 1), 0.025) >= 0.8),
            # nothing seen, margin = effect, paired, sd 1
            "equivalence": needed(lambda n: 2 * power(effect * np.sqrt(n), n - 1, 0.05) - 1 >= 0.8),
        })
    return rows


def order(values, percent, bound):
    test = stats.quantile_test(values, q=bound, p=percent / 100)
    low, high = test.confidence_interval(0.95)
    return {
        "values": values,
        "percent": percent,
        "bound": bound,
        "p": test.pvalue,
        "ci95": [None if np.isnan(low) else low, None if np.isnan(high) else high],
    }


def bca(value, replicates, acceleration, level):
    """BCa of given replicates, as scipy.stats.bootstrap computes it."""
    replicates = np.array(replicates)
    share = ((replicates < value).sum() + (replicates <= value).sum()) / (2 * len(replicates))
    z0, z = stats.norm.ppf(share), stats.norm.ppf(0.5 + level / 2)
    at = lambda z: stats.norm.cdf(z0 + (z0 + z) / (1 - acceleration * (z0 + z)))
    return [float(np.percentile(replicates, 100 * at(-z))), float(np.percentile(replicates, 100 * at(z)))]


def bootstrap():
    values = SAMPLES["thirty"]
    kinds = {"median": np.median, "sd": lambda x, axis: x.std(axis=axis, ddof=1)}
    drawn = {
        name: interval(
            stats.bootstrap(
                (np.array(values),), f, n_resamples=99_999, method="BCa", rng=np.random.default_rng(7)
            ).confidence_interval
        )
        for name, f in kinds.items()
    }
    replicates = [round(float(x), 6) for x in np.random.default_rng(3).gamma(4, 2, 200)]
    return {
        "drawn": drawn,
        "replicates": replicates,
        "value": 8.1,
        "acceleration": 0.04,
        "ci95": bca(8.1, replicates, 0.04, 0.95),
    }


def flag_rates(n, samples=400_000):
    """How often the rules for outliers flag values, and samples, of clean normal data."""
    x = np.random.default_rng(3).normal(size=(samples, n))
    far = np.abs(x - np.median(x, axis=1, keepdims=True))
    mad = np.median(far, axis=1, keepdims=True)
    rates = {}
    for name, limit in (("raw", 2 * mad), ("scaled", 3.5 * mad / stats.norm.ppf(0.75))):
        flagged = far > limit
        rates[name] = [flagged.mean(), flagged.any(axis=1).mean()]
    return rates


P_VALUES = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.041, 0.9, 1.0, 0.0004]


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
        "comparisons": {name: compare(x, y) for name, (x, y) in PAIRS.items()},
        "noncentral_t": [
            [t, freedom, delta, stats.nct.cdf(t, freedom, delta)]
            for t in (-1.5, 0.0, 0.7, 2.3, 6.0)
            for freedom in (2, 4.5, 28, 300)
            for delta in (-1.0, 0.0, 0.8, 3.0, 7.5)
        ]
        # large effects of few runs: where the series gives out
        + [
            [t, freedom, delta, stats.nct.cdf(t, freedom, delta)]
            for t, freedom, delta in (
                (800.0, 4, 400.0),
                (800.0, 4, 1000.0),
                (60.0, 28, 50.0),
                (45.0, 8, 40.0),
                (120.0, 2, 100.0),
                (50.0, 300, 45.0),
            )
        ],
        "normal_quantile": [[p, stats.norm.ppf(p)] for p in (1e-9, 0.001, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9999)],
        "false_discovery": [
            [p, list(stats.false_discovery_control(p, method="bh"))]
            for p in (P_VALUES, P_VALUES[:4], [0.5], [0.04, 0.04, 0.04], [0.0, 1.0])
        ],
        "flag_rates": {str(n): flag_rates(n) for n in (3, 4, 5, 10, 30)},
        "sample_sizes": sample_sizes(),
        "wilson": [
            [k, n, interval(stats.binomtest(k, n).proportion_ci(0.95, method="wilson"))]
            for k, n in ((0, 5), (1, 5), (5, 5), (18, 25), (3, 1000))
        ],
        "order": [
            order(SAMPLES["thirty"], 50, 99.0),
            order(SAMPLES["thirty"], 50, 103.5),
            order(SAMPLES["thirty"], 95, 104.0),
            order(SAMPLES["runs"], 50, 98.0),
            order(SAMPLES["negative"], 25, -3.5),
        ],
        "bootstrap": bootstrap(),
    },
    sys.stdout,
    indent=1,
)
print()
