//! A trainer that wants more than its trial: the agent starts it inside walls, and nothing it tries works. What it may do it can.

#![expect(clippy::unwrap_used, reason = "what a test or its helper cannot do fails the test")]
#![expect(dead_code, reason = "the support of the other tests is used in part")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;

use support::Host;
use sweep_agent::sandbox::Features;

const ONE: &str = "name = \"t\"\ndataset = \"d\"\nepochs = 2\n";

/// A child in a new user namespace, by the number of `clone` itself (x86-64).
const CLONE: &str = r#"
import ctypes, os, signal
NEWUSER = 0x10000000
child = ctypes.CDLL(None, use_errno=True).syscall(56, NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
if child == 0: os._exit(0)
raise SystemExit(child < 0 or os.waitpid(child, 0)[1])
"#;
/// The same by `clone3`, which takes what is asked for from memory.
const CLONE3: &str = r#"
import ctypes, os, signal
asked = (ctypes.c_uint64 * 8)(0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
child = ctypes.CDLL(None, use_errno=True).syscall(435, asked, 64)
if child == 0: os._exit(0)
raise SystemExit(child < 0 or os.waitpid(child, 0)[1])
"#;

#[tokio::test]
async fn a_hostile_trainer_gets_nothing() {
    let features = Features::of_this_kernel();
    if !features.gaps().is_empty() {
        // Past the test runner, which keeps back what a passing test prints.
        let _ = writeln!(io::stderr(), "skipped in part: {}", features.gaps().join("; "));
    }
    let mut host = Host::with_script("true").await;
    let folder = host.folder.path().to_owned();
    let place = |name: &str| folder.join(name).display().to_string();
    fs::create_dir_all(folder.join("home/.ssh")).unwrap();
    fs::create_dir_all(folder.join("state/pretend-0/attempts/other")).unwrap();
    for secret in ["home/.ssh/id_ed25519", "state/pretend-0/member.pem", "state/pretend-0/attempts/other/order.json"] {
        fs::write(folder.join(secret), "secret").unwrap();
    }
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let _unix = UnixListener::bind(folder.join("socket")).unwrap();
    let (tcp, udp) = (tcp.local_addr().unwrap().port(), udp.local_addr().unwrap().port());
    let python = "import socket; socket.socket(socket.AF_UNIX).connect";
    let tries = [
        // What it needs.
        ("own_folder", "echo x > \"$1/new\"".to_owned(), true),
        ("own_order", "cat \"$1/order.json\"".to_owned(), true),
        ("cache", format!("echo x > {}", place("cache/new")), true),
        ("temporary", "test \"$TMPDIR\" = \"$1\"".to_owned(), true),
        ("system", "cat /proc/self/status /usr/bin/env".to_owned(), true),
        ("no_cores", "test \"$(ulimit -c)\" = 0".to_owned(), true),
        // What it does not.
        ("agent_key", format!("cat {}", place("state/pretend-0/member.pem")), false),
        ("ssh_key", format!("cat {}", place("home/.ssh/id_ed25519")), false),
        ("other_attempt", format!("cat {}", place("state/pretend-0/attempts/other/order.json")), false),
        ("passwords", "cat /etc/passwd".to_owned(), false),
        ("list", format!("ls {}", folder.display()), false),
        ("write_outside", format!("echo x > {}", place("outside")), false),
        ("write_state", format!("echo x > {}", place("state/pretend-0/attempts/new")), false),
        ("write_tmp", "echo x > /tmp/sweep-hostile-trainer".to_owned(), false),
        ("replace_itself", format!("echo x > {}", place("trainer")), false),
        ("link_out", "ln -s /etc/passwd \"$1/link\"".to_owned(), false),
        ("program", "cp /usr/bin/env \"$1/p\" && chmod 755 \"$1/p\" && \"$1/p\"".to_owned(), false),
        ("tcp", format!("bash -c 'echo x > /dev/tcp/127.0.0.1/{tcp}'"), false),
        ("udp", format!("bash -c 'echo x > /dev/udp/127.0.0.1/{udp}'"), false),
        ("socket", format!("python3 -c '{python}(\"{}\")'", place("socket")), false),
        ("agent_environment", "cat /proc/$PPID/environ".to_owned(), false),
        ("agent_files", "readlink /proc/$PPID/cwd".to_owned(), false),
        ("agent_memory", "cat /proc/$PPID/maps".to_owned(), false),
        ("signal_agent", "kill -0 $PPID".to_owned(), false),
        ("namespace", "unshare -U true".to_owned(), false),
        ("namespace_of_clone", format!("python3 -c '{CLONE}'"), false),
        ("process_of_clone", format!("python3 -c '{}'", CLONE.replace("NEWUSER = 0x10000000", "NEWUSER = 0")), true),
        ("namespace_of_clone3", format!("python3 -c '{CLONE3}'"), false),
        (
            "thread",
            "python3 -c 'import threading; t = threading.Thread(target=print); t.start(); t.join()'".to_owned(),
            true,
        ),
        ("mount", "mount -t tmpfs none \"$1\"".to_owned(), false),
    ];
    // What each wall keeps out; what has to work always does.
    let is_kept_out = |name: &str| match name {
        "signal_agent" => features.landlock >= 6,
        "tcp" | "udp" | "socket" | "mount" => features.seccomp,
        _ if name.starts_with("namespace") => features.seccomp,
        _ => features.landlock >= 1,
    };
    let tries = tries.into_iter().filter(|(name, _, may)| *may || is_kept_out(name));
    let tries: Vec<_> = tries.filter(|(name, ..)| cfg!(target_arch = "x86_64") || !name.contains("clone")).collect();
    let lines = tries.iter().map(|(name, what, _)| {
        format!("if ({what}) >/dev/null 2>&1; then echo {name}=yes; else echo {name}=no; fi >> \"$1/said\"\n")
    });
    let script = format!("#!/bin/sh\n{}mv \"$1/said\" \"$1/done\"\nexec sleep 60\n", lines.collect::<String>());
    fs::write(folder.join("trainer"), script).unwrap();

    host.start_agent();
    host.fake.submit(ONE);
    let mut said = String::new();
    host.until("the trainer has tried everything", || {
        let attempts = fs::read_dir(folder.join("state/pretend-0/attempts")).unwrap();
        let found = attempts.flatten().find_map(|entry| fs::read_to_string(entry.path().join("done")).ok());
        said = found.unwrap_or_default();
        !said.is_empty()
    })
    .await;
    let got: BTreeMap<&str, &str> = said.lines().filter_map(|line| line.split_once('=')).collect();
    let wrong: Vec<_> =
        tries.iter().filter(|(name, _, may)| got.get(name).copied() != Some(if *may { "yes" } else { "no" })).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(!folder.join("outside").exists());
}
