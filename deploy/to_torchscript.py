#!/usr/bin/env python3
"""Writes a PyTorch module of your own as a file for `model = { torchscript = { file = "net.pt" } }`.

    deploy/to_torchscript.py mynets.py:SmallNet net.pt --set classes=10 --set width=64

`SmallNet` is a class or function in mynets.py that makes a torch.nn.Module; --set gives its arguments (Python
literals). Its parameters are as it makes them: `--seed` sets PyTorch's generator before. Its forward takes
images [n, 3, size, size] (float32) and gives logits [n, classes]. Needs torch.

Buffers (the running statistics of batch norm) become parameters without gradient, under their names, so that
checkpoints hold them and a trial can go on bit by bit.
"""
import argparse
import ast
import importlib.util
import sys

try:
    import torch
except ImportError as missing:
    sys.exit(f"{missing}: pip install torch")


class Prepared(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)

    @torch.jit.export
    def sweep_format(self) -> int:
        return 1


def buffers_to_parameters(net):
    for module in net.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            del module._buffers[name]
            module.register_parameter(name, torch.nn.Parameter(buffer, requires_grad=False))
    return net


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="FILE.py:NAME")
    parser.add_argument("target", help="the file to write, NAME.pt")
    parser.add_argument("--set", action="append", default=[], metavar="ARGUMENT=VALUE", dest="arguments")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    path, _, name = options.source.rpartition(":")
    if not path or not options.target.endswith(".pt"):
        sys.exit("usage: to_torchscript.py FILE.py:NAME TARGET.pt")
    spec = importlib.util.spec_from_file_location("users_nets", path)
    users = importlib.util.module_from_spec(spec)
    sys.modules["users_nets"] = users
    spec.loader.exec_module(users)
    arguments = dict(pair.split("=", 1) for pair in options.arguments)
    torch.manual_seed(options.seed)
    net = getattr(users, name)(**{key: ast.literal_eval(value) for key, value in arguments.items()})
    torch.jit.script(Prepared(buffers_to_parameters(net))).save(options.target)
    count = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    print(f"{options.target}: {count} trained parameters")


if __name__ == "__main__":
    main()
