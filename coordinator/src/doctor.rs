//! What is wrong with this coordinator's host. Looks and changes nothing; works beside a coordinator that runs.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use sweep_identity::authority::Authority;
use sweep_ops::doctor::Findings;

use crate::access::init::{authority_folder, is_lab, local_token};
use crate::config::{Listen, loopback_only};
use crate::folder::{self, FolderError};

/// Looks at a data folder and an address to listen on.
pub fn look(data: &Path, listen: &Listen, metrics: Option<SocketAddr>) -> Findings {
    let mut found = Findings::default();
    found.ok("release", format!("{} (protocol {})", env!("CARGO_PKG_VERSION"), sweep_proto::PROTOCOL));
    found.disk("disk", data);
    if data.exists() {
        files(data, &mut found);
    } else {
        found.ok("data", format!("{} is not there yet: the first start makes it", data.display()));
    }
    let runs = matches!(data.exists().then(|| folder::lock(data)), Some(Err(FolderError::Taken(_))));
    if runs {
        found.ok("running", format!("a coordinator works on {}", data.display()));
    } else {
        address(data, listen, &mut found);
        if let Some(metrics) = metrics {
            bind("metrics", metrics, &mut found);
        }
    }
    found
}

fn files(data: &Path, found: &mut Findings) {
    found.private("data", data);
    for name in ["access.db", "local-token", "notify.toml"] {
        found.private("secrets", &data.join(name));
    }
    let authority = authority_folder(data);
    found.private("CA", &authority);
    if is_lab(data) {
        match Authority::open(&authority) {
            Ok(authority) => {
                found.ok("CA", format!("fingerprint {}, for {}", authority.fingerprint(), authority.names().join(", ")))
            }
            Err(error) => found.problem("CA", chain(&error), "restore ca/ from the backup"),
        }
    } else {
        let token = local_token(data).exists();
        found.ok("logins", if token { "one token, this host alone" } else { "none: this host alone" });
    }
    match folder::on_this_host(data) {
        Ok(()) => found.ok("file system", "local"),
        Err(error @ FolderError::Remote { .. }) => {
            found.problem("file system", error.to_string(), "keep --data on a disk of this host");
        }
        Err(error) => found.warn("file system", chain(&error), "look at the mount"),
    }
}

fn address(data: &Path, listen: &Listen, found: &mut Findings) {
    match listen {
        Listen::Socket(path) => found.ok("address", format!("unix:{}", path.display())),
        Listen::Network(address) if is_lab(data) => bind("address", *address, found),
        Listen::Network(address) => match loopback_only(*address) {
            Ok(address) => bind("address", address, found),
            Err(error) => found.problem("address", error.to_string(), "sweepctl admin init --host NAME"),
        },
    }
}

fn bind(check: &'static str, address: SocketAddr, found: &mut Findings) {
    match TcpListener::bind(address) {
        Ok(_) => found.ok(check, format!("{address} is free")),
        Err(error) => {
            let fix = format!("`ss -ltnp 'sport = :{}'` says who has it; or choose another address", address.port());
            found.problem(check, format!("{address}: {error}"), fix);
        }
    }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use sweep_ops::doctor::Level;

    use super::*;

    fn level(found: &Findings, check: &str) -> Level {
        found.findings.iter().filter(|finding| finding.check == check).map(|finding| finding.level).max().unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_folder_and_an_address_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let free = Listen::Network("127.0.0.1:0".parse().unwrap());
        let _held = folder::lock(&data).unwrap();
        let found = look(&data, &free, None);
        assert_eq!((level(&found, "data"), level(&found, "running")), (Level::Ok, Level::Ok), "{}", found.text());
        drop(_held);

        Authority::create(&authority_folder(&data), &["localhost".to_owned()]).unwrap();
        let key = authority_folder(&data);
        assert_eq!(level(&look(&data, &free, None), "CA"), Level::Ok);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o755)).unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = look(&data, &Listen::Network(taken.local_addr().unwrap()), None);
        assert_eq!((level(&found, "CA"), level(&found, "address")), (Level::Problem, Level::Problem));
        let fixes: Vec<_> = found.findings.iter().map(|finding| finding.fix.as_str()).collect();
        assert!(fixes.iter().any(|fix| fix.starts_with("chmod 700 ")), "{fixes:?}");
    }

    #[test]
    fn an_open_address_without_logins_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let found = look(&folder.path().join("new"), &Listen::Network("0.0.0.0:7070".parse().unwrap()), None);
        assert_eq!(level(&found, "address"), Level::Problem);
        assert!(!folder.path().join("new").exists(), "it only looks");
    }
}
