#!/usr/bin/env python3
"""Images per second of torchvision's ImageFolder and DataLoader, without a model.

    loader.py DATA --image-size 224 --augmentation resized-crop|crop-flip [--workers 2]

`crop-flip` is Resize to the short side 256 (for 224), RandomCrop and flip. Prints one line of JSON. The
peer of the input pipeline in benches/compare.py. Needs torch, torchvision.
"""
import argparse
import json
import time

import torch
import torchvision
from torchvision import transforms


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--augmentation", choices=["resized-crop", "crop-flip"], default="resized-crop")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = options.image_size
    changes = [transforms.RandomResizedCrop(size)]
    if options.augmentation == "crop-flip":
        changes = [transforms.Resize(size * 8 // 7), transforms.RandomCrop(size)]
    changes += [transforms.RandomHorizontalFlip(), transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
    images = torchvision.datasets.ImageFolder(f"{options.data}/train", transforms.Compose(changes))
    loader = torch.utils.data.DataLoader(images, options.batch_size, shuffle=True, num_workers=options.workers)
    began, count = time.perf_counter(), 0
    for batch, _ in loader:
        count += len(batch)
    print(json.dumps({"images_per_s": count / (time.perf_counter() - began)}))


if __name__ == "__main__":
    main()
