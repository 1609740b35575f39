#!/usr/bin/env python3
"""Images per second that libjpeg-turbo decodes on one core, by torchvision or by Pillow (the faster counts), and
that Pillow decodes and resizes.

    decode.py DATA --size 224

DATA holds train/<class>/*.jpg. Prints one line of JSON. The peer of building the cache in benches/compare.py.
"""
import argparse
import io
import json
import pathlib
import time

import torch
import torchvision
from PIL import Image


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = [path.read_bytes() for path in sorted((options.data / "train").rglob("*.jpg"))[:500]]
    ways = {
        "torchvision": lambda data: torchvision.io.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8)),
        "pillow": lambda data: Image.open(io.BytesIO(data)).convert("RGB").load(),
    }
    ways["resized"] = lambda data: Image.open(io.BytesIO(data)).convert("RGB").resize((options.size, options.size),
                                                                                     Image.Resampling.BILINEAR)
    rates = {}
    for name, decode in ways.items():
        began = time.perf_counter()
        for data in files:
            decode(data)
        rates[name] = len(files) / (time.perf_counter() - began)
    print(json.dumps({"images_per_s": max(rates["torchvision"], rates["pillow"]), "resized_per_s": rates["resized"]}))


if __name__ == "__main__":
    main()
