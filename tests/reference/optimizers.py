#!/usr/bin/env python3
"""Records what torch.optim's rules make of fixed gradients: trainer/tests/fixtures/optimizers.json.

    python3 tests/reference/optimizers.py > trainer/tests/fixtures/optimizers.json

Needs torch. Two weights are trained for 100 steps in float32: `weight` (2 x 3) and `bias` (2). A case
holds the options of a sweep file, and both weights (flat, one after the other) after some of the steps.
`trainer/tests/optimizers.rs` reads the file.
"""
import json

import torch

STEPS, LR = 100, 0.01
AFTER = [1, 2, 3, 4, 5, 6, 7, 10, 20, 50, 100]
START = [[[0.5, -0.25, 0.125], [0.75, -0.375, 0.0625]], [0.25, -0.5]]


def gradients():
    """Random ones of very different sizes, some exactly zero."""
    random = torch.Generator().manual_seed(3)
    draw = torch.randn(STEPS, 8, generator=random) * torch.tensor([1, 0.1, 0.01, 3, 0.3, 1e-4, 0.5, 0.05])
    draw[::7, 2] = 0
    return draw


def train(make, draw):
    weight, bias = (torch.tensor(values, requires_grad=True) for values in START)
    optimizer = make(weight, bias)
    after = []
    for step, gradient in enumerate(draw, 1):
        weight.grad, bias.grad = gradient[:6].reshape(2, 3).clone(), gradient[6:].clone()
        optimizer.step()
        if step in AFTER:
            after.append(torch.cat([weight.detach().flatten(), bias.detach()]).tolist())
    return after


def both(rule, **options):
    return lambda weight, bias: rule([weight, bias], lr=LR, **options)


def weights_only(rule, decay, **options):
    """No decay of one-dimensional weights: two groups."""
    groups = lambda weight, bias: [{"params": [weight], "weight_decay": decay}, {"params": [bias], "weight_decay": 0.0}]
    return lambda weight, bias: rule(groups(weight, bias), lr=LR, **options)


def main():
    o = torch.optim
    spare = {"decay_norm_bias": False}
    cases = [
        ({"sgd": {"momentum": 0.0}}, both(o.SGD)),
        ({"sgd": {}}, both(o.SGD, momentum=0.9)),
        ({"sgd": {"weight_decay": 0.05}}, both(o.SGD, momentum=0.9, weight_decay=0.05)),
        ({"sgd": {"nesterov": True}}, both(o.SGD, momentum=0.9, nesterov=True)),
        ({"sgd": {"weight_decay": 0.5, **spare}}, weights_only(o.SGD, 0.5, momentum=0.9)),
        ({"adam": {}}, both(o.Adam)),
        ({"adam": {"weight_decay": 0.1}}, both(o.Adam, weight_decay=0.1)),
        ({"adam": {"beta1": 0.8, "beta2": 0.99, "eps": 1e-3}}, both(o.Adam, betas=(0.8, 0.99), eps=1e-3)),
        ({"adam": {"weight_decay": 0.5, **spare}}, weights_only(o.Adam, 0.5)),
        ({"adamw": {}}, both(o.AdamW)),
        ({"adamw": {"weight_decay": 0.3}}, both(o.AdamW, weight_decay=0.3)),
        ({"adamw": {"weight_decay": 0.3, **spare}}, weights_only(o.AdamW, 0.3)),
        ({"radam": {}}, both(o.RAdam)),
        ({"radam": {"weight_decay": 0.1}}, both(o.RAdam, weight_decay=0.1)),
        (
            {"radam": {"weight_decay": 0.1, "decoupled": True}},
            both(o.RAdam, weight_decay=0.1, decoupled_weight_decay=True),
        ),
        ({"radam": {"beta1": 0.8, "beta2": 0.99, "eps": 1e-3}}, both(o.RAdam, betas=(0.8, 0.99), eps=1e-3)),
        ({"radam": {"beta2": 0.5}}, both(o.RAdam, betas=(0.9, 0.5))),
        ({"radam": {"weight_decay": 0.5, **spare}}, weights_only(o.RAdam, 0.5)),
        ({"rmsprop": {}}, both(o.RMSprop)),
        ({"rmsprop": {"alpha": 0.9, "eps": 1e-3}}, both(o.RMSprop, alpha=0.9, eps=1e-3)),
        ({"rmsprop": {"momentum": 0.9}}, both(o.RMSprop, momentum=0.9)),
        ({"rmsprop": {"centered": True}}, both(o.RMSprop, centered=True)),
        (
            {"rmsprop": {"momentum": 0.5, "centered": True, "weight_decay": 0.1}},
            both(o.RMSprop, momentum=0.5, centered=True, weight_decay=0.1),
        ),
        ({"rmsprop": {"weight_decay": 0.5, **spare}}, weights_only(o.RMSprop, 0.5)),
    ]
    draw = gradients()
    text = {
        "torch": torch.__version__,
        "lr": LR,
        "after": AFTER,
        "start": torch.cat([torch.tensor(part).flatten() for part in START]).tolist(),
        "gradients": draw.tolist(),
        "cases": [{"optimizer": options, "weights": train(make, draw)} for options, make in cases],
    }
    print(json.dumps(text).replace("], [", "],\n["))


if __name__ == "__main__":
    main()
