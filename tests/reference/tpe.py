#!/usr/bin/env python3
"""Records how far Optuna's TPESampler and random search get on toy functions.

    pip install optuna==5.*
    python3 tests/reference/tpe.py > core/tests/search/tpe.json

For each function the best values after 30 and after 80 trials, the median of 25 seeds.
"""
import json
import math
import statistics

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def sphere(t):
    return -sum((t.suggest_float(f"x{i}", -5, 5) - 1) ** 2 for i in range(3))


def branin(t):
    x, y = t.suggest_float("x", -5, 10), t.suggest_float("y", 0, 15)
    a = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return -(a**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def network(t):
    """Shaped like a sweep: a learning rate that matters, a depth, an optimizer, a setting that does nothing."""
    rate = t.suggest_float("rate", 1e-6, 1.0, log=True)
    depth = t.suggest_int("depth", 1, 12)
    kind = t.suggest_categorical("kind", [0, 1, 2, 3])
    t.suggest_float("nothing", 0, 1)
    return 1 - 0.05 * (math.log10(rate) + 3) ** 2 - 0.005 * (depth - 8) ** 2 - [0.1, 0.0, 0.15, 0.05][kind]


out = {}
for function in (sphere, branin, network):
    for name, sampler in (("tpe", optuna.samplers.TPESampler), ("random", optuna.samplers.RandomSampler)):
        runs = []
        for seed in range(25):
            study = optuna.create_study(direction="maximize", sampler=sampler(seed=seed))
            study.optimize(function, n_trials=80)
            values = [trial.value for trial in study.trials]
            runs.append((max(values[:30]), max(values)))
        out[f"{function.__name__} {name}"] = [round(statistics.median(run[i] for run in runs), 5) for i in (0, 1)]
print(json.dumps(out, indent=1))
