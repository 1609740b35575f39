#!/usr/bin/env bash
# The demo: a small image set, a coordinator and an agent, sweeps/quickstart.toml, live progress, the
# report. Everything it makes lies in .demo (or $SWEEP_DEMO); what it starts, it stops. A second run finds
# the sweep done and only shows it.
#   deploy/demo.sh [folder with the binaries, default target/release]
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$(cd "${1:-target/release}" && pwd)
demo=${SWEEP_DEMO:-.demo}
mkdir -p "$demo"
demo=$(cd "$demo" && pwd)

say() { printf '\n== %s\n' "$*"; }

say "images: $demo/data/demo"
"$bin/sweep-demo-images" "$demo/data/demo"

say "coordinator and agent"
export SWEEP_AGENT_CACHE="$demo/cache"
"$bin/sweepctl" up --state "$demo/state" --data "$demo/data" --listen 127.0.0.1:0 >"$demo/up.log" 2>&1 &
up=$!
stop() {
  trap - EXIT INT TERM
  kill -TERM "$up" 2>/dev/null || true
  wait "$up" 2>/dev/null || true
}
trap stop EXIT
trap 'stop; exit 130' INT TERM

export SWEEP_SERVER=
for _ in $(seq 300); do
  if [ -s "$demo/state/coordinator/address" ]; then
    SWEEP_SERVER="http://$(sed 's#^http://##' "$demo/state/coordinator/address")"
    export SWEEP_SERVER
    if "$bin/sweepctl" agents --json 2>/dev/null | grep -q '"reachable"'; then break; fi
  fi
  kill -0 "$up" 2>/dev/null || { cat "$demo/up.log" >&2; exit 1; }
  sleep 0.1
done
"$bin/sweepctl" agents

say "sweeps/quickstart.toml"
"$bin/sweepctl" submit sweeps/quickstart.toml --watch

say "report"
"$bin/sweepctl" report quickstart

say "audit"
"$bin/sweepctl" audit quickstart

cat <<TEXT

Everything of this demo lies in $demo:
  data/demo           the images (real JPEG files, made by sweep-demo-images)
  state/coordinator   journal and checkpoints
  state/agent         attempts while they run
  state/log           what coordinator and agent said
  cache               decoded images

Try it yourself:
  $bin/sweepctl up --data $demo/data       # in one terminal
  $bin/sweepctl submit sweeps/quickstart.toml --watch
TEXT
