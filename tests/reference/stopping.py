#!/usr/bin/env python3
"""Records what other programs decide about a table of learning curves.

    pip install optuna==5.* "ray[tune]==2.*"
    python3 tests/reference/stopping.py core/tests/stopping/curves.json core/tests/stopping/decisions.json

The first file is made (200 configurations x 27 epochs from a fixed seed), the second is what Optuna's pruners and
Ray Tune's schedulers decide when W workers go through the table: every tick each worker, in turn, reports one epoch of
its configuration; one that is stopped or at its end makes room for the next. Recorded is how many epochs each
configuration got, which is the whole set of decisions. `ray-median-of-completed` is Ray's rule with one method replaced, so that it
compares with those that ran to their end, as Vizier's does. `promotion` is Algorithm 2 of Li et al. (2020), written down from the
paper, because neither program has it.
"""
import json
import math
import random
import sys
from types import SimpleNamespace

CONFIGURATIONS, EPOCHS, ETA = 200, 27, 3


def table(seed):
    """Validation accuracies. Quality depends on the distance of two settings from their best values, as learning rate and
    decay do; good ones may be slow (small rate, or a schedule that pays late), some never leave chance, some
    diverge, some overfit. Validation on 500 images gives the noise its size: sqrt(p (1 - p) / 500)."""
    draw = random.Random(seed)
    curves = []
    for _ in range(CONFIGURATIONS):
        rate, decay, late = draw.uniform(-5, -1), draw.uniform(-6, -2), draw.random()
        quality = math.exp(-((rate + 2.8) / 0.9) ** 2 / 2) * math.exp(-((decay + 4) / 2.0) ** 2 / 2)
        top = 0.1 + 0.75 * quality * draw.uniform(0.92, 1.0)
        speed = max(1.0, 9.0 * 10 ** (-(rate + 3.4) / 2)) * draw.uniform(0.7, 1.4)
        diverges = rate > -1.5 and draw.random() < 0.5
        overfits = draw.uniform(0, 0.06) if decay < -5 else 0.0
        curve, wobble = [], 0.0
        for epoch in range(1, EPOCHS + 1):
            mean = 0.1 + (top - 0.1) * (1 - math.exp(-((epoch / speed) ** 0.8)))
            mean += late * 0.05 * quality / (1 + math.exp(-(epoch - 18) / 2)) - overfits * epoch / EPOCHS
            if diverges and epoch > 3:
                mean = 0.1
            mean = min(max(mean, 0.05), 0.98)
            wobble = 0.5 * wobble + draw.gauss(0, math.sqrt(mean * (1 - mean) / 500))
            curve.append(round(min(max(mean + wobble, 0.0), 1.0), 4))
        curves.append(curve)
    return curves


def replay(curves, workers, stops, ended=lambda configuration: None):
    """Epochs that each configuration got; `stops(configuration, epoch, value)` is asked after every epoch."""
    queue, running, spent = iter(range(len(curves))), [None] * workers, [0] * len(curves)
    while True:
        busy = False
        for worker in range(workers):
            if running[worker] is None:
                running[worker] = next(queue, None)
            configuration = running[worker]
            if configuration is None:
                continue
            busy = True
            spent[configuration] += 1
            epoch = spent[configuration]
            stopped = stops(configuration, epoch, curves[configuration][epoch - 1])
            if not stopped and epoch == EPOCHS:
                ended(configuration)
            if stopped or epoch == EPOCHS:
                running[worker] = next(queue, None)
        if not busy:
            return spent


def with_optuna(curves, workers, pruner):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", pruner=pruner, study_name="curves")
    trials = {}

    def stops(configuration, epoch, value):
        trial = trials.setdefault(configuration, None) or study.ask()
        trials[configuration] = trial
        trial.report(value, epoch)
        # At the last epoch there is nothing left to save.
        if epoch < EPOCHS and trial.should_prune():
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            return True
        return False

    spent = replay(curves, workers, stops, lambda c: study.tell(trials[c], curves[c][-1]))
    brackets = None
    if isinstance(pruner, optuna.pruners.HyperbandPruner):
        brackets = [pruner._get_bracket_id(study, study.trials[trials[c].number]) for c in range(len(curves))]
    return spent, brackets


