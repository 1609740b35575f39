#!/usr/bin/env python3
"""Images per second of torchvision's ImageFolder and DataLoader, without a model.

    loader.py DATA --image-size 224 --augmentation resized-crop|crop-flip [--workers 2] [--decode pillow|tensor]

`crop-flip` is Resize to the short side 256 (for 224), RandomCrop and flip. `tensor` decodes with
torchvision.io into tensors and changes those (transforms.v2), which is faster than Pillow. Prints one line of JSON. The
peer of the input pipeline in benches/compare.py. Needs torch, torchvision.
"""
import argparse
import json
import time

import torch
import torchvision
from torchvision import transforms
from torchvision.transforms import v2


def decode(path):
    return torchvision.io.decode_image(torchvision.io.read_file(path), torchvision.io.ImageReadMode.RGB)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--augmentation", choices=["resized-crop", "crop-flip"], default="resized-crop")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--decode", choices=["pillow", "tensor"], default="pillow")
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = options.image_size
    tensors = options.decode == "tensor"
    made_of = v2 if tensors else transforms
    changes = [made_of.RandomResizedCrop(size)]
    if options.augmentation == "crop-flip":
        changes = [made_of.Resize(size * 8 // 7), made_of.RandomCrop(size)]
    changes.append(made_of.RandomHorizontalFlip())
    changes.append(v2.ToDtype(torch.float32, scale=True) if tensors else transforms.ToTensor())
    changes.append(made_of.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    loader = dict(loader=decode) if tensors else {}
    images = torchvision.datasets.ImageFolder(f"{options.data}/train", made_of.Compose(changes), **loader)
    loader = torch.utils.data.DataLoader(images, options.batch_size, shuffle=True, num_workers=options.workers)
    began, count = time.perf_counter(), 0
    for batch, _ in loader:
        count += len(batch)
    print(json.dumps({"images_per_s": count / (time.perf_counter() - began)}))


if __name__ == "__main__":
    main()
