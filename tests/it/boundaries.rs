//! Who may import whom, read from `cargo metadata`: the pure core stays pure, only the trainer links
//! libtorch, and every dependency has a licence that allows use.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

fn metadata() -> Value {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked", "--offline", "--manifest-path", manifest]);
    // Packages of other systems are in the lock file but not on this machine: a build never fetches them.
    command.args(["--filter-platform", &format!("{}-unknown-linux-gnu", std::env::consts::ARCH)]);
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Package name -> names of its normal dependencies.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().unwrap();
    let entry = |package: &Value| {
        let names = package["dependencies"].as_array().unwrap().iter();
        let normal = names.filter(|dependency| dependency["kind"].is_null());
        let names = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
        (package["name"].as_str().unwrap().to_owned(), names)
    };
    packages.iter().map(entry).collect()
}

/// Everything a package pulls in.
fn closure(all: &BTreeMap<String, BTreeSet<String>>, of: &str) -> BTreeSet<String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![of.to_owned()]);
    while let Some(name) = open.pop() {
        for next in all.get(&name).into_iter().flatten() {
            if seen.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    seen
}

#[test]
fn no_crate_imports_what_it_must_not() {
    let all = dependencies(&metadata());
    let rules: [(&str, &[&str]); 8] = [
        ("sweep-core", &["tokio", "tonic", "prost", "tch", "rand", "tracing", "tracing-subscriber", "sqlx"]),
        ("sweep-proto", &["sweep-coordinator", "sweep-agent", "sweep-trainer", "sweepctl"]),
        ("sweep-identity", &["sweep-core", "sweep-proto", "sweep-coordinator", "sweep-agent", "sweepctl", "aws-lc-rs"]),
        ("sweep-ops", &["sweep-core", "sweep-proto", "sweep-identity", "sweep-coordinator", "sweep-agent", "sweepctl"]),
        ("sweep-coordinator", &["sweep-agent", "sweep-trainer", "sweepctl", "tch"]),
        ("sweep-agent", &["sweep-coordinator", "sweep-trainer", "sweepctl", "tch"]),
        (
            "sweep-trainer",
            &[
                "sweep-proto",
                "sweep-identity",
                "sweep-ops",
                "tonic",
                "tokio",
                "sweep-agent",
                "sweep-coordinator",
                "sweepctl",
            ],
        ),
        ("sweepctl", &["sweep-coordinator", "sweep-agent", "sweep-trainer", "tch"]),
    ];
    for (package, forbidden) in rules {
        assert!(all.contains_key(package), "{package} is gone: mend this rule");
        let direct = &all[package];
        let bad: Vec<_> = forbidden.iter().filter(|name| direct.contains(**name)).collect();
        assert!(bad.is_empty(), "{package} must not depend on {bad:?}");
    }
    for package in ["sweep-core", "sweep-proto", "sweep-coordinator", "sweep-agent", "sweepctl", "sweep-tests"] {
        assert!(!closure(&all, package).contains("tch"), "{package} pulls in libtorch");
    }
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    const ALLOWED: [&str; 14] = [
        "MIT",
        "Apache-2.0",
        "Apache-2.0 WITH LLVM-exception",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "CC0-1.0",
        "0BSD",
        "BSL-1.0",
        "Unlicense",
        "CDLA-Permissive-2.0",
        "MIT-0",
    ];
    let metadata = metadata();
    let mut bad = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or("none").replace('/', " OR ");
        // Good if one alternative consists of allowed licences only.
        let allowed = licence.split(" OR ").any(|alternative| {
            let mut parts = alternative.split(" AND ");
            parts.all(|part| ALLOWED.contains(&part.trim_matches(|c| matches!(c, '(' | ')' | ' '))))
        });
        if !allowed {
            bad.push(format!("{}: {licence}", package["name"]));
        }
    }
    assert!(bad.is_empty(), "licences to look at: {bad:#?}");
}

#[test]
fn every_method_declares_who_may_call_it() {
    // The build refuses a method without a permission; here: none of them is open by accident.
    let public: Vec<&str> =
        (sweep_proto::PERMISSIONS.iter()).filter(|(_, who)| *who == 1).map(|(path, _)| *path).collect();
    assert_eq!(public, ["/sweep.v1.Sweeps/Info"]);
    assert!(sweep_proto::PERMISSIONS.len() >= 18);
}
