#!/usr/bin/env bash
# Packs a release: deploy/package.sh [BIN [OUT]]   default BIN: target/release, OUT: target/package
#
# Makes OUT/sweep-VERSION-ARCH.tar.gz with programs, units, documents and install.sh, and its SHA-256 beside it. The same
# files give the same bytes. libtorch is not in it (2 GB with CUDA): libtorch.sh, which is, fetches it on hosts that train.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${1:-$root/target/release}
out=${2:-$root/target/package}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
name=sweep-$version-$(uname -m)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
put() { install -D -m "$1" "$2" "$work/$name/$3"; }

# The last two are for `sweepctl bench`.
for program in sweepctl sweep-coordinator sweep-agent sweep-trainer sweep-bench sweep-noop-trainer; do
  [[ -x $bin/$program ]] || { echo "package: $bin/$program is not there: make release" >&2; exit 1; }
  put 755 "$bin/$program" "bin/$program"
done
# The trainer looks for libtorch beside itself first, then in the folder it was built with, which on another host is anybody's: it goes.
python3 - "$work/$name/bin/sweep-trainer" <<'END'
import sys
path, beside = sys.argv[1], b"$ORIGIN/../lib/libtorch/lib"
program = open(path, "rb").read()
at = program.find(beside + b":")
if at >= 0:
    at += len(beside)
    end = program.index(b"\0", at)
    program = program[:at] + bytes(end - at) + program[end:]
    open(path, "wb").write(program)
if b":" + beside in program:
    sys.exit(f"package: the run path of {path} does not begin with {beside.decode()}: build it again")
END
for unit in "$root"/deploy/systemd/*.service; do put 644 "$unit" "lib/systemd/system/$(basename "$unit")"; done
put 644 "$root/deploy/systemd/sweep.sysusers" lib/sysusers.d/sweep.conf
for text in README.md CHANGELOG.md LICENSE; do put 644 "$root/$text" "share/doc/sweep/$text"; done
put 644 "$root/sweepctl/fonts/LICENSE" share/doc/sweep/LICENSE.fonts
for text in "$root"/docs/*.md; do put 644 "$text" "share/doc/sweep/$(basename "$text")"; done
put 755 "$root/deploy/libtorch.sh" share/sweep/libtorch.sh
put 755 "$root/deploy/install.sh" install.sh

mkdir -p "$out"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" -C "$work" -cf "$work/tar" "$name"
gzip -n -9 <"$work/tar" >"$out/$name.tar.gz.new"
mv "$out/$name.tar.gz.new" "$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
echo "$out/$name.tar.gz"
