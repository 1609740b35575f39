//! `sweep-fuzz TARGET|all`: changed inputs for the parts that read what others wrote; see `docs/reliability.md`.

fn main() -> anyhow::Result<()> {
    sweep_fuzzing::cli::main(&sweep_tests::fuzz::TARGETS, "sweep-fuzz")
}
