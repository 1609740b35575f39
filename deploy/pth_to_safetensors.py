#!/usr/bin/env python3
"""Turns a PyTorch state dict (.pth, .pt) into a safetensors file for `init.weights`.

    deploy/pth_to_safetensors.py resnet50-11ad3fa6.pth resnet50.safetensors

Needs torch and safetensors. The state dict is read with `weights_only=True`, which runs no code of
the file; a checkpoint that keeps it under `state_dict` or `model`, and names that begin with
`module.` (DataParallel), are understood. Numbers become 32-bit floats; counts stay whole.
"""
import argparse
import sys

try:
    import torch
    from safetensors.torch import save_file
except ImportError as missing:
    sys.exit(f"{missing}: pip install torch safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source")
    parser.add_argument("target")
    options = parser.parse_args()
    state = torch.load(options.source, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(state.get(key), dict):
            state = state[key]
    tensors = {}
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            sys.exit(f"{name} is no tensor: this is not a state dict")
        tensor = tensor.float() if tensor.is_floating_point() else tensor.long()
        # A copy of its own: safetensors refuses tensors that share memory.
        tensors[name.removeprefix("module.")] = tensor.clone().contiguous()
    save_file(tensors, options.target)
    print(f"{len(tensors)} tensors in {options.target}")


if __name__ == "__main__":
    main()
