//! Who may call what, for every method of the descriptors x role x ownership: the table in
//! `docs/security.md`, which is written by `UPDATE=1 cargo test -p sweep-proto` and read by people. A method
//! that is added shows up there, in the diff of whoever adds it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::fmt::Write as _;
use std::path::Path;

use sweep_core::access::{Caller, Permission, Reach, Role};
use sweep_proto::PERMISSIONS;
use sweep_proto::convert::permission;

const BEGIN: &str = "<!-- matrix: written by UPDATE=1 cargo test -p sweep-proto -->\n";
const END: &str = "<!-- end of the matrix -->\n";

/// On what of the three kinds of things a caller may use a method.
fn cell(caller: Caller, permission: Permission) -> String {
    let marks = Reach::ALL.map(|reach| caller.may(permission, reach));
    match marks {
        [true, true, true] => "all".to_owned(),
        [true, true, false] => "project".to_owned(),
        [true, false, false] => "own".to_owned(),
        [false, false, false] => "-".to_owned(),
        odd => panic!("{caller:?} {permission:?}: a nearer thing allows less: {odd:?}"),
    }
}

fn callers() -> Vec<(String, Caller)> {
    let people = Role::ALL.map(|role| (role.name().to_owned(), Caller::Person(role)));
    let others = [("stranger", Caller::Stranger), ("joiner", Caller::Joiner), ("agent", Caller::Agent)];
    others.map(|(name, caller)| (name.to_owned(), caller)).into_iter().chain(people).collect()
}

fn matrix() -> String {
    let callers = callers();
    let names: Vec<&str> = callers.iter().map(|(name, _)| name.as_str()).collect();
    let mut table = format!("| method | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for (path, _) in PERMISSIONS {
        let asks = permission(path).unwrap();
        let cells: Vec<String> = callers.iter().map(|(_, caller)| cell(*caller, asks)).collect();
        let method = path.trim_start_matches("/sweep.v1.").replace('/', ".");
        writeln!(table, "| `{method}` | {} |", cells.join(" | ")).unwrap();
    }
    table
}

#[test]
fn the_matrix_in_the_handbook_is_the_one_that_is_enforced() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = text.split_once(BEGIN).expect("the mark before the table");
    let (found, tail) = rest.split_once(END).expect("the mark after the table");
    let wanted = matrix();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{head}{BEGIN}{wanted}{END}{tail}")).unwrap();
    } else {
        assert_eq!(found, wanted, "UPDATE=1 cargo test -p sweep-proto writes it anew; look at the difference");
    }
}

/// What must hold whatever is added, method by method.
#[test]
fn no_method_is_open_by_accident() {
    for (path, _) in PERMISSIONS {
        let asks = permission(path).unwrap();
        let may = |caller: Caller| Reach::ALL.map(|reach| caller.may(asks, reach));
        let public = *path == "/sweep.v1.Sweeps/Info";
        assert_eq!(may(Caller::Stranger).contains(&true), public, "{path} and strangers");
        let [_, project, elsewhere] = may(Caller::Agent);
        assert!(public || (!project && !elsewhere), "{path}: an agent reaches for what is not its own");
        if path.starts_with("/sweep.v1.Agents/") {
            assert_eq!(asks, Permission::Agent, "{path} is for agents only");
        }
        for role in [Role::Viewer, Role::User, Role::ProjectAdmin] {
            let [_, _, elsewhere] = may(Caller::Person(role));
            let harmless = matches!(asks, Permission::Public | Permission::Myself);
            assert!(harmless || !elsewhere, "{path}: {role} reaches into a foreign project");
        }
        let changes = ["Submit", "Cancel", "Retry", "Put", "Remove", "Create", "Revoke", "Set", "Move"];
        let method = path.rsplit('/').next().unwrap();
        if changes.iter().any(|word| method.starts_with(word)) {
            assert!(!may(Caller::Person(Role::Viewer)).contains(&true), "{path}: a viewer changes something");
        }
    }
}
