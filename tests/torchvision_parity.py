#!/usr/bin/env python3
"""Loads a trainer's `best` checkpoint into torchvision's resnet18 and compares logits.

    tests/torchvision_parity.py CHECKPOINT.safetensors --classes N [--logits FILE] [--image-size 64]

The checkpoint must load with `load_state_dict(strict=True)` after the class layer is sized. Its
logits on a fixed input must agree within 1e-4 with those of `sweep-trainer logits`, which are read
from --logits (`-` is stdin) or asked of the program named by SWEEP_TRAINER (default:
target/release/sweep-trainer). Exit code 0 when they agree, or when torch, torchvision or
safetensors are not installed (it says so); 1 when they do not.
"""
import argparse
import json
import os
import subprocess
import sys

TOLERANCE = 1e-4

try:
    import torch
    import torchvision
    from safetensors.torch import load_file
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)


def fixed_input(images, size):
    """The input of `sweep-trainer logits`: 2654435761 * i mod 2^32, spread over -2 to 2."""
    count = images * 3 * size * size
    values = (torch.arange(count, dtype=torch.int64) * 2654435761) % (1 << 32)
    return (values.double() / (1 << 30) - 2.0).float().view(images, 3, size, size)


def trainer_logits(options):
    if options.logits == "-":
        return json.load(sys.stdin)
    if options.logits:
        with open(options.logits) as file:
            return json.load(file)
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = os.environ.get("SWEEP_TRAINER", os.path.join(root, "target/release/sweep-trainer"))
    command = [program, "logits", options.checkpoint, "--image-size", str(options.image_size)]
    # The program brings its own libtorch.
    environment = {k: v for k, v in os.environ.items() if k not in ("LD_LIBRARY_PATH", "LD_PRELOAD")}
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--classes", type=int, required=True)
    parser.add_argument("--logits", help="JSON of `sweep-trainer logits`; - for stdin")
    parser.add_argument("--image-size", type=int, default=64)
    options = parser.parse_args()

    state = load_file(options.checkpoint)
    # A `last` file also holds what training needs to go on; a `best` file has none of these.
    extra = [name for name in state if name.startswith(("optimizer.", "best."))]
    for name in extra:
        del state[name]
    model = torchvision.models.resnet18(weights=None)
    model.fc = torch.nn.Linear(model.fc.in_features, options.classes)
    print(model.load_state_dict(state, strict=True), f"({len(state)} tensors, {len(extra)} left out)")
    model.eval()

    ours = trainer_logits(options)
    expected = torch.tensor(ours["logits"])
    with torch.no_grad():
        theirs = model(fixed_input(expected.shape[0], ours["image_size"]))
    if theirs.shape != expected.shape:
        print(f"FAILED: shapes {tuple(theirs.shape)} and {tuple(expected.shape)}")
        return 1
    difference = (theirs - expected).abs().max().item()
    verdict = "ok" if difference <= TOLERANCE else "FAILED"
    print(f"{verdict}: largest difference of {expected.numel()} logits {difference:.3g}"
          f" (largest logit {expected.abs().max().item():.3g}, allowed {TOLERANCE:g})"
          f" with torch {torch.__version__}, torchvision {torchvision.__version__}")
    return 0 if verdict == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
