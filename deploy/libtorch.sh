#!/usr/bin/env bash
# Installs libtorch for sweep-trainer from PyPI wheels into a folder this project owns.
#
#   deploy/libtorch.sh [DIR]          default DIR: .deps/libtorch in the repository root
#
#   SWEEP_LIBTORCH=cpu|cuda           overrides the look for an NVIDIA driver
#   PIP_FIND_LINKS, PIP_INDEX_URL...  pip's own settings work (a mirror, a folder of wheels)
#
# DIR/lib and DIR/include hold what the trainer links against, the same on every host: libtorch_cpu,
# libc10, libgomp, the two small CUDA libraries that libtorch_cpu names, and a linker script in place
# of libtorch.so. With a driver DIR/cuda holds libtorch_cuda and NVIDIA's libraries beside it, laid
# out as their run paths expect; the trainer loads them at start when its order names a CUDA device.
#
# Does nothing when DIR is complete. An interrupted run leaves DIR as it was: everything is unpacked
# beside it and renamed at the end. Needs bash, flock and a Python >= 3.9 with pip (nothing is installed into it).
set -euo pipefail

torch_version=2.11.0
# What torch's metadata ask for (cuda-toolkit 13.0.2).
cpu_wheels=(nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)
cuda_wheels=(
  nvidia-cublas==13.1.0.3 nvidia-cufft==12.0.0.61 nvidia-cufile==1.15.1.6 nvidia-curand==10.4.0.35
  nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3 nvidia-nvjitlink==13.0.88 nvidia-cuda-nvrtc==13.0.88
  nvidia-nvtx==13.0.85 nvidia-cudnn-cu13==9.19.0.56 nvidia-cusparselt-cu13==0.8.0 nvidia-nccl-cu13==2.28.9
  nvidia-nvshmem-cu13==3.4.5
)

say() { printf '%s\n' "libtorch: $*" >&2; }
die() { say "$*"; exit 1; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${1:-$root/.deps/libtorch}

kind=${SWEEP_LIBTORCH:-}
if [[ -z $kind ]]; then
  kind=cpu
  if [[ -e /proc/driver/nvidia ]] || command -v nvidia-smi >/dev/null 2>&1; then kind=cuda; fi
fi
case $kind in
  cpu | cuda) ;;
  *) die "SWEEP_LIBTORCH=$kind: must be cpu or cuda" ;;
esac
[[ $(uname -s)/$(uname -m) == Linux/x86_64 ]] || die "only Linux on x86_64 is supported, this is $(uname -s)/$(uname -m)"

# The stamp: versions, kind, and the length of every library. Written last, checked before anything is trusted.
libraries() { (cd "$1" && mkdir -p cuda && find lib cuda \( -type f -o -type l \) -printf '%p %s\n' | LC_ALL=C sort); }
versions() { printf 'torch %s\nkind %s\n' "$torch_version" "$1"; printf 'wheel %s\n' "${cpu_wheels[@]}"; }
complete() {
  local have=$1/.stamp with
  [[ -f $have ]] || return 1
  # A CUDA set serves a host without a driver too.
  for with in "$kind" cuda; do
    if diff -q <(versions "$with"; libraries "$1") "$have" >/dev/null 2>&1; then return 0; fi
  done
  return 1
}

mkdir -p "$(dirname "$dir")"
dir=$(cd "$(dirname "$dir")" && pwd)/$(basename "$dir")
exec 9>"$dir.lock"
flock 9
if complete "$dir"; then
  say "$dir is complete ($(du -sh "$dir" | cut -f1), $(sed -n 's/^kind //p' "$dir/.stamp"))"
  exit 0
fi
if [[ -e $dir && ! -f $dir/.stamp && -n $(ls -A "$dir") ]]; then
  die "$dir exists and was not made by this script; move it away or name another folder"
fi

python=$(command -v python3) || die "python3 is missing (it is only used to download and unpack wheels)"
"$python" -m pip --version >/dev/null 2>&1 || die "$python has no pip"

