"""Prints the golden values of src/stats/tests/robust.rs: python robust.py > robust.json"""

import json
import sys

import numpy as np
import scipy
from scipy import integrate, optimize, special, stats

rng = np.random.default_rng(2026)


def drawn(values):
    return [round(float(x), 6) for x in values]


SAMPLES = {
    "pair": [1.0, 2.0],
    "three": [4.1, 4.4, 3.2],
    "runs": [98.7, 99.1, 97.2, 103.9, 99.0],
    "far": [50.12, 50.4, 49.98, 51.77, 50.01, 50.33, 75.5],
    "two_clusters": [1.0, 1.01, 0.99, 1.0, 9.0, 9.01, 8.99, 9.0],
    "normal": drawn(rng.normal(100, 5, 12)),
    "lognormal": drawn(rng.lognormal(4, 0.5, 20)),
    "heavy": drawn(100 + rng.standard_t(3, 40)),
    "uniform": drawn(rng.uniform(2, 3, 60)),
}


def bonett(values, z):
    """The interval of Bonett (2006) for a normal quantile z, written down from the paper."""
    x = np.array(values)
    n = len(x)
    if z >= n:
        return 0.0, np.inf
    center = stats.trim_mean(x, min(1 / (2 * np.sqrt(n - 4)), (n - 1) // 2 / n))
    kurtosis = n * ((x - center) ** 4).sum() / ((x - x.mean()) ** 2).sum() ** 2
    c = n / (n - z)
    se = c * np.sqrt((kurtosis - (n - 3) / n) / (n - 1))
    middle = np.log(c * x.var(ddof=1))
    return float(np.exp((middle - z * se) / 2)), float(np.exp((middle + z * se) / 2))


def spread(values):
    x = np.array(values)
    n, sd = len(x), x.std(ddof=1)
    bound = float(1.7 * sd)

    def interval(tail):
        low, high = (sd * np.sqrt((n - 1) / end(tail, n - 1)) for end in (stats.chi2.isf, stats.chi2.ppf))
        if n >= 5:
            wide = bonett(values, stats.norm.isf(tail))
            low, high = min(low, wide[0]), max(high, wide[1])
        return [float(low), float(high)]

    def outside(p):
        low, high = interval(p / 2)
        return not low <= bound <= high

    # p is where the interval begins to hold the bound
    p = np.exp(optimize.bisect(lambda log: 1.0 if outside(np.exp(log)) else -1.0, -30, -1e-12, xtol=1e-14, maxiter=200))
    return {
        "values": values,
        "sd": float(sd),
        "bound": bound,
        "p": p,
        "ci95": interval(0.025),
        "ci99": interval(0.005),
    }


def spread_ratio(x, y):
    """Layard's pooled kurtosis, or that of both samples scaled to one spread where that is larger."""
    x, y = np.array(x), np.array(y)
    n, m = len(x), len(y)
    dx, dy = x - np.median(x), y - np.median(y)
    sx, sy = ((x - x.mean()) ** 2).sum(), ((y - y.mean()) ** 2).sum()
    pooled = (n + m) * ((dx**4).sum() + (dy**4).sum()) / (sx + sy) ** 2
    scaled = ((dx**4).sum() / (sx / n) ** 2 + (dy**4).sum() / (sy / m) ** 2) / (n + m)
    kurtosis = max(pooled, scaled)
    variance = sum((kurtosis - (k - 3) / k) / (k - 1) for k in (n, m))
    value, error = np.log(x.std(ddof=1) / y.std(ddof=1)), np.sqrt(variance) / 2
    z = stats.norm.ppf(0.975) * error
    return {
        "x": list(x),
        "y": list(y),
        "value": float(np.exp(value)),
        "p": float(2 * stats.norm.sf(abs(value) / error)),
        "p_against_2": float(2 * stats.norm.sf(abs(value - np.log(2)) / error)),
        "ci95": [float(np.exp(value - z)), float(np.exp(value + z))],
    }


def anderson_darling(values):
    """Stephens' statistic; 0.631 is its critical value at 10 %."""
    x = np.sort(np.array(values))
    n = len(x)
    z = (x - x.mean()) / x.std(ddof=1)
    i = np.arange(1, n + 1)
    a2 = -n - np.mean((2 * i - 1) * (stats.norm.logcdf(z) + stats.norm.logsf(z[::-1])))
    return float(a2 * (1 + 0.75 / n + 2.25 / n**2))


def normality():
    """Samples of many shapes, with those nearest to the critical value among them."""
    draws = []
    for n in (8, 9, 12, 20, 50):
        for _ in range(60):
            kind = rng.integers(4)
            draw = (
                rng.normal(0, 1, n),
                rng.lognormal(0, 0.4, n),
                rng.standard_t(3, n),
                rng.uniform(0, 1, n),
            )[kind]
            draws.append(drawn(1000 + draw))
    draws.sort(key=lambda values: abs(anderson_darling(values) - 0.631))
    return [[values, anderson_darling(values)] for values in draws[:20] + draws[20::20]]


def pivot_above(values, log):
    """The chance that Krishnamoorthy & Mathew's pivotal quantity lies above log, integrated by SciPy."""
    logs = np.log(values)
    m, s, n = logs.mean(), logs.std(ddof=1), len(logs)

    def integrand(x):
        u2 = np.exp(x)
        center = m + s * s / 2 * (n - 1) / u2
        error = s * np.sqrt((n - 1) / u2 / n)
        return stats.norm.cdf((center - log) / error) * stats.chi2.pdf(u2, n - 1) * u2

    edges = [-80, -40, -20, -10, -5] + list(np.log(n - 1) + np.arange(-3, 3.01, 0.25)) + [np.log(n - 1) + 8]
    edges = sorted(set(edges))
    return sum(
        integrate.quad(integrand, a, b, epsabs=1e-15, epsrel=1e-12, limit=400)[0]
        for a, b in zip(edges, edges[1:])
    )


def lognormal_mean(values):
    logs = np.log(values)
    m, s = logs.mean(), logs.std(ddof=1)

    def end(share):
        high = m + s
        while pivot_above(values, high) > share:
            high = m + 2 * (high - m)
        low = m - s
        while pivot_above(values, low) < share:
            low = m - 2 * (m - low)
        log = optimize.brentq(lambda log: pivot_above(values, log) - share, low, high, xtol=1e-12)
        # a mean that no number holds
        return float(np.exp(log)) if log < 709 else None

    def p(bound):
        above = pivot_above(values, np.log(bound))
        return float(2 * min(above, 1 - above))

    # the same by drawing, which knows nothing of the integral
    n, draws = len(logs), 4_000_000
    own = np.random.default_rng(11)
    u2 = own.chisquare(n - 1, draws)
    t = m - own.normal(size=draws) * s * np.sqrt((n - 1) / u2 / n) + s * s / 2 * (n - 1) / u2
    bounds = [float(np.exp(m + f * s / np.sqrt(n) + s * s / 2)) for f in (-3, -0.5, 1, 4, 30)]
    return {
        "values": values,
        "ci95": [end(0.975), end(0.025)],
        "ci999": [end(0.9995), end(0.0005)],
        "p": [[bound, p(bound)] for bound in bounds],
        "drawn_log_ci95": [float(q) for q in np.quantile(t, [0.025, 0.975])],
        "drawn_p": [2 * float(min((t > np.log(b)).mean(), (t < np.log(b)).mean())) for b in bounds],
    }


def shifts(x, y):
    """Exact rank tests of SciPy, and the bounds that they do not reject at 5 %."""
    x, y = np.array(x), np.array(y)
    n, m = len(x), len(y)
    steps = np.sort((x[:, None] - y[None, :]).ravel())

    def p(bound):
        return stats.mannwhitneyu(x, y + bound, method="exact").pvalue

    def turned(steps, p):
        # between two neighbouring steps p is constant
        inside = [i for i, (a, b) in enumerate(zip(steps, steps[1:])) if a < b and p((a + b) / 2) >= 0.05]
        below = p(steps[0] - 1.0) >= 0.05
        above = p(steps[-1] + 1.0) >= 0.05
        return [None if below else float(steps[inside[0]]), None if above else float(steps[inside[-1] + 1])]

    result = {
        "x": list(x),
        "y": list(y),
        "value": float(np.median(steps)),
        "p": float(p(0)),
        "p_against": [[b, float(p(b))] for b in (0.3701, -1.1303, 2.7107)],
        "ci95": turned(steps, p),
    }
    if n == m:
        d = x - y
        walsh = np.sort([(d[i] + d[j]) / 2 for i in range(n) for j in range(i, n)])
        signed = lambda bound: stats.wilcoxon(d - bound, method="exact").pvalue
        result["paired"] = {
            "value": float(np.median(walsh)),
            "p": float(signed(0)),
            "p_against": [[b, float(signed(b))] for b in (0.3701, -1.1303, 2.7107)],
            "ci95": turned(walsh, signed),
        }
    return result


def large_shift(n, m):
    """Beyond what is counted: the normal approximation with its correction for continuity."""
    x, y = drawn(rng.normal(10.3, 1, n)), drawn(rng.normal(10, 1.5, m))
    test = stats.mannwhitneyu(x, y, method="asymptotic")
    return {"x": x, "y": y, "p": float(test.pvalue)}


def looks(information, alpha):
    """Boundaries of Lan & DeMets with the spending function of O'Brien and Fleming's type for each of both sides;
    the chance to cross at a look by the multivariate normal distribution, not by recursion on a grid."""
    t = np.array(information)
    side = alpha / 2
    spent = 2 * stats.norm.sf(stats.norm.ppf(1 - side / 2) / np.sqrt(t)) * 2
    covariance = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    z = []
    for k in range(len(t)):
        before = spent[k - 1] if k else 0.0

        def stays(edge):
            limits = np.array(z + [edge])
            if k == 0:
                return 1 - 2 * stats.norm.sf(edge)
            if k == 1:
                r = covariance[0, 1]
                inner = lambda u: stats.norm.pdf(u) * (
                    stats.norm.cdf((edge - r * u) / np.sqrt(1 - r * r))
                    - stats.norm.cdf((-edge - r * u) / np.sqrt(1 - r * r))
                )
                return integrate.quad(inner, -z[0], z[0], epsabs=1e-13, epsrel=1e-13, limit=400)[0]
            if k == 2:
                # increments of the path are independent
                s = np.sqrt(np.diff(np.concatenate([[0.0], t[:3]])))
                b = limits * np.sqrt(t[:3])
                last = lambda at: stats.norm.cdf((b[2] - at) / s[2]) - stats.norm.cdf((-b[2] - at) / s[2])
                second = lambda a, at: stats.norm.pdf((at - a) / s[1]) / s[1] * last(at)
                inner = lambda a: integrate.quad(lambda at: second(a, at), -b[1], b[1], epsabs=1e-13, epsrel=1e-12, limit=200)[0]
                reach = min(b[0], 9 * s[0])
                return integrate.quad(
                    lambda a: stats.norm.pdf(a / s[0]) / s[0] * inner(a), -reach, reach, epsabs=1e-12, epsrel=1e-11, limit=200
                )[0]
            raise ValueError("three looks at most")

        z.append(float(optimize.brentq(lambda edge: (1 - spent[k]) - stays(edge), 0.5, 12, xtol=1e-11)))
    return {"information": information, "alpha": alpha, "levels": [float(2 * stats.norm.sf(edge)) for edge in z]}


def needed(t, freedom, n, alpha, level):
    tail = (1 - level) / 2
    at = lambda share: optimize.brentq(lambda d: stats.nct.cdf(t, freedom, d) - share, t - 12, t + 14, xtol=1e-12)
    per_run = freedom / (n - 1)

    def runs(noncentrality):
        if noncentrality <= 0:
            return None
        effect = noncentrality / np.sqrt(n)
        for k in range(2, 1_000_000):
            f = (k - 1) * per_run
            if stats.nct.sf(stats.t.ppf(1 - alpha / 2, f), f, effect * np.sqrt(k)) >= 0.8:
                return k
            if k > 3000:
                return -1
        return None

    return {
        "t": t, "freedom": freedom, "n": n, "alpha": alpha, "level": level,
        "runs": [runs(at(tail)), runs(at(1 - tail))],
    }


def within():
    """Correlation of what is left when each group's mean is taken out: partial correlation, by least squares."""
    groups = [4, 5, 3, 6]
    label = np.repeat(np.arange(len(groups)), groups)
    x = np.array(drawn(rng.normal(size=len(label)) + 5 * label))
    y = np.array(drawn(0.6 * x + rng.normal(size=len(label)) - 8 * label))
    dummies = (label[:, None] == np.arange(len(groups))).astype(float)
    design = np.column_stack([dummies, x])
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ coefficients
    freedom = len(y) - design.shape[1]
    error = np.sqrt(residual @ residual / freedom * np.linalg.inv(design.T @ design)[-1, -1])
    centred = lambda v: v - dummies @ (dummies.T @ v / np.array(groups))
    cx, cy = centred(x), centred(y)
    r = float(cx @ cy / np.sqrt((cx @ cx) * (cy @ cy)))
    # Fisher: a partial correlation has the distribution of one of as many fewer pairs
    se = 1 / np.sqrt(len(y) - (len(groups) - 1) - 3)
    z = stats.norm.ppf(0.975) * se
    return {
        "x": list(cx), "y": list(cy), "groups": len(groups), "value": r,
        "p_of_none": float(2 * stats.t.sf(abs(coefficients[-1] / error), freedom)),
        "p_against_half": float(2 * stats.norm.sf(abs(np.arctanh(r) - np.arctanh(0.5)) / se)),
        "ci95": [float(np.tanh(np.arctanh(r) - z)), float(np.tanh(np.arctanh(r) + z))],
    }


SHIFTED = [
    ([98.1, 97.5, 98.9, 98.3, 97.93], [93.2, 94.8, 92.9, 94.1, 93.7]),
    ([98.7, 99.1, 97.2, 103.9], [97.01, 99.63, 98.85, 101.27, 96.1, 95.2]),
    ([1.5, 2.75], [0.4, 0.61, 3.02]),
    (drawn(rng.normal(100, 5, 9)), drawn(rng.normal(97, 5, 9))),
    (drawn(rng.lognormal(1, 1, 20)), drawn(rng.lognormal(1.2, 1, 20))),
    (drawn(rng.normal(3, 1, 3)), drawn(rng.normal(2, 1, 150))),
    (drawn(rng.normal(2, 1, 150)), drawn(rng.normal(3, 1, 3))),
]

json.dump(
    {
        "versions": {"python": sys.version.split()[0], "numpy": np.__version__, "scipy": scipy.__version__},
        "spread": {name: spread(values) for name, values in SAMPLES.items()},
        "spread_ratio": [
            spread_ratio(SAMPLES[x], SAMPLES[y])
            for x, y in (("three", "runs"), ("runs", "far"), ("far", "normal"), ("heavy", "uniform"), ("uniform", "heavy"))
        ],
        "normality": normality(),
        "lognormal": {
            name: lognormal_mean(SAMPLES[name]) for name in ("pair", "three", "runs", "far", "lognormal", "two_clusters")
        },
        "shift": [shifts(x, y) for x, y in SHIFTED],
        "large_shift": [large_shift(40, 30), large_shift(200, 15)],
        # Lan & DeMets: five equal looks at 5 %, as published, to four digits
        "published_looks": [4.8769, 3.3569, 2.6803, 2.2898, 2.0310],
        "looks": [
            looks([1.0], 0.05), looks([0.5, 1.0], 0.05), looks([0.3, 1.0], 0.01),
            looks([0.3, 0.5, 1.0], 0.05), looks([0.15, 0.9, 1.0], 0.1),
        ],
        "needed": [
            needed(t, freedom, n, alpha, level)
            for t, freedom, n, alpha, level in (
                (4.0, 4, 5, 0.05, 0.95), (6.5, 9, 10, 0.05, 0.95), (2.9, 8, 5, 0.05, 0.8),
                (12.0, 2, 3, 0.05, 0.8), (1.0, 9, 10, 0.05, 0.95), (5.0, 13.7, 8, 0.01, 0.9),
            )
        ],
        "within": within(),
    },
    sys.stdout,
    indent=1,
)
print()