def with_ray(curves, workers, scheduler):
    class Trial:
        status = "RUNNING"

        def __init__(self, number):
            self.trial_id = str(number)

    trials = {c: Trial(c) for c in range(len(curves))}
    started = set()
    controller = SimpleNamespace(get_trials=lambda: list(trials.values()), get_live_trials=lambda: set(trials.values()))

    def stops(configuration, epoch, value):
        trial = trials[configuration]
        if configuration not in started:
            started.add(configuration)
            scheduler.on_trial_add(controller, trial)
        result = {"training_iteration": epoch, "accuracy": value, "time_total_s": epoch}
        if epoch == EPOCHS:
            scheduler.on_trial_complete(controller, trial, result)
            return False
        return scheduler.on_trial_result(controller, trial, result) == "STOP"

    return replay(curves, workers, stops)


def with_rays_hyperband(curves, workers):
    """Epochs and brackets, in the order of Li et al. (0 begins at the first rung). Ray fills brackets one after the other, those that begin
    late first, band by band; nothing is restored from a checkpoint here, so a pause costs nothing."""
    from ray.tune.experiment import Trial as Status
    from ray.tune.schedulers import HyperBandScheduler

    class Trial:
        is_saving = False

        def __init__(self, number):
            self.trial_id, self.number, self.status = str(number), number, Status.PENDING

    trials, spent = [Trial(c) for c in range(len(curves))], [0] * len(curves)
    scheduler = HyperBandScheduler(time_attr="training_iteration", metric="accuracy", mode="max", max_t=EPOCHS, reduction_factor=ETA)

    def stop(trial):
        trial.status = Status.TERMINATED
        scheduler.on_trial_remove(controller, trial)

    controller = SimpleNamespace(stop_trial=stop)
    for trial in trials:
        scheduler.on_trial_add(controller, trial)
    rungs = round(math.log(EPOCHS, ETA))
    brackets = [rungs - scheduler._trial_info[trial][0]._halves for trial in trials]
    running = [None] * workers
    while True:
        busy = False
        for worker in range(workers):
            if running[worker] is None:
                running[worker] = scheduler.choose_trial_to_run(controller)
                if running[worker] is not None:
                    running[worker].status = Status.RUNNING
            trial = running[worker]
            if trial is None:
                continue
            busy = True
            spent[trial.number] += 1
            epoch = spent[trial.number]
            result = {"training_iteration": epoch, "accuracy": curves[trial.number][epoch - 1]}
            action = scheduler.on_trial_result(controller, trial, result)
            if action == "CONTINUE":
                continue
            running[worker] = None
            trial.status = Status.PAUSED
            if action == "STOP":
                trial.status = Status.TERMINATED
        if not busy:
            return spent, brackets


def median_of_completed():
    """Ray's rule as Vizier's paper has it: compared only with those that ran to their end."""
    from ray.tune.schedulers import MedianStoppingRule

    class OfCompleted(MedianStoppingRule):
        completed, looked_at = frozenset(), None

        def on_trial_result(self, controller, trial, result):
            self.looked_at = trial
            return super().on_trial_result(controller, trial, result)

        def on_trial_complete(self, controller, trial, result):
            super().on_trial_complete(controller, trial, result)
            self.completed |= {trial}

        def _trials_beyond_time(self, time):
            wanted = self.completed | {self.looked_at}
            return [trial for trial in super()._trials_beyond_time(time) if trial in wanted]

    return OfCompleted


