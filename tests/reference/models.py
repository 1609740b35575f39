#!/usr/bin/env python3
"""Records what torchvision's networks are made of and what they say.

    tests/reference/models.py > trainer/tests/fixtures/models.json
    tests/reference/models.py --list resnet18

Needs torch and torchvision (recorded with 2.11 and 0.26). For every network, under our name for it: how many
parameters it has with 1000 classes; with 10 classes how many tensors its state has, the SHA-256 of their
names, shapes and kinds (one a line, as --list prints them), and the logits of two fixed images in
evaluation, every tensor filled by `fill`. For those of TRAINED one step of training on four images, too: the loss,
the gradients and the running statistics. `trainer/tests/parity.rs` computes the same and compares.
"""
import hashlib
import json
import math
import sys

try:
    import torch
    import torchvision
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

SIDE = 64
NETWORKS = {
    "resnet18": {},
    "resnet34": {},
    "resnet50": {},
    "resnet101": {},
    "resnet152": {},
    "resnext50-32x4d": {},
    "resnext101-32x8d": {},
    "wide-resnet50-2": {},
    "wide-resnet101-2": {},
    "alexnet": {},
    "vgg11": {},
    "vgg11-bn": {},
    "vgg13": {},
    "vgg13-bn": {},
    "vgg16": {},
    "vgg16-bn": {},
    "vgg19": {},
    "vgg19-bn": {},
    "googlenet": {"aux_logits": False, "init_weights": False},
    "densenet121": {},
    "densenet161": {},
    "densenet169": {},
    "densenet201": {},
    "mobilenet-v2": {},
    "efficientnet-b0": {},
    "efficientnet-b1": {},
    "efficientnet-b2": {},
    "efficientnet-b3": {},
    "efficientnet-b4": {},
    "efficientnet-b5": {},
    "efficientnet-b6": {},
    "efficientnet-b7": {},
}
# One of each family, with the options that leave nothing to chance. B5 has norms of its own momentum.
TRAINED = {
    "resnet18": {},
    "vgg11-bn": {"dropout": 0.0},
    "googlenet": {"dropout": 0.0},
    "densenet121": {},
    "mobilenet-v2": {"dropout": 0.0},
    "efficientnet-b5": {"dropout": 0.0, "stochastic_depth_prob": 0.0},
}
TRAINED_SIDE = 32
LABELS = [3, 1, 4, 1]


def pattern():
    """10007 numbers spread over -1 to 1 without an order."""
    numbers = []
    for i in range(10007):
        h = i * 2654435761 % 2**32
        h = (h ^ h >> 16) * 2246822519 % 2**32
        numbers.append((h ^ h >> 13) / 2**31 - 1)
    return torch.tensor(numbers, dtype=torch.float64).float()


PATTERN = pattern()


def values(place, count):
    """Numbers for the tensor with this place in the state."""
    start = place * 977 % len(PATTERN)
    return PATTERN.repeat((start + count) // len(PATTERN) + 1)[start : start + count]


def fill(network, state):
    """Weights that keep the spread of what goes through, and norms that do not do nothing."""
    efficient = network.startswith("efficientnet")
    # Gates and smooth activations take more of it away; blocks that add to what they were given bring it back, one after the other.
    gain = 1.25 if efficient else 1
    for place, (name, tensor) in enumerate(state.items()):
        if not tensor.is_floating_point():
            tensor.zero_()
            continue
        v = values(place, tensor.numel()).view(tensor.shape)
        if tensor.dim() > 1:
            v = v * (gain * math.sqrt(6 / tensor[0].numel()))
        elif name.endswith(("running_var", ".weight")):
            v = v * 0.2 + 1
            # The norm that a block ends with, but not in the first block of a stage.
            if efficient and name.endswith(".block.3.1.weight") and name.split(".")[2] != "0":
                v = v * 0.1
        else:
            v = v * 0.1
        tensor.copy_(v)


def build(name, classes, **options):
    model = getattr(torchvision.models, name.replace("-", "_"))
    with torch.device("meta"):
        return model(weights=None, num_classes=classes, **NETWORKS[name], **options)


def tensors(state):
    kind = {torch.float32: "float", torch.int64: "int64"}
    return "".join(f"{name} {list(t.shape)} {kind[t.dtype]}\n" for name, t in state.items())


def digest(tensor):
    """How long a tensor is, and how far along the pattern: what is turned, moved or missing shows."""
    flat = tensor.detach().double().flatten()
    along = flat @ values(3, flat.numel()).double()
    return [float(f"{number:.9g}") for number in (flat.norm().item(), along.item())]


def trained(name):
    """One step on four images from the same weights, until before the weights are changed.

    In 64 bits: in 32, a ReLU or a maximum that falls to the other side changed gradients by up to 4 % between processors.
    """
    model = build(name, 10, **TRAINED[name]).to_empty(device="cpu").train()
    fill(name, model.state_dict())
    model.double()
    images = values(2, 4 * 3 * TRAINED_SIDE**2).view(4, 3, TRAINED_SIDE, TRAINED_SIDE).double()
    loss = torch.nn.functional.cross_entropy(model(images), torch.tensor(LABELS))
    loss.backward()
    running = [tensor for name, tensor in model.state_dict().items() if ".running_" in name]
    return {
        "loss": loss.item(),
        "gradients": [digest(weight.grad) for weight in model.parameters()],
        "running": [digest(tensor) for tensor in running],
    }


def main():
    if sys.argv[1:2] == ["--list"]:
        print(tensors(build(sys.argv[2], 10).state_dict()), end="")
        return
    out = {}
    images = values(1, 2 * 3 * SIDE * SIDE).view(2, 3, SIDE, SIDE)
    for name in NETWORKS:
        model = build(name, 10).to_empty(device="cpu").eval()
        state = model.state_dict()
        fill(name, state)
        with torch.no_grad():
            logits = model(images)
        assert logits.shape == (2, 10) and logits.isfinite().all()
        # Images and classes must not look the same, and nothing may have grown on the way, or the comparison would show little.
        assert 0.01 < logits.abs().max() < 1000, f"{name}: {logits}"
        spread = min((logits[0] - logits[1]).abs().max(), logits.std(1).min()) / logits.abs().max()
        assert spread > 0.05, f"{name}: {spread} {logits}"
        out[name] = {
            "parameters": sum(p.numel() for p in build(name, 1000).parameters()),
            "tensors": len(state),
            "sha256": hashlib.sha256(tensors(state).encode()).hexdigest(),
            "logits": logits.tolist(),
        }
        if name in TRAINED:
            out[name]["trained"] = trained(name)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in out.items())
    print("{\n" + lines + "\n}")


if __name__ == "__main__":
    main()
