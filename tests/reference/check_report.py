#!/usr/bin/env python3
"""Works a report out again from its rows of trials, by SciPy, and compares every number.

    sweepctl report SWEEP -o trials.parquet
    sweepctl report SWEEP -o report.json
    python3 tests/reference/check_report.py trials.parquet report.json

`trials.parquet` may also be `--csv --rows trials`. Needs numpy, pandas, scipy and statsmodels, and pyarrow for Parquet. Says how many
numbers it compared and how far the worst is off (relative to its size, or absolute below 1); ends with 1 beyond 1e-9.
"""
import itertools
import json
import math
import sys

import numpy as np
import pandas
from scipy import integrate, special, stats
from statsmodels.stats.multitest import multipletests

FIXED = {"trial", "point", "baseline", "seed", "phase", "epochs", "best_epoch", "val_accuracy", "val_loss", "train_accuracy",
         "train_loss", "test_accuracy", "test_loss", "weights", "origin", "lowest_val_loss", "has_result", "slot_seconds", "kwh", "run_seconds", "run_kwh", "wasted_seconds",
         "wasted_kwh", "probe"}
SETTING = "setting."
# What is left of accuracies (0 to 1) where they cancel.
ROUNDING = 1e-12
worst, compared = (0.0, ""), 0


def same(found, expected, what):
    global worst, compared
    compared += 1
    if expected is None or found is None:
        assert found is None and expected is None, f"{what}: {found} is not {expected}"
        return
    off = abs(found - expected) / max(1.0, abs(expected))
    assert not math.isnan(off), f"{what}: {found} is not {expected}"
    worst = max(worst, (off, what))


def estimate(found, values, what):
    n = len(values)
    same(found["n"], n, what)
    same(found["mean"], float(np.mean(values)) if n else None, what + " mean")
    if n > 1:
        # Runs that all end alike have no width; SciPy calls that no number.
        half = stats.t.ppf(0.975, n - 1) * stats.sem(values)
        low, high = np.mean(values) - half, np.mean(values) + half
        for key, value in (("sd", np.std(values, ddof=1)), ("low", low), ("high", high)):
            same(found[key], float(value), f"{what} {key}")


def difference(found, values, what):
    values = np.asarray(values)
    estimate(found, values, what)
    if len(values) < 2 or np.all(np.abs(values - values.mean()) <= ROUNDING * max(1.0, np.abs(values).max())):
        assert found["p"] is None and found["needed"] is None, what
        return
    test, d_z, df = stats.ttest_1samp(values, 0.0), values.mean() / values.std(ddof=1), len(values) - 1
    same(found["t"], test.statistic, what + " t")
    same(found["p"], test.pvalue, what + " p")
    same(found["d_z"], d_z, what + " d_z")
    if df > 1:
        j = math.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / math.sqrt(df / 2)
        same(found["g_z"], d_z * j, what + " g_z")


def power(d_z, n, alpha):
    # The non-central t distribution by its definition: SciPy's own is no number far from its middle.
    df, delta = n - 1, min(abs(d_z), 50.0) * math.sqrt(n)
    t = stats.t.isf(alpha / 2, df)

    def at(s):
        density = stats.chi.pdf(s * math.sqrt(df), df) * math.sqrt(df)
        return (stats.norm.sf(t * s - delta) + stats.norm.cdf(-t * s - delta)) * density

    return sum(integrate.quad(at, low, high, limit=500, epsabs=1e-12)[0] for low, high in ((0, 1), (1, 10)))


def holm(rows, what):
    # A comparison without a spread has no p-value and counts as one with p = 1; a single run is no comparison.
    rows = [row for row in rows if row and row["n"] > 1]
    if rows:
        for row, adjusted in zip(rows, multipletests([1.0 if row["p"] is None else row["p"] for row in rows], method="holm")[1]):
            if row["p"] is None:
                assert row["p_holm"] is None and row["verdict"] == ("unknown" if row["mean"] else "tie"), what
                continue
            same(row["p_holm"], adjusted, what + " Holm")
            word = "tie" if adjusted >= 0.05 else "better" if row["mean"] > 0 else "worse"
            assert row["verdict"] == word, what
            # Bonferroni's level, which is that of Holm's first step.
            needed, alpha = row["needed"], 0.05 / len(rows)
            if needed is not None:
                enough = power(row["d_z"], needed, alpha) > 0.8 - 1e-6
                assert enough and (needed == 2 or power(row["d_z"], needed - 1, alpha) < 0.8 + 1e-6), what + " seeds needed"


