#!/usr/bin/env python3
"""Records what torch.optim.lr_scheduler says: core/tests/schedules.json.

    python3 tests/reference/schedules.py > core/tests/schedules.json

Needs torch. A case holds fields of a recipe, and for each step of a trial with 3 steps an epoch the
rate and the momentum (null when the schedule leaves it alone). `core/tests/schedules.rs` reads the file.
"""
import json

import torch
from torch.optim import lr_scheduler as s

LR, EPOCHS, STEPS = 0.1, 25, 3
# Validation losses of the plateau cases: falling, stuck, a little better, stuck, falling.
LOSSES = [1.0, 0.9, 0.8, 0.8, 0.79999, 0.81, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.71] + [0.6] * 8 + [0.5, 0.4, 0.3]


def trace(per_epoch=lambda _: [], per_step=lambda _: [], cycles=False):
    """Rates of every step, with schedulers that move per epoch and such that move per step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR, momentum=0.9)
    by_epoch, by_step = per_epoch(optimizer), per_step(optimizer)
    rows = []
    for epoch in range(EPOCHS):
        for _ in range(STEPS):
            group = optimizer.param_groups[0]
            rows.append([group["lr"], group["momentum"] if cycles else None])
            optimizer.step()
            for scheduler in by_step:
                scheduler.step()
        for scheduler in by_epoch:
            plateau = isinstance(scheduler, s.ReduceLROnPlateau)
            scheduler.step(LOSSES[epoch] if plateau else None) if plateau else scheduler.step()
    return rows


def main():
    warm = lambda o: s.LinearLR(o, start_factor=0.1, total_iters=4)
    total = EPOCHS * STEPS
    cases = [
        ({}, trace()),
        ({"schedule": {"step": {}}}, trace(lambda o: [s.StepLR(o, 7)])),
        ({"schedule": {"step": {"step_size": 3, "gamma": 0.5}}}, trace(lambda o: [s.StepLR(o, 3, 0.5)])),
        (
            {"schedule": {"multi-step": {"milestones": [2, 5, 19], "gamma": 0.3}}},
            trace(lambda o: [s.MultiStepLR(o, [2, 5, 19], 0.3)]),
        ),
        ({"schedule": {"cosine": {}}}, trace(lambda o: [s.CosineAnnealingLR(o, EPOCHS)])),
        (
            {"schedule": {"cosine": {"t_max": 10, "min_lr": 0.01}}},
            trace(lambda o: [s.CosineAnnealingLR(o, 10, 0.01)]),
        ),
        (
            {"schedule": {"cosine-restarts": {"t_0": 4, "min_lr": 0.001}}},
            trace(lambda o: [s.CosineAnnealingWarmRestarts(o, 4, 1, 0.001)]),
        ),
        (
            {"schedule": {"cosine-restarts": {"t_0": 3, "t_mult": 2}}},
            trace(lambda o: [s.CosineAnnealingWarmRestarts(o, 3, 2)]),
        ),
        ({"schedule": {"one-cycle": {}}}, trace(per_step=lambda o: [s.OneCycleLR(o, LR, total)], cycles=True)),
        (
            {
                "schedule": {
                    "one-cycle": {
                        "pct_start": 0.25, "div_factor": 10.0, "final_div_factor": 100.0,
                        "base_momentum": 0.8, "max_momentum": 0.9,
                    }
                }
            },
            trace(
                per_step=lambda o: [
                    s.OneCycleLR(
                        o, LR, total, pct_start=0.25, div_factor=10, final_div_factor=100,
                        base_momentum=0.8, max_momentum=0.9,
                    )
                ],
                cycles=True,
            ),
        ),
        (
            {"schedule": {"one-cycle": {"cycle_momentum": False}}},
            trace(per_step=lambda o: [s.OneCycleLR(o, LR, total, cycle_momentum=False)]),
        ),
        ({"warmup": {"epochs": 5}}, trace(lambda o: [s.LinearLR(o, total_iters=5)])),
        ({"warmup": {"steps": 4, "start_factor": 0.1}}, trace(per_step=lambda o: [warm(o)])),
        (
            {"schedule": {"step": {"step_size": 3}}, "warmup": {"epochs": 4, "start_factor": 0.1}},
            trace(lambda o: [s.ChainedScheduler([warm(o), s.StepLR(o, 3)])]),
        ),
        (
            {"schedule": {"cosine": {"t_max": 10}}, "warmup": {"epochs": 4, "start_factor": 0.1}},
            trace(lambda o: [s.ChainedScheduler([warm(o), s.CosineAnnealingLR(o, 10)])]),
        ),
        ({"schedule": {"plateau": {"patience": 1}}}, trace(lambda o: [s.ReduceLROnPlateau(o, patience=1)])),
        (
            {"schedule": {"plateau": {"factor": 0.5, "patience": 2, "threshold": 0.01, "min_lr": 0.03}}},
            trace(lambda o: [s.ReduceLROnPlateau(o, factor=0.5, patience=2, threshold=0.01, min_lr=0.03)]),
        ),
    ]
    text = {
        "torch": torch.__version__,
        "lr": LR,
        "epochs": EPOCHS,
        "steps_per_epoch": STEPS,
        "losses": LOSSES,
        "cases": [{"recipe": fields, "steps": rows} for fields, rows in cases],
    }
    print(json.dumps(text).replace("]], ", "]],\n").replace("}, {", "},\n{"))


if __name__ == "__main__":
    main()
