#!/usr/bin/env python3
"""The PyTorch script that a lab member would write: torchvision's ImageFolder and DataLoader, one
model, one recipe, one process. The peer of `sweepctl submit` in benches/compare.py.

    train.py DATA --model resnet18 --image-size 64 --augmentation resized-crop --epochs 3 [...]

DATA holds train/<class>/* and val/<class>/*. Prints one line of JSON: seconds to the first finished
step (from process start, imports included), seconds of each epoch, images per second, accuracy.
Needs torch, torchvision.
"""
import time

START = time.perf_counter()

import argparse
import json

import torch
import torchvision
from torch import nn
from torchvision import transforms

import nets


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--augmentation", choices=["none", "resized-crop"], default="resized-crop")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--steps", type=int, help="stop after so many")
    parser.add_argument("--layout", choices=["contiguous", "channels-last"], default="contiguous")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    size = options.image_size
    normalise = [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    whole = [transforms.Resize(size), transforms.CenterCrop(size)]
    changes = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip()]
    if options.augmentation == "none":
        changes = whole
    train_set = torchvision.datasets.ImageFolder(f"{options.data}/train", transforms.Compose(changes + normalise))
    val_set = torchvision.datasets.ImageFolder(f"{options.data}/val", transforms.Compose(whole + normalise))
    workers = dict(num_workers=options.workers, persistent_workers=options.workers > 0)
    train = torch.utils.data.DataLoader(train_set, options.batch_size, shuffle=True, **workers)
    val = torch.utils.data.DataLoader(val_set, max(options.batch_size, 32), **workers)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    layout = torch.channels_last if options.layout == "channels-last" else torch.contiguous_format
    model = nets.build(options.model, len(train_set.classes), size).to(device, memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    loss_of = nn.CrossEntropyLoss()
    autocast = torch.autocast(device, dtype=torch.bfloat16, enabled=options.precision == "bf16")

    first, epochs, accuracy, steps = None, [], 0.0, 0
    for _ in range(options.epochs):
        began = time.perf_counter()
        model.train()
        for images, labels in train:
            images, labels = images.to(device, memory_format=layout), labels.to(device)
            optimizer.zero_grad(set_to_none=True)
            with autocast:
                loss = loss_of(model(images), labels)
            loss.backward()
            optimizer.step()
            if first is None:
                loss.item()
                first = time.perf_counter() - START
            steps += 1
            if steps == options.steps:
                print(json.dumps({"first_step_s": first}))
                return
        model.eval()
        correct = 0
        with torch.no_grad(), autocast:
            for images, labels in val:
                images, labels = images.to(device, memory_format=layout), labels.to(device)
                correct += (model(images).argmax(1) == labels).sum().item()
        accuracy = max(accuracy, correct / len(val_set))
        epochs.append(time.perf_counter() - began)
    print(json.dumps({
        "first_step_s": first,
        "epochs_s": epochs,
        "images_per_s": len(train_set) * options.epochs / sum(epochs),
        "total_s": time.perf_counter() - START,
        "best_accuracy": accuracy,
    }))


if __name__ == "__main__":
    main()