# Left-overs of interrupted runs, ours by their name and by the lock that is held.
rm -rf "$dir".tmp.*
tmp=$dir.tmp.$$
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/wheels" "$tmp/new/lib"

# A Python that torch has no wheel for (too old, too new) can still fetch another one's: only C++ parts are kept.
fetch() {
  local flags=(--no-deps --no-cache-dir --disable-pip-version-check --quiet --only-binary=:all: --dest "$tmp/wheels")
  "$python" -m pip download "${flags[@]}" "$@" 2>"$tmp/pip.log" ||
    "$python" -m pip download "${flags[@]}" --python-version 3.12 "$@" 2>>"$tmp/pip.log" ||
    { cat "$tmp/pip.log" >&2; die "could not download $* (is PyPI or your PIP_INDEX_URL reachable?)"; }
}
say "downloading torch $torch_version ($kind) for $dir; about $([[ $kind == cpu ]] && echo 0.5 || echo 2.5) GB, once"
fetch "torch==$torch_version"
fetch "${cpu_wheels[@]}"
[[ $kind == cpu ]] || fetch "${cuda_wheels[@]}"

say "unpacking"
"$python" - "$tmp/wheels" "$tmp/new" "$kind" <<'PY'
import os, shutil, sys, zipfile
wheels, new, kind = sys.argv[1:]
CPU = {"libtorch_cpu.so", "libc10.so"}
CUDA_ONLY_IN_PYTHON = {"libtorch_python.so", "libshm.so", "libtorch_global_deps.so", "libtorch.so"}

def target(wheel, name):
    """Where a member of a wheel goes, or None."""
    base = os.path.basename(name)
    if wheel.startswith("torch-"):
        if name.startswith("torch/include/"):
            return name[len("torch/"):]
        if not name.startswith("torch/lib/"):
            return None
        if base in CPU or base.startswith("libgomp"):
            return "lib/" + base
        if kind == "cuda" and base not in CUDA_ONLY_IN_PYTHON and ".so" in base:
            return "cuda/" + name
        return None
    if base.startswith(("libcupti.so", "libcudart.so")):
        return "lib/" + base
    if kind == "cuda" and "/lib/" in name and ".so" in base and name.startswith("nvidia/"):
        return "cuda/" + name
    return None

for wheel in sorted(os.listdir(wheels)):
    path = os.path.join(wheels, wheel)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            to = target(wheel, member.filename)
            if to is None or member.is_dir():
                continue
            to = os.path.join(new, to)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            with archive.open(member) as source, open(to, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
                out.flush()
                if ".so" in to:
                    os.chmod(to, 0o755)
                    os.fsync(out.fileno())
    os.remove(path)
PY
for library in libtorch_cpu.so libc10.so libgomp.so.1 libcupti.so.13 libcudart.so.13; do
  [[ -f $tmp/new/lib/$library ]] || die "the wheels hold no $library; the pinned versions need a look"
done
if [[ $kind == cuda ]]; then
  # Loaded before the program's own libraries, libtorch_cuda looks for these beside itself.
  for library in "$tmp"/new/lib/*; do
    ln -s "../../../lib/$(basename "$library")" "$tmp/new/cuda/torch/lib/"
  done
fi
# torch-sys links -ltorch: the real file would drag libtorch_cuda into every binary.
echo 'INPUT(-ltorch_cpu)' >"$tmp/new/lib/libtorch.so"
# torch-sys compares this with the version it was made for.
echo "$torch_version" >"$tmp/new/build-version"
{ versions "$kind"; libraries "$tmp/new"; } >"$tmp/new/.stamp"
sync -f "$tmp/new/.stamp"

if [[ -e $dir ]]; then mv "$dir" "$tmp/old"; fi
mv "$tmp/new" "$dir"
say "$dir is complete ($(du -sh "$dir" | cut -f1), $kind)"
