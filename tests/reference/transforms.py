"""Records what torchvision.transforms.v2 makes of two small byte images, for the tests of the trainer's augmentation.

    python3 tests/reference/transforms.py

needs torch and torchvision (recorded with 2.11 and 0.26) and rewrites transforms.json beside this file. Images are
tensors of bytes, as in a torchvision pipeline before normalisation. A case is a list of steps as a sweep file
writes them, with all randomness taken out (`steps`), one operation of RandAugment's table (`operation`), a colour
change by a factor (`colour`), or a window cut out and resized (`window`).
"""

import base64
import json
import math
from pathlib import Path

import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode, functional as F


def image(width, height):
    """A gradient with grain and some flat colours: every value of a byte, edges, and gray pixels."""
    grain, values = 12345, []
    for y in range(height):
        for x in range(width):
            grain = (grain * 1664525 + 1013904223) & 0xFFFFFFFF
            noise = grain >> 27
            if x < 6 and y < 6:
                values += [200, 200, 200] if (x + y) % 2 else [0, 0, 0]
            else:
                red, green = x * 224 // (width - 1), y * 224 // (height - 1)
                values += [red + noise, green + noise // 2, (red ^ green) // 2 + noise * 4 % 128]
    return torch.tensor(values, dtype=torch.uint8).view(height, width, 3).permute(2, 0, 1).contiguous()


IMAGES = {"odd": image(37, 29), "square": image(32, 32)}
NEAREST, BILINEAR = InterpolationMode.NEAREST, InterpolationMode.BILINEAR


def text(tensor):
    return base64.b64encode(bytes(tensor.permute(1, 2, 0).contiguous().flatten().tolist())).decode()


cases = []


def record(name, out, **what):
    cases.append({"image": name, "width": out.shape[2], "height": out.shape[1], "out": text(out), **what})


def steps(name, out, *steps):
    record(name, out, steps=list(steps))


def main():
    odd, square = IMAGES["odd"], IMAGES["square"]
    steps("odd", F.horizontal_flip(odd), {"flip": {"p": 1.0}})
    steps("odd", F.vertical_flip(odd), {"vflip": {"p": 1.0}})
    steps("odd", F.center_crop(odd, [24, 24]), {"center-crop": {"size": 24}})
    steps("odd", F.center_crop(odd, [33, 33]), {"center-crop": {"size": 33}})
    for side in (20, 48):
        steps("odd", F.resize(odd, [side], antialias=True), {"resize": {"side": side}})
    for left, top, width, height, size in ((3, 5, 20, 14, 16), (0, 0, 9, 29, 24)):
        out = F.resized_crop(odd, top, left, height, width, [size, size], antialias=True)
        record("odd", out, window=[left, top, width, height, size])
    for degrees in (10.0, -137.0):
        for mode, word in ((NEAREST, "nearest"), (BILINEAR, "bilinear")):
            step = {"rotation": {"degrees": [degrees, degrees], "interpolation": word}}
            steps("odd", F.rotate(odd, degrees, interpolation=mode, fill=0), step)
    # Factors that put no pixel exactly between two others: there the last bit decides.
    for factor in (0.83, 1.21):
        for mode, word in ((NEAREST, "nearest"), (BILINEAR, "bilinear")):
            out = F.affine(odd, 0.0, [0, 0], factor, [0.0, 0.0], interpolation=mode, fill=0)
            steps("odd", out, {"scale": {"range": [factor, factor], "interpolation": word}})
    steps("odd", F.rgb_to_grayscale(odd, 3), {"grayscale": {"p": 1.0}})
    for kernel, sigma in ((5, 0.1), (5, 2.0), (9, 1.3)):
        step = {"gaussian-blur": {"kernel": kernel, "sigma": [sigma, sigma]}}
        steps("odd", F.gaussian_blur(odd, [kernel, kernel], [sigma, sigma]), step)
    for quality in (30, 90):
        steps("odd", F.jpeg(odd, quality), {"jpeg": {"quality": [quality, quality]}})
    for kind, function in (
        ("brightness", F.adjust_brightness),
        ("contrast", F.adjust_contrast),
        ("saturation", F.adjust_saturation),
        ("sharpness", F.adjust_sharpness),
    ):
        for factor in (0.4, 1.7):
            record("odd", function(odd, factor), colour=[kind, factor])
    for turns in (-0.3, 0.07, 0.5):
        record("odd", F.adjust_hue(odd, turns), colour=["hue", turns])
    # Study D, set 1, mirrored.
    chain = F.resize(F.center_crop(F.horizontal_flip(square), [28, 28]), [32], antialias=True)
    steps("square", chain, {"flip": {"p": 1.0}}, {"center-crop": {"size": 28}}, {"resize": {"side": 32}})

    table = v2.RandAugment()
    fill = table._fill
    for operation, strength in (
        ("ShearX", 0.21),
        ("ShearY", -0.3),
        ("TranslateX", 5.8),
        ("TranslateY", -3.2),
        ("Rotate", -21.0),
        ("Brightness", 0.33),
        ("Color", -0.6),
        ("Contrast", 0.72),
        ("Sharpness", -0.45),
        ("Posterize", 3.0),
        ("Solarize", 0.4),
        ("AutoContrast", 0.0),
        ("Equalize", 0.0),
    ):
        for name, picture in IMAGES.items():
            if name == "square" and operation not in ("AutoContrast", "ShearX", "Posterize"):
                continue
            out = table._apply_image_or_video_transform(picture, operation, strength, NEAREST, fill)
            ours = strength * 255.0 if operation == "Solarize" else strength
            record(name, out, operation=[operation, ours])
    # The strengths of the tables: [operation, bin, rand-augment's, trivial-augment's] for a 37 x 29 image.
    strengths = []
    for operation in v2.RandAugment._AUGMENTATION_SPACE:
        for bin in (0, 9, 30):
            row = []
            for space in (v2.RandAugment._AUGMENTATION_SPACE, v2.TrivialAugmentWide._AUGMENTATION_SPACE):
                values = space[operation][0](31, 29, 37)
                value = 0.0 if values is None else float(values[bin])
                row.append(value * 255.0 if operation == "Solarize" else value)
            strengths.append([operation, bin, *row])
    assert all(math.isfinite(value) for row in strengths for value in row[1:])
    images = {n: {"width": i.shape[2], "height": i.shape[1], "rgb": text(i)} for n, i in IMAGES.items()}
    lines = ",\n".join(json.dumps(case) for case in cases)
    file = f'{{"images": {json.dumps(images)},\n"strengths": {json.dumps(strengths)},\n"cases": [\n{lines}\n]}}\n'
    Path(__file__).with_name("transforms.json").write_text(file)


if __name__ == "__main__":
    main()