def promotion(curves, workers):
    """Li et al. (2020), Algorithm 2: a free worker is given the best configuration that may be promoted, the
    highest rung first, or else a new one. Epochs each configuration got; the table is finite, so it ends when nothing is left."""
    rungs = [ETA**k for k in range(round(math.log(EPOCHS, ETA)))]
    arrived, promoted = [[] for _ in rungs], [set() for _ in rungs]
    fresh, spent = iter(range(len(curves))), [0] * len(curves)
    running = [None] * workers

    def get_job():
        for k in reversed(range(len(rungs))):
            ranked = sorted(arrived[k], key=lambda c: (-curves[c][rungs[k] - 1], c))
            for c in ranked[: len(ranked) // ETA]:
                if c not in promoted[k]:
                    promoted[k].add(c)
                    return c, k + 1
        c = next(fresh, None)
        return None if c is None else (c, 0)

    idle = [True] * workers
    while True:
        for worker in range(workers):
            if idle[worker]:
                running[worker] = get_job()
                idle[worker] = running[worker] is None
            if idle[worker]:
                continue
            c, k = running[worker]
            spent[c] += 1
            if spent[c] == (rungs[k] if k < len(rungs) else EPOCHS):
                if k < len(rungs):
                    arrived[k].append(c)
                # A worker that is free asks at once.
                running[worker] = get_job()
                idle[worker] = running[worker] is None
        if all(idle):
            return spent


def figures(curves, spent):
    best = max(max(curve) for curve in curves)
    found = max(max(curve[:epochs]) for curve, epochs in zip(curves, spent) if epochs)
    return sum(spent) / (len(curves) * EPOCHS), 100 * (best - found)


def main():
    import optuna
    import ray
    from ray.tune.schedulers import AsyncHyperBandScheduler, MedianStoppingRule

    curves = table(0)
    with open(sys.argv[1], "w") as out:
        rows = ",\n".join(json.dumps(curve, separators=(",", ":")) for curve in curves)
        out.write('{"metric":"val_accuracy","mode":"max","curves":[\n' + rows + "\n]}\n")
    cases = []
    for workers in (1, 8):
        pruners = {
            "optuna-median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5),
            "optuna-percentile-25": lambda: optuna.pruners.PercentilePruner(25.0, n_startup_trials=5, n_warmup_steps=3, interval_steps=2),
            "optuna-halving": lambda: optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=ETA),
            "optuna-hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS, reduction_factor=ETA),
        }
        for name, pruner in pruners.items():
            spent, brackets = with_optuna(curves, workers, pruner())
            case = {"by": name, "workers": workers, "epochs": spent}
            if brackets:
                case["brackets"] = brackets
            cases.append(case)
        common = dict(time_attr="training_iteration", metric="accuracy", mode="max")
        asha = AsyncHyperBandScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=ETA, brackets=1, **common)
        cases.append({"by": "ray-asha", "workers": workers, "epochs": with_ray(curves, workers, asha)})
        for name, rule in (("ray-median", MedianStoppingRule), ("ray-median-of-completed", median_of_completed())):
            median = rule(time_attr="training_iteration", metric="accuracy", mode="max", grace_period=1, min_samples_required=5)
            cases.append({"by": name, "workers": workers, "epochs": with_ray(curves, workers, median)})
        spent, brackets = with_rays_hyperband(curves, workers)
        cases.append({"by": "ray-hyperband", "workers": workers, "epochs": spent, "brackets": brackets})
        cases.append({"by": "paper-asha", "workers": workers, "epochs": promotion(curves, workers)})
    for case in cases:
        share, short = figures(curves, case["epochs"])
        print(f"{case['by']:22} {case['workers']} workers: {100 * share:5.1f} % of the epochs, {short:.2f} points short of the best")
    versions = {"optuna": optuna.__version__, "ray": ray.__version__}
    with open(sys.argv[2], "w") as out:
        rows = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
        out.write('{"versions":' + json.dumps(versions) + ',"cases":[\n' + rows + "\n]}\n")


if __name__ == "__main__":
    main()
