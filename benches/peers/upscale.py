#!/usr/bin/env python3
"""Makes a data set of larger JPEGs out of a small one, for benchmarks where decoding counts.

    upscale.py FROM TO [--side 320] [--quality 90]

FROM holds train/<class>/* and val/<class>/*; TO gets the same files with that short side. Does nothing when TO
is there. The content is enlarged, so nothing can be learned about accuracy from it. Needs Pillow.
"""
import argparse
import os
import pathlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from PIL import Image


def one(source, target, side, quality, path):
    image = Image.open(path).convert("RGB")
    scale = side / min(image.size)
    image = image.resize([round(length * scale) for length in image.size], Image.Resampling.BICUBIC)
    out = target / path.relative_to(source).with_suffix(".jpg")
    out.parent.mkdir(parents=True, exist_ok=True)
    image.save(out, quality=quality)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("target", type=pathlib.Path)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--quality", type=int, default=90)
    options = parser.parse_args()
    if options.target.exists():
        return
    files = [path for side in ("train", "val") for path in (options.source / side).rglob("*") if path.is_file()]
    unfinished = options.target.with_name(options.target.name + ".unfinished")
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(one, options.source, unfinished, options.side, options.quality), files, chunksize=64))
    os.rename(unfinished, options.target)


if __name__ == "__main__":
    main()
