#!/usr/bin/env python3
"""Five ways to hurt a hyper-parameter search, done to Optuna. tests/it/breaks.rs does the same to this system.

    optuna_breaks.py [A B C D E]      all of them if none is named

A  `kill -9` of a worker in the middle of a trial with 60 reports, default settings; then a new worker
B  the same with a heartbeat of 1 s, a grace period of 2 s and RetryFailedTrialCallback
C  as B, but the worker is stopped (SIGSTOP) for 9 s while another one works, and goes on then (SIGCONT)
D  the journal file loses the last 20 bytes, as after a crash in the middle of an append; then it is opened four times
E  16 processes, 5 trials of 20 reports each, on one SQLite file

Prints one line of JSON for each. Needs optuna.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import warnings

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)
REPORTS = 60


def storage(kind, path):
    if kind == "journal":
        return JournalStorage(JournalFileBackend(path))
    if kind == "plain":
        return RDBStorage(f"sqlite:///{path}")
    retry = optuna.storages.RetryFailedTrialCallback()
    return RDBStorage(f"sqlite:///{path}", heartbeat_interval=1, grace_period=2, failed_trial_callback=retry)


def worker(kind, path, trials, reports, pause):
    def objective(trial):
        x = trial.suggest_float("x", -1, 1)
        for step in range(reports):
            trial.report(x * x + 1 / (step + 1), step)
            time.sleep(pause)
        return x * x

    study = optuna.create_study(storage=storage(kind, path), study_name="s", load_if_exists=True)
    study.optimize(objective, n_trials=trials)


def start(kind, path, trials, reports, pause):
    command = [sys.executable, __file__, "worker", kind, str(path), str(trials), str(reports), str(pause)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def last_line(process):
    _, words = process.communicate()
    return words.strip().splitlines()[-1][:120] if words.strip() else ""


def trials(kind, path):
    study = optuna.load_study(storage=storage(kind, path), study_name="s")
    return [{"number": t.number, "state": t.state.name, "reports": len(t.intermediate_values)} for t in study.trials]


def reported(kind, path, count):
    """Waits until the first trial has reported so often."""
    while True:
        try:
            if trials(kind, path)[0]["reports"] >= count:
                return
        except (KeyError, IndexError):
            pass
        time.sleep(0.1)


def killed(kind, folder):
    path = folder / "study.db"
    first = start(kind, path, 1, REPORTS, 0.1)
    reported(kind, path, 10)
    first.kill()
    first.wait()
    time.sleep(4)
    second = start(kind, path, 1, REPORTS, 0.02)
    words = last_line(second)
    return {"trials": trials(kind, path), "error": words}


def stopped(folder):
    path = folder / "study.db"
    first = start("heartbeat", path, 3, REPORTS, 0.1)
    reported("heartbeat", path, 10)
    first.send_signal(signal.SIGSTOP)
    time.sleep(4)
    second = start("heartbeat", path, 2, 20, 0.02)
    time.sleep(5)
    first.send_signal(signal.SIGCONT)
    words = [last_line(first), last_line(second)]
    ends = [first.returncode, second.returncode]
    return {"exit codes": ends, "errors": words, "trials": trials("heartbeat", path)}


def torn(folder):
    path = folder / "journal.log"
    start("journal", path, 5, 5, 0).wait()
    os.truncate(path, path.stat().st_size - 20)
    return {"restarts": [last_line(start("journal", path, 1, 5, 0)) or "fine" for _ in range(4)]}


def many(folder):
    path = folder / "study.db"
    optuna.create_study(storage=storage("plain", path), study_name="s")
    begin = time.monotonic()
    workers = [start("plain", path, 5, 20, 0) for _ in range(16)]
    words = [last_line(one) for one in workers]
    states = [trial["state"] for trial in trials("plain", path)]
    return {
        "seconds": round(time.monotonic() - begin, 1),
        "complete": states.count("COMPLETE"),
        "of": 80,
        "processes that died": sum(one.returncode != 0 for one in workers),
        "errors": sorted({word for word in words if word}),
    }


def main():
    if sys.argv[1:2] == ["worker"]:
        kind, path, count, reports, pause = sys.argv[2:]
        return worker(kind, path, int(count), int(reports), float(pause))
    tests = {
        "A": lambda folder: killed("plain", folder),
        "B": lambda folder: killed("heartbeat", folder),
        "C": stopped,
        "D": torn,
        "E": many,
    }
    for name in sys.argv[1:] or tests:
        with tempfile.TemporaryDirectory() as folder:
            found = tests[name](pathlib.Path(folder))
        print(json.dumps({"test": name, "optuna": optuna.__version__, **found}), flush=True)


if __name__ == "__main__":
    main()
