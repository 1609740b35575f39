#!/usr/bin/env python3
"""Plants each bug of this folder, one at a time, in a copy of the tree, and says what catches it.

A patch says on top what is wrong, which level has to catch it, and, unless that is the simulation of calls
(`sweep-model`), by which command. usage: plant.py [--seeds N] [--write] [NAME ...]

With --write, the table in docs/reliability.md is replaced by what was seen. Ends with 1 if a bug was not caught.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / "target" / "mutants"
TREE = WORK / "tree"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- planted bugs: begin -->\n", "<!-- planted bugs: end -->\n"


def read(patch):
    """The words on top of a patch: what is wrong, and how it is to be caught."""
    head = patch.read_text().split("\n\n", 1)[0].splitlines()
    fields = dict(line.split(": ", 1) for line in head[1:])
    return {"name": patch.stem, "what": head[0], "level": fields["Level"], "test": fields.get("Test")}


def run(command, **more):
    env = dict(os.environ, CARGO_TARGET_DIR=str(WORK / "build"), CARGO_INCREMENTAL="0", RUST_BACKTRACE="0")
    return subprocess.run(command, cwd=TREE, env=env, capture_output=True, text=True, **more)


def must(command):
    done = run(command)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def fresh():
    """The copy as the tree is committed."""
    if not TREE.exists():
        WORK.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)
        subprocess.run(["git", "worktree", "add", "--detach", "--force", str(TREE), "HEAD"], cwd=ROOT, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    must(["git", "checkout", "--quiet", "--force", head.strip()])


def caught_by(bug, seeds):
    """What catches the bug that is planted, and after how long; None if nothing does."""
    if bug["level"] == "model":
        must(["cargo", "build", "--quiet", "-p", "sweep-tests", "--bin", "sweep-model"])
        done = run([str(WORK / "build/debug/sweep-model"), "1", str(seeds), "--until-wrong"])
        if done.returncode == 0:
            return None
        wrong = json.loads(done.stdout.splitlines()[-1])["wrong"]
        words = next(line for line in done.stderr.splitlines() if line.startswith("seed "))
        return f"`sweep-model {wrong[0]}`", words.split(": ", 2)[-1][:160]
    done = run(["bash", "-c", bug["test"]])
    if done.returncode == 0:
        return None
    if "error: could not compile" in done.stderr and bug["level"] != "build":
        sys.exit(f"{bug['name']} does not compile:\n{done.stderr[-3000:]}")
    lines = done.stdout.splitlines() + done.stderr.splitlines()
    failed = [line.split()[1] for line in lines if line.startswith("test ") and line.endswith("FAILED")]
    failed += [line.strip().split()[0] for line in lines if line.startswith("    ") and "::" in line and " " not in line.strip()]
    return f"`{bug['test']}`", failed[0] if failed else "it fails"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="bugs whose names begin like this; all of them if absent")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    patches = sorted(HERE.glob("*.patch"))
    bugs = [read(patch) for patch in patches if not args.names or patch.stem.startswith(tuple(args.names))]
    rows, missed = [], []
    for bug in bugs:
        fresh()
        must(["git", "apply", str(HERE / f"{bug['name']}.patch")])
        start = time.monotonic()
        caught = caught_by(bug, args.seeds)
        seconds = time.monotonic() - start
        number, _, _ = bug["name"].partition("-")
        by, words = caught or ("**nothing**", "")
        rows.append(f"| {number} | {bug['what']} | {bug['level']} | {by} |")
        print(f"{bug['name']}: {by} ({seconds:.0f} s) {words}", flush=True)
        if caught is None:
            missed.append(bug["name"])
    fresh()
    if args.write:
        text = PAGE.read_text()
        before, rest = text.split(BEGIN)
        _, after = rest.split(END)
        table = "| | planted | level | caught by |\n|---|---|---|---|\n" + "\n".join(rows) + "\n"
        PAGE.write_text(before + BEGIN + table + END + after)
    print(f"{len(bugs) - len(missed)} of {len(bugs)} were caught" + (f"; missed: {', '.join(missed)}" if missed else ""))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
