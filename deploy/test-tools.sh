#!/usr/bin/env bash
# Installs what tests compare with (torch, torchvision, SciPy, TensorBoard, MLflow, ...) from PyPI wheels into a folder this
# project owns, and prints the program that has it: python3, with these packages.
#
#   PYTHON=$(deploy/test-tools.sh) cargo test --locked --workspace     what `make test` does
#   deploy/test-tools.sh [DIR]          default DIR: .deps/python in the repository root
#
#   SWEEP_TEST_TOOLS=no                 installs nothing (exit code 1, as where it cannot)
#   PIP_FIND_LINKS, PIP_INDEX_URL...    pip's own settings work (a mirror, a folder of wheels)
#
# Tests need none of it: without it some of them say that they were skipped. Nothing else of the project uses it.
# The versions are in tests/reference/requirements.txt.
#
# Does nothing when DIR is complete. An interrupted run leaves DIR as it was: everything is installed
# beside it and renamed at the end. Needs bash, flock and a Python >= 3.10 with pip (nothing is installed into it).
set -euo pipefail

# Wheels, what they unpack to, and something to spare.
free_gb=15
modules=(torch torchvision safetensors numpy PIL scipy statsmodels pandas pyarrow tensorboard mlflow)

say() { printf '%s\n' "test tools: $*" >&2; }
# One line: what goes on without them reads on.
die() { say "$*; tests that need them will say that they were skipped"; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${1:-$root/.deps/python}
requirements=$root/tests/reference/requirements.txt

case ${SWEEP_TEST_TOOLS:-yes} in
  yes) ;;
  no) die "not installed, SWEEP_TEST_TOOLS=no" ;;
  *) die "SWEEP_TEST_TOOLS=$SWEEP_TEST_TOOLS: must be yes or no" ;;
esac
[[ $(uname -s)/$(uname -m) == Linux/x86_64 ]] || die "only Linux on x86_64 is supported, this is $(uname -s)/$(uname -m)"
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null) || die "python3 is missing"

# The stamp: whose packages, which, and the length of every library. Written last, checked before anything is trusted.
stamp() {
  "$python" -c 'import sys; print(sys.executable, sys.version.replace("\n", " "))'
  cat "$requirements"
  (cd "$1" && find . -name '*.so*' -type f -printf '%p %s\n' | LC_ALL=C sort)
}
complete() { [[ -f $1/.stamp && -x $1/python ]] && cmp -s <(stamp "$1") "$1/.stamp"; }

mkdir -p "$(dirname "$dir")"
dir=$(cd "$(dirname "$dir")" && pwd)/$(basename "$dir")
exec 9>"$dir.lock"
flock 9
if complete "$dir"; then
  echo "$dir/python"
  exit 0
fi
if [[ -e $dir && ! -f $dir/.stamp && -n $(ls -A "$dir") ]]; then
  die "$dir exists and was not made by this script: move it away or name another folder"
fi
"$python" -m pip --version >/dev/null 2>&1 || die "$python has no pip"

# Left-overs of interrupted runs, ours by their name and by the lock that is held.
rm -rf "$dir".tmp.*
have_gb=$(($(df --output=avail -B1 "$(dirname "$dir")" | tail -n 1) / 1000000000))
((have_gb >= free_gb)) || die "$have_gb GB are free for $dir, installing takes $free_gb"
tmp=$dir.tmp.$$
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/new" "$tmp/pip"

say "installing for $python into $dir; about 3 GB to download, once (SWEEP_TEST_TOOLS=no does without)"
# pip unpacks in TMPDIR and then moves.
flags=(--target "$tmp/new/packages" --only-binary=:all: --no-cache-dir --disable-pip-version-check --retries 1 --quiet)
TMPDIR=$tmp/pip PIP_USER=0 "$python" -m pip install "${flags[@]}" --requirement "$requirements" >"$tmp/pip.log" 2>&1 ||
  die "pip could not install them ($(grep -m 1 ERROR "$tmp/pip.log" || tail -n 1 "$tmp/pip.log"))"

cat >"$tmp/new/python" <<END
#!/bin/sh
# Python with the packages beside this file; written by deploy/test-tools.sh. torch brings its own libtorch, MLflow tells nobody
# that it runs.
here=\$(cd -- "\${0%/*}" && pwd)
unset LD_LIBRARY_PATH LD_PRELOAD
DO_NOT_TRACK=true PYTHONNOUSERSITE=1 PYTHONPATH=\$here/packages exec '$python' "\$@"
END
chmod 755 "$tmp/new/python"
for module in "${modules[@]}"; do
  "$tmp/new/python" -c "import $module" >"$tmp/pip.log" 2>&1 || die "what was installed has no $module ($(tail -n 1 "$tmp/pip.log"))"
done
stamp "$tmp/new" >"$tmp/new/.stamp"
sync -f "$tmp/new/.stamp"

if [[ -e $dir ]]; then mv "$dir" "$tmp/old"; fi
mv "$tmp/new" "$dir"
say "$dir is complete ($(du -sh "$dir" | cut -f1))"
echo "$dir/python"
