#!/usr/bin/env python3
"""Training steps per second of PyTorch eager: forward, cross entropy, backward, Adam.

    steps.py --model resnet18 --image-size 64 --batch-size 32 [--threads 1] [--precision bf16] [--layout channels-last]

Prints one line of JSON with the median of several runs. The peer of `sweep-trainer`'s own figure in
benches/compare.py. Needs torch, torchvision.
"""
import argparse
import json
import statistics
import time

import torch

import nets


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--layout", choices=["contiguous", "channels-last"], default="contiguous")
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layout = torch.channels_last if options.layout == "channels-last" else torch.contiguous_format
    model = nets.build(options.model, 10, options.image_size).to(device, memory_format=layout)
    images, labels = nets.example(options.batch_size, options.image_size, device)
    images = images.contiguous(memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=options.precision == "bf16")

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast:
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step().item()
    rates, end = [], time.perf_counter() + options.seconds
    while time.perf_counter() < end or len(rates) < 5:
        began = time.perf_counter()
        step().item()
        rates.append(options.batch_size / (time.perf_counter() - began))
    print(json.dumps({"images_per_s": statistics.median(rates), "steps": len(rates)}))


if __name__ == "__main__":
    main()