def main(rows, report):
    table = pandas.read_parquet(rows) if rows.endswith(".parquet") else pandas.read_csv(rows, dtype=str)
    # The column of each setting: called like its path, unless another column is.
    paths = {}
    for name in table.columns:
        if name not in FIXED:
            path = name
            while path.startswith(SETTING):
                path = path.removeprefix(SETTING)
            paths[path] = name
    for name in ("point", "seed", "val_accuracy", "slot_seconds", "run_seconds", "wasted_seconds"):
        table[name] = pandas.to_numeric(table[name])
    table["has_result"] = table.has_result.astype(str).str.lower() == "true"
    columns = list(paths.values())
    table[columns] = table[columns].astype(str)
    with open(report, encoding="utf-8") as file:
        report = json.load(file)
    analysis = report["analysis"]
    assert analysis["interval"] == "t", "this program knows t intervals"
    # Those that a budget ended have a result, too.
    done = table[table.has_result]
    fronts = {found["cost"]: {trade["point"]: trade["cost"] for trade in found["points"]} for found in analysis["pareto"]}
    for point, rows in table.groupby("point"):
        cost = next(row["cost"] for row in report["points"] if row["point"] == point)
        same(cost["slot_seconds"], rows.slot_seconds.sum(), f"time of point {point}")
        same(cost["wasted_seconds"], rows.wasted_seconds.sum(), f"wasted time of point {point}")
        run = rows[rows.has_result].run_seconds
        if len(run):
            same(cost["run_seconds"], run.mean(), f"time of a run of point {point}")
            epochs = pandas.to_numeric(rows[rows.has_result].epochs).sum()
            same(cost["seconds_per_epoch"], run.sum() / epochs, f"time of an epoch of point {point}")
            # Trials of which some energy is not known have none here.
            drawn = pandas.to_numeric(rows[rows.has_result].run_kwh).dropna()
            expected = drawn.sum() * 3.6e6 / run[drawn.index].sum() if len(drawn) else None
            same(cost["watts"], expected, f"power of point {point}")
        if point in fronts.get("device_hours", {}):
            same(fronts["device_hours"][point], run.mean() / 3600, f"price of point {point}")
    by = {point: rows.set_index("seed").val_accuracy for point, rows in done.groupby("point")}
    baseline = next((row["point"] for row in report["points"] if row["baseline"]), None)
    best = report["points"][0]["point"]
    for row in analysis["points"]:
        point = row["point"]
        if point not in by:
            continue
        estimate(row["accuracy"], by[point].to_numpy(), f"point {point}")
        for key, other in (("against_baseline", baseline), ("against_best", best)):
            if row[key]:
                difference(row[key], (by[point] - by[other]).dropna(), f"point {point} {key}")
    for key in ("against_baseline", "against_best"):
        holm([row[key] for row in analysis["points"]], key)
    # In any design the accuracies of an effect differ by what it says.
    for factor in analysis["factors"]:
        for level in factor["levels"]:
            if level["difference"]:
                shown = level["accuracy"]["mean"] - level["reference_accuracy"]["mean"]
                same(shown, level["difference"]["mean"], f"accuracies of {factor['factor']}={level['level']}")
    # What follows needs a whole grid, in which marginal means can be taken without further thought.
    whole = len(done) == len(table)
    factors = [factor["factor"] for factor in analysis["factors"]]
    if whole and all(factor in paths for factor in factors):
        grid = math.prod(done[paths[factor]].nunique() for factor in factors) == done.point.nunique()
        for factor in analysis["factors"] if grid else []:
            by = done.pivot_table(index="seed", columns=paths[factor["factor"]], values="val_accuracy")
            for level in factor["levels"]:
                estimate(level["accuracy"], by[level["level"]].to_numpy(), f"{factor['factor']}={level['level']}")
                if level["difference"]:
                    what = f"effect of {factor['factor']}={level['level']}"
                    difference(level["difference"], by[level["level"]] - by[factor["reference"]], what)
        holm([level["difference"] for factor in analysis["factors"] for level in factor["levels"]], "main effects")
        references = {factor["factor"]: factor["reference"] for factor in analysis["factors"]}
        for pair in analysis["interactions"]:
            a, b = pair["factors"]
            by = done.pivot_table(index="seed", columns=[paths[a], paths[b]], values="val_accuracy")
            for (x, y), mean in zip(itertools.product(pair["rows"], pair["columns"]), itertools.chain(*pair["means"])):
                same(mean, by[x, y].mean(), f"mean of {a}={x}, {b}={y}")
            for row in pair["contrasts"]:
                x, y = row["row"], row["column"]
                d = by[x, y] - by[x, references[b]] - by[references[a], y] + by[references[a], references[b]]
                difference(row["difference"], d, f"interaction of {a}={x} and {b}={y}")
        holm([row["difference"] for pair in analysis["interactions"] for row in pair["contrasts"]], "interactions")
        # Shares are over the seeds that all points have.
        if grid and len(done) == done.point.nunique() * done.seed.nunique():
            means = done.groupby("point").agg({**{paths[factor]: "first" for factor in factors}, "val_accuracy": "mean"})
            total = ((means.val_accuracy - means.val_accuracy.mean()) ** 2).sum()
            squares = lambda names: ((means.groupby(names).val_accuracy.transform("mean") - means.val_accuracy.mean()) ** 2).sum()
            for share in analysis["importance"]["shares"]:
                names = [paths[factor] for factor in share["factors"]]
                expected = squares(names) - (sum(squares([name]) for name in names) if len(names) > 1 else 0)
                expected = max(0.0, expected / total) if total > len(means) * ROUNDING**2 else 0.0
                same(share["share"], expected, "importance of " + " x ".join(names))
    print(f"{compared} numbers compared, the worst is off by {worst[0]:.2e} ({worst[1]})")
    return int(worst[0] > 1e-9)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
