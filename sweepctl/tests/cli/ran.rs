//! Runs `sweepctl` with nothing of the developer's own settings.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that another process may take to get somewhere.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a run left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Fails with everything there is to see unless the exit code is this.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Standard output as one JSON document of the known schema.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        let value: serde_json::Value = serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:#?}"));
        assert_eq!(value["schema_version"], 1, "{self:#?}");
        value
    }

    /// Fails unless standard output contains this.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text), "no {text:?} in {self:#?}");
        self
    }

    /// Fails unless standard error contains this.
    #[track_caller]
    pub(crate) fn tells(self, text: &str) -> Self {
        assert!(self.err.contains(text), "no {text:?} in {self:#?}");
        self
    }
}

/// A command without the environment of whoever runs the tests.
pub(crate) fn command(home: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sweepctl"));
    command.args(args).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").env("USER", "ada");
    command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a prepared command.
pub(crate) fn finish(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs with arguments in a folder of its own.
pub(crate) fn run(home: &Path, args: &[&str]) -> Ran {
    finish(&mut command(home, args))
}

/// Runs with something on standard input.
pub(crate) fn run_with_input(home: &Path, args: &[&str], input: &[u8]) -> Ran {
    let mut child = command(home, args).stdin(Stdio::piped()).spawn().unwrap();
    // A program that refuses early does not read to the end.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// Writes a program. A process of its own holds the file open while it is written: a descriptor of this
/// process could be inherited by whatever another test starts just then, and the program be "busy".
pub(crate) fn program(path: &Path, text: &str) {
    write(path, "cat > \"$1\" && chmod 755 \"$1\"", text);
}

/// Puts a copy of `sweepctl` there, likewise.
pub(crate) fn copy_sweepctl(path: &Path) {
    write(path, concat!("cp '", env!("CARGO_BIN_EXE_sweepctl"), "' \"$1\""), "");
}

fn write(path: &Path, how: &str, text: &str) {
    let mut shell = Command::new("/bin/sh");
    let mut shell = shell.args(["-c", how, "sh"]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(shell.wait().unwrap().success());
}

/// Waits for what another process does: files and processes do not tell when they change, so it looks again and again.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, check: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
