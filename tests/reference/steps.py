#!/usr/bin/env python3
"""Records PyTorch's gradient clipping, averages of weights and label smoothing: trainer/tests/fixtures/steps.json.

    python3 tests/reference/steps.py > trainer/tests/fixtures/steps.json

Needs torch. `trainer/tests/steps.rs` reads the file.
"""
import json

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def clipping(random):
    cases = []
    for longest, size in [(1.0, 3.0), (1.0, 0.1), (0.25, 40.0), (5.0, 0.0)]:
        weights = [torch.zeros(2, 3, requires_grad=True), torch.zeros(2, requires_grad=True)]
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=random) * size
        before = torch.cat([weight.grad.flatten() for weight in weights]).tolist()
        torch.nn.utils.clip_grad_norm_(weights, longest)
        after = torch.cat([weight.grad.flatten() for weight in weights]).tolist()
        cases.append({"longest": longest, "before": before, "after": after})
    return cases


def averages(random, decay=0.9):
    """A batch norm of two channels: weight, bias, running mean, running variance after each step."""
    net = torch.nn.BatchNorm1d(2)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    values = lambda net: torch.cat([net.weight, net.bias, net.running_mean, net.running_var]).tolist()
    steps = []
    for _ in range(20):
        with torch.no_grad():
            for tensor in [net.weight, net.bias, net.running_mean, net.running_var]:
                tensor.add_(torch.randn(2, generator=random) * 0.1)
        average.update_parameters(net)
        steps.append({"now": values(net), "average": values(average.module)})
    return {"decay": decay, "steps": steps}


def smoothing(random):
    logits, labels = torch.randn(6, 4, generator=random) * 3, torch.tensor([0, 1, 2, 3, 1, 0])
    loss = lambda share: torch.nn.functional.cross_entropy(logits, labels, label_smoothing=share).item()
    losses = [[share, loss(share)] for share in [0.0, 0.1, 0.5]]
    return {"logits": logits.tolist(), "labels": labels.tolist(), "losses": losses}


if __name__ == "__main__":
    random = torch.Generator().manual_seed(5)
    recorded = {"clip": clipping(random), "ema": averages(random), "smooth": smoothing(random)}
    print(json.dumps({"torch": torch.__version__.split("+")[0], **recorded}))
