#!/usr/bin/env python3
"""Images per second that libjpeg-turbo decodes on all cores at once, by torchvision or by Pillow (the faster counts),
and that Pillow decodes and resizes.

    decode.py DATA --size 224

DATA holds train/<class>/*.jpg. One process for each core, all of them measured while all run: virtual cores may share
a real one, so one process alone times the number of cores is more than the machine can do. Prints one line of JSON.
The peer of building the cache in benches/compare.py.
"""
import argparse
import io
import json
import multiprocessing
import os
import pathlib
import time

import torch
import torchvision
from PIL import Image


def measure(data, size, start, results):
    torch.set_num_threads(1)
    files = [path.read_bytes() for path in sorted((data / "train").rglob("*.jpg"))[:500]]
    ways = {
        "torchvision": lambda data: torchvision.io.decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8)),
        "pillow": lambda data: Image.open(io.BytesIO(data)).convert("RGB").load(),
        "resized": lambda data: Image.open(io.BytesIO(data)).convert("RGB").resize((size, size),
                                                                                   Image.Resampling.BILINEAR),
    }
    rates = {}
    for name, decode in ways.items():
        for data in files[:50]:
            decode(data)
        rates[name] = 0
        for _ in range(3):
            start.wait()
            began = time.perf_counter()
            for data in files:
                decode(data)
            rates[name] = max(rates[name], len(files) / (time.perf_counter() - began))
    results.put(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    cores = os.cpu_count()
    start, results = multiprocessing.Barrier(cores), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=measure, args=(options.data, options.size, start, results))
               for _ in range(cores)]
    for worker in workers:
        worker.start()
    each = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    total = {name: sum(rates[name] for rates in each) for name in each[0]}
    print(json.dumps({"images_per_s": max(total["torchvision"], total["pillow"]), "resized_per_s": total["resized"]}))


if __name__ == "__main__":
    main()
