//! `cargo run --release -p sweep-trainer --example fuzz -- TARGET|all`: changed inputs for the parts of the trainer that read files of
//! others; see `docs/reliability.md`.

mod targets;

fn main() -> anyhow::Result<()> {
    sweep_fuzzing::cli::main(&targets::TARGETS, "cargo run --release -p sweep-trainer --example fuzz --")
}
