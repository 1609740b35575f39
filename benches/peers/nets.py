"""Networks of the peers by the names that sweep files use."""
import torch
import torchvision
from torch import nn


def cifar_cnn(classes, size):
    """PyTorch's CIFAR-10 tutorial network, sized for the image."""
    side = ((size - 4) // 2 - 4) // 2
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(16 * side * side, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, classes),
    )


def m1(classes, size):
    """Three convolutions, two linear layers (a Tiny ImageNet course study)."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(32 * (size // 8) ** 2, 256), nn.ReLU(), nn.Linear(256, classes),
    )


def build(name, classes, size):
    """The network `name` for `classes` and square images of `size` pixels."""
    own = {"cifar-cnn": cifar_cnn, "m1": m1}
    if name in own:
        return own[name](classes, size)
    return torchvision.models.get_model(name.replace("-", "_"), num_classes=classes)


def example(batch, size, device="cpu"):
    """A batch of random images and labels below 10."""
    return torch.randn(batch, 3, size, size, device=device), torch.randint(0, 10, (batch,), device=device)
