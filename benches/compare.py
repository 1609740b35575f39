#!/usr/bin/env python3
"""Training speed beside PyTorch's, in one run on this machine: input pipeline, training step, cold start,
a whole sweep. Ours and the peer's runs alternate, so that a busy moment hits both.

    benches/compare.py --data FOLDER_OF_DATA_SETS [--dataset imagenette-small] [--only input,cache,step,cold,sweep]

Needs `make release` and `cargo build --release -p sweep-trainer --examples`, and a Python with torch, torchvision
and Pillow for the peers: --python names it (default: this one). Input, cache and sweep use the data set with its
images enlarged to 320 px and stored as JPEGs again (made once below target/), so that decoding costs what it
does on Imagenette. Prints a table and writes the figures as JSON to target/compare.json.
"""
import argparse
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
PEERS = ROOT / "benches/peers"
# The variants of precision and layout that both sides are run with.
FORMS = [("fp32", "contiguous"), ("fp32", "channels-last"), ("bf16", "contiguous"), ("bf16", "channels-last")]


class Bench:
    def __init__(self, options):
        self.options = options
        small = pathlib.Path(options.data).resolve() / options.dataset
        self.data = ROOT / "target/compare-data"
        self.data.mkdir(parents=True, exist_ok=True)
        self.name = f"{options.dataset}-320"
        self.set = self.data / self.name
        subprocess.run([options.python, PEERS / "upscale.py", small, self.set], check=True)
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="compare-", dir=ROOT / "target"))
        self.rows = []
        self.wait = {}

    def row(self, what, ours, theirs, unit, ratio=None):
        ratio = ours / theirs if ratio is None else ratio
        self.rows.append({"what": what, "ours": ours, "theirs": theirs, "unit": unit, "ratio": ratio})
        print(f"{what:58} {ours:10.5g} {theirs:10.5g} {unit:9} {ratio:6.2f} x", flush=True)

    def peer(self, script, *arguments):
        """Runs a peer; its line of JSON."""
        command = [self.options.python, PEERS / script, *map(str, arguments)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return json.loads(done.stdout.splitlines()[-1])

    def order(self, threads=1, **recipe):
        """An order file as an agent would write it."""
        recipe = {"dataset": self.name, "seed": 1, **recipe}
        order = {
            "protocol": 1,
            "work": [{"lease": {"trial": "00000000-0000-5000-8000-000000000001", "attempt": 1}, "recipe": recipe}],
            "device": "cpu", "threads": threads, "data_roots": [str(self.data)],
            "cache_dir": str(self.work / "cache"), "agent_lock": str(self.work / "agent.lock"),
            "orphan_limit_s": 3600,
        }
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        (folder / "order.json").write_text(json.dumps(order))
        return folder

    def speed(self, what, folder, option, value):
        command = [BIN / "examples/speed", what, folder / "order.json", option, str(value)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=passive())
        return json.loads(done.stdout)["images_per_s"]

    # 1. Input pipeline.
    def input(self):
        size = 224
        for name, ours in [("resized-crop", "resized-crop"), ("crop-flip", "flip-crop")]:
            steps = {"resized-crop": [{"resized-crop": {}}, {"flip": {}}], "flip-crop": [{"flip": {}}, {"crop": {}}]}
            folder = self.order(image_size=size, batch_size=64, epochs=2, augmentation=steps[ours])
            rate = max(self.speed("input", folder, "--threads", os.cpu_count()) for _ in range(2))
            arguments = [self.set, "--image-size", size, "--augmentation", name, "--workers"]
            ways = [(decode, workers) for decode in ("pillow", "tensor") for workers in (0, 1, 2, 4)]
            peers = {(decode, workers): self.peer("loader.py", *arguments, workers, "--decode", decode)["images_per_s"]
                     for decode, workers in ways}
            best = max(peers, key=peers.get)
            self.row(f"input {name} {size} px (DataLoader: {best[0]}, {best[1]} workers)", rate, peers[best], "images/s")

    # 5. Building the cache, against a decoder that does nothing else on every core.
    def cache(self):
        for size, both in ((64, False), (224, False), (224, True)):
            # `both`: what `resized-crop` needs, squares to validate and whole images to train on, of one decoding.
            folder = self.order(image_size=size, augmentation=[{"resized-crop": {}}] if both else [])
            rates = []
            for _ in range(3):
                shutil.rmtree(self.work / "cache", ignore_errors=True)
                rates.append(self.speed("cache", folder, "--threads", os.cpu_count()))
            peer = self.peer("decode.py", self.set, "--size", size)
            for what, rate in [("decoding", peer["images_per_s"]), ("decoding and resizing", peer["resized_per_s"])]:
                form = "squares and whole images" if both else "squares"
                self.row(f"cache of {form}, {size} px (libjpeg-turbo {what} on every core)", max(rates), rate, "images/s")

    # 2. Training step.
    # Whatever else the machine does only slows a run down, so the best run of each side counts.
    def step(self):
        few = [("cifar-cnn", 32, 32), ("m1", 64, 32), ("resnet18", 64, 32)]
        # One network of every other family, as PyTorch computes unless told otherwise.
        others = ("resnet50", "resnext50-32x4d", "vgg11-bn", "densenet121", "mobilenet-v2", "efficientnet-b0", "alexnet")
        networks = [(*network, FORMS) for network in few] + [(model, 64, 32, FORMS[:1]) for model in others]
        for model, size, batch, forms in networks:
            if self.options.model not in (None, model):
                continue
            for precision, layout in forms:
                form = {"precision": precision, "layout": layout}
                folder = self.order(model=model, image_size=size, batch_size=batch, **form)
                arguments = ["--model", model, "--image-size", size, "--batch-size", batch]
                arguments += ["--precision", precision, "--layout", layout]
                ours, theirs = [], []
                for _ in range(5):
                    ours.append(self.speed("step", folder, "--seconds", 3))
                    theirs.append(self.peer("steps.py", *arguments, "--seconds", 3)["images_per_s"])
                what = f"step {model} {size} px batch {batch} {precision} {layout}"
                self.row(what, max(ours), max(theirs), "images/s")

    # 4. Cold start: order received (process start) to the first step done.
    def cold(self):
        recipe = dict(model="resnet18", image_size=64, batch_size=32, epochs=1, augmentation=[{"resized-crop": {}}])
        self.first_step(self.order(**recipe))  # decodes once, as the first trial on a host does
        ours = statistics.median(self.first_step(self.order(**recipe)) for _ in range(5))
        arguments = [self.set, "--model", "resnet18", "--steps", 1]
        theirs = statistics.median(self.peer("train.py", *arguments)["first_step_s"] for _ in range(3))
        self.row("cold start to the first step, resnet18 64 px", ours, theirs, "s", theirs / ours)

    def first_step(self, folder):
        """Seconds from the start of a trainer to its first step line; the trainer is stopped then."""
        began = time.perf_counter()
        trainer = subprocess.Popen([BIN / "sweep-trainer", folder], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=passive())
        events = folder / "events.jsonl"
        while not (events.exists() and b'"step"' in events.read_bytes()):
            if trainer.poll() is not None:
                raise SystemExit(f"the trainer ended early: {events.read_text() if events.exists() else ''}")
            time.sleep(0.002)
        seconds = time.perf_counter() - began
        trainer.send_signal(signal.SIGTERM)
        trainer.wait()
        return seconds

    # 3. A sweep of 8 trials x 3 epochs, from submit to report, against 8 scripts.
    def sweep(self):
        for model in ("cifar-cnn", "m1", "resnet18"):
            if self.options.model not in (None, model):
                continue
            forms = [("fp32", "contiguous")] if model == "resnet18" else [("fp32", "contiguous"), ("bf16", "channels-last")]
            for precision, layout in forms:
                ours = self.ours(model, precision, layout)
                by_side = {side: self.scripts(model, precision, layout, side) for side in (1, 2)}
                side = min(by_side, key=by_side.get)
                images = 8 * 3 * sum(1 for path in (self.set / "train").rglob("*") if path.is_file())
                what = f"8 trials x 3 epochs {model} 64 px {precision} {layout} (scripts: {side} at a time)"
                self.row(what, images / ours, images / by_side[side], "images/s")
                print(f"{'':4}of an epoch's time spent waiting for images: {100 * self.wait[model, precision, layout]:.1f} %")

    def ours(self, model, precision, layout):
        state = pathlib.Path(tempfile.mkdtemp(dir=self.work))
        spec = state / "grid.toml"
        spec.write_text(
            f'name = "compare"\ndataset = "{self.name}"\nmodel = "{model}"\nimage_size = 64\nepochs = 3\n'
            f'batch_size = 32\nprecision = "{precision}"\nlayout = "{layout}"\nseeds = 2\n'
            'augmentation = "resized-crop"\n\n[grid]\nlr = [1e-4, 3e-4, 1e-3, 3e-3]\n')
        # An empty cache: decoding is part of the sweep.
        environment = {**os.environ, "SWEEP_AGENT_CACHE": str(state / "cache")}
        up = subprocess.Popen([BIN / "sweepctl", "up", "--state", state / "state", "--data", self.data, "--slots", "2",
                               "--listen", "127.0.0.1:0"], env=environment, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        try:
            address = state / "state/coordinator/address"
            while not (address.exists() and address.read_text().strip()):
                time.sleep(0.02)
            server = "http://" + address.read_text().strip().removeprefix("http://")
            call = lambda *words: subprocess.run([BIN / "sweepctl", *words, "--server", server], check=True,
                                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
            while b'"reachable"' not in call("agents", "--json"):
                time.sleep(0.05)
            began = time.perf_counter()
            call("submit", spec, "--watch")
            call("report", "compare")
            seconds = time.perf_counter() - began
            # How long training waits for images, once they are decoded.
            best = next(values(json.loads(call("show", "compare", "--json")), "best_trial"))
            waits = [wait for wait in values(json.loads(call("show", best, "--json")), "data_wait") if wait is not None]
            self.wait[model, precision, layout] = statistics.median(waits)
            return seconds
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait()

    def scripts(self, model, precision, layout, side):
        """Seconds of eight scripts, `side` at a time; cores are divided between them."""
        threads = max(1, os.cpu_count() // side)
        base = [self.options.python, PEERS / "train.py", self.set, "--model", model, "--precision", precision,
                "--layout", layout, "--threads", str(threads), "--workers", "0" if side > 1 else "2"]
        waiting = [(lr, seed) for lr in ("1e-4", "3e-4", "1e-3", "3e-3") for seed in ("0", "1")]
        running, began = [], time.perf_counter()
        while waiting or running:
            while waiting and len(running) < side:
                lr, seed = waiting.pop(0)
                running.append(subprocess.Popen([*map(str, base), "--lr", lr, "--seed", seed],
                                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            running[0].wait()
            for script in [script for script in running if script.poll() is not None]:
                if script.returncode:
                    raise SystemExit(f"a script failed: {script.args}")
                running.remove(script)
        return time.perf_counter() - began


def values(tree, key):
    """What stands under `key` anywhere in JSON."""
    if isinstance(tree, dict):
        if key in tree:
            yield tree[key]
        tree = list(tree.values())
    for part in tree if isinstance(tree, list) else []:
        yield from values(part, key)


def passive():
    """The agent's environment of a trainer, as far as it matters for speed."""
    malloc = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296"
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive",
            "GLIBC_TUNABLES": malloc}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--dataset", default="imagenette-small")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--only", default="input,cache,step,cold,sweep")
    parser.add_argument("--model", help="only this one of the parts step and sweep")
    options = parser.parse_args()
    bench = Bench(options)
    print(f"{'':58} {'ours':>10} {'PyTorch':>10} {'':9}")
    try:
        for part in options.only.split(","):
            {"input": bench.input, "cache": bench.cache, "step": bench.step, "cold": bench.cold, "sweep": bench.sweep}[part]()
        (ROOT / "target/compare.json").write_text(json.dumps(bench.rows, indent=1) + "\n")
    finally:
        shutil.rmtree(bench.work, ignore_errors=True)


if __name__ == "__main__":
    main()
