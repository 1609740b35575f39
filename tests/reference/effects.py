#!/usr/bin/env python3
"""Records what SciPy and statsmodels say: core/tests/statistics.json.

    python3 tests/reference/effects.py > core/tests/statistics.json

Needs numpy, pandas, scipy and statsmodels. `core/tests/statistics.rs` compares the report's statistics with these numbers.
"""
import json
import math

import numpy as np
import pandas
from scipy import special, stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

MASK = 2**64 - 1


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def bootstrap(values, alpha=0.05, resamples=10_000):
    """The same stream as core/src/stats/bootstrap.rs, the quantiles by NumPy."""
    n = len(values)
    state = n
    for bits in np.array(values).view(np.uint64):
        state = mix(state ^ int(bits))
    means = []
    for _ in range(resamples):
        total = 0.0
        for _ in range(n):
            state = (state + 0x9E3779B97F4A7C15) & MASK
            total += values[(mix(state) * n) >> 64]
        means.append(total / n)
    return list(np.quantile(means, [alpha / 2, 1 - alpha / 2]))


def bootstrap_scipy(values):
    # float64 resampling of another generator: agrees up to the noise of 10,000 draws.
    found = stats.bootstrap((values,), np.mean, n_resamples=10_000, method="percentile", rng=1)
    return list(found.confidence_interval)


def sample(values):
    n, mean, sd = len(values), np.mean(values), np.std(values, ddof=1)
    low, high = stats.t.interval(0.95, n - 1, loc=mean, scale=sd / math.sqrt(n))
    return {"values": values, "mean": mean, "sd": sd, "low": low, "high": high,
            "bootstrap": bootstrap(values), "bootstrap_scipy": bootstrap_scipy(values)}


def power(d_z, n):
    """TTestPower's, which is not a number where SciPy has none for the side that is next to nothing."""
    t = stats.t.isf(0.025, n - 1)
    ours = stats.nct.sf(t, n - 1, d_z * math.sqrt(n)) + np.nan_to_num(stats.nct.cdf(-t, n - 1, d_z * math.sqrt(n)))
    theirs = TTestPower().power(d_z, n, 0.05)
    assert not np.isfinite(theirs) or abs(ours - theirs) < 1e-12, (d_z, n, ours, theirs)
    return ours


def paired(a, b):
    test = stats.ttest_rel(b, a)
    interval = test.confidence_interval(0.95)
    d = np.array(b) - np.array(a)
    d_z = d.mean() / d.std(ddof=1)
    df = len(d) - 1
    g = d_z * math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2) if df > 1 else None
    needed = next((n for n in range(2, 10_001) if power(abs(d_z), n) >= 0.8), None)
    return {"a": a, "b": b, "mean": d.mean(), "sd": d.std(ddof=1), "t": test.statistic, "p": test.pvalue, "df": df,
            "low": interval.low, "high": interval.high, "d_z": d_z, "g_z": g,
            "needed": needed}


def t_test(d):
    """A one-sample test of differences, as the report's `Difference`, without what needs the rest of the table."""
    test = stats.ttest_1samp(d, 0.0)
    interval = test.confidence_interval(0.95)
    return {"mean": d.mean(), "low": interval.low, "high": interval.high, "p": test.pvalue}


def with_holm(rows):
    for row, adjusted in zip(rows, multipletests([row["p"] for row in rows], method="holm")[1]):
        row["p_holm"] = adjusted
    return rows


def study(rng):
    """A grid of 2 x 3 x 2 points with 4 seeds whose factors have effects and interact, and its analysis."""
    rows = []
    for a in ("a0", "a1"):
        for b in ("b0", "b1", "b2"):
            for c in ("c0", "c1"):
                for seed in range(4):
                    y = 0.7 + 0.02 * (a == "a1") + 0.01 * (b == "b1") - 0.05 * (b == "b2") * (a == "a1")
                    rows.append([a, b, c, seed, round(y + 0.01 * seed + float(rng.normal(0, 0.006)), 5)])
    t = pandas.DataFrame(rows, columns=["a", "b", "c", "seed", "y"])
    mains = []
    for f in "abc":
        by = t.pivot_table(index="seed", columns=f, values="y")
        for level in by.columns[1:]:
            mains.append({"factor": f, "level": level, **t_test((by[level] - by[by.columns[0]]).to_numpy())})
    contrasts = []
    for f, g in (("a", "b"), ("a", "c"), ("b", "c")):
        by = t.pivot_table(index="seed", columns=[f, g], values="y")
        for x in sorted(t[f].unique())[1:]:
            for y in sorted(t[g].unique())[1:]:
                d = by[x, y] - by[x, g + "0"] - by[f + "0", y] + by[f + "0", g + "0"]
                contrasts.append({"factors": f + g, "row": x, "column": y, **t_test(d.to_numpy())})
    points = t.pivot_table(index="seed", columns=["a", "b", "c"], values="y")
    against = [{"point": list(p), **t_test((points[p] - points[points.columns[0]]).to_numpy())} for p in points.columns[1:]]
    means = t.groupby(["a", "b", "c"], as_index=False).y.mean()
    squares = anova_lm(ols("y ~ C(a) * C(b) * C(c)", means).fit()).sum_sq
    shares = {"".join(x for x in name if x in "abc"): value / squares.drop("Residual").sum()
              for name, value in squares.items() if name != "Residual" and name.count(":") < 2}
    return {"rows": rows, "mains": with_holm(mains), "contrasts": with_holm(contrasts), "against": with_holm(against),
            "shares": shares}


rng = np.random.default_rng(20261121)
rounded = lambda x: [round(float(v), 4) for v in x]
pairs = []
for n in (2, 3, 4, 5, 8, 12, 30):
    for shift in (0.0, 0.004, 0.02, 0.1):
        a = rng.normal(0.8, 0.02, n)
        pairs.append(paired(rounded(a), rounded(a + shift + rng.normal(0, 0.01, n))))
print(json.dumps({
    "two_sided": [[t, df, float(2 * stats.t.sf(t, df))] for df in (1, 2, 3, 4, 9, 29, 200, 9999)
                  for t in (0.0, 0.01, 0.5, 1.0, 2.0, 4.3, 12.7, 60.0, 1e4)],
    "critical": [[alpha, df, float(stats.t.isf(alpha / 2, df))] for df in (1, 2, 3, 4, 7, 29, 120, 9999)
                 for alpha in (0.5, 0.1, 0.05, 0.01, 1e-4)],
    "noncentral": [[t, df, delta, float(stats.nct.cdf(t, df, delta))] for df in (1, 2, 4, 9, 99)
                   for delta in (-3.0, 0.0, 0.3, 1.7, 2.8, 8.0) for t in (-4.0, -1.0, 0.5, 2.1, 4.3, 12.7)
                   # SciPy has no answer (NaN) to some that are next to nothing.
                   if np.isfinite(stats.nct.cdf(t, df, delta))],
    "power": [[d, n, float(TTestPower().power(d, n, 0.05))] for n in (2, 3, 5, 10, 50) for d in (0.1, 0.5, 1.0, 2.5)],
    "samples": [sample(rounded(rng.normal(0.7, 0.05, n))) for n in (2, 3, 5, 10)],
    "pairs": pairs,
    "holm": [{"p": p, "adjusted": list(multipletests(p, method="holm")[1])} for p in
             ([0.01, 0.04, 0.03], [0.5], [0.001, 0.001, 0.9, 0.2, 0.02], [0.04, 0.04, 0.04, 0.04], [1.0, 0.6])],
    "study": study(rng),
}, default=float, indent=0))
