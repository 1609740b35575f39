# `make demo` sets everything up and runs a real sweep; `make test` runs everything that must hold.
# Needs a Rust toolchain, python3 with pip, make and gcc. Everything else is fetched by the scripts
# here into folders of the project: .deps (libtorch, what tests compare with), target (builds), .demo (the demo's state).

CARGO := cargo
export SWEEP_TEST_DATA ?= $(abspath $(wildcard ../shared/data))

.PHONY: demo test build release package libtorch lint unit bench chaos proof fuzz clean-demo

demo: release
	deploy/demo.sh target/release

test: lint unit

libtorch:
	deploy/libtorch.sh

release: libtorch
	$(CARGO) build --release --locked --workspace --bins

# target/package/sweep-VERSION-ARCH.tar.gz with an install script.
package: release
	deploy/package.sh

build: libtorch
	$(CARGO) build --locked --workspace --bins

lint: libtorch
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items

# The binaries first: process tests run them. PYTHON has what some tests compare with; where that is not to be had they say that they
# were skipped.
unit: build
	PYTHON="$${PYTHON:-$$(deploy/test-tools.sh || echo python3)}" $(CARGO) test --locked --workspace

# The figures of the README and of docs/reliability.md, on this machine.
bench: release
	target/release/sweepctl bench dispatch
	target/release/sweepctl bench dispatch --trials 10000 --agents 1000 --slots 1
	target/release/sweepctl bench dispatch --trials 6000 --agents 1000 --slots 1 --lasting 10
	target/release/sweepctl bench large
	target/release/sweepctl bench load
	target/release/sweepctl bench faults
	$(CARGO) run --release --locked -p sweep-core --example schedule_speed

# 500 trials that train nothing under 1,000 kills and everything else of docs/reliability.md, then the acceptance sweep under the same. The second
# needs real images.
chaos: release
	rm -rf target/chaos target/chaos-images
	target/release/sweep-chaos --trials 500 --cycles 1000 --every 0.3 --out target/chaos
	target/release/sweep-chaos sweeps/imagenette-small.toml --data $(SWEEP_TEST_DATA) --out target/chaos-images

# Everything of docs/reliability.md that takes longer than the tests: more seeds of both simulations, every planted bug. Hours.
proof: release
	target/release/sweep-model 10000 100000
	for seed in $$(seq 1001 3000); do target/release/sweep-sim $$seed > /dev/null || exit 1; done
	python3 tests/mutants/plant.py

# Changed inputs for everything that reads what others wrote: FUZZ_SECONDS for each of the seven targets, an hour in all.
FUZZ_SECONDS ?= 510
fuzz: release
	target/release/sweep-fuzz all --seconds $(FUZZ_SECONDS)
	$(CARGO) run --release --locked -p sweep-trainer --example fuzz -- all --seconds $(FUZZ_SECONDS)

clean-demo:
	rm -rf .demo
