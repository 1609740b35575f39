"""The network of small.pt: `deploy/to_torchscript.py trainer/tests/script/small.py:Small trainer/tests/script/small.pt --set classes=3`."""
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, classes: int):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.drop = nn.Dropout(0.3)
        self.fc = nn.Linear(6, classes)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        return self.fc(self.drop(x).mean([2, 3]))
