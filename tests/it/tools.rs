//! `deploy/test-tools.sh`, with a Python and a pip that only note what they are asked: what is installed once is found again, and what
//! cannot be installed is said and leaves everything as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PYTHON: &str = r#"#!/bin/sh
here=${0%/*}
case "$*" in
  "-c import sys; print(sys.executable)") echo "$0" ;;
  "-c import sys"*) echo "$0 of this version" ;;
  "-m pip --version") ;;
  "-m pip install --target "*)
    echo asked >>"$here/asked"
    [ ! -e "$here/offline" ] || { echo "ERROR: nobody answers" >&2; exit 1; }
    mkdir -p "$5/torch" && echo library >"$5/torch/lib.so"
    ;;
  "-c import "*) [ -e "$PYTHONPATH/torch/lib.so" ] && [ -z "$LD_LIBRARY_PATH" ] ;;
  *) exit 3 ;;
esac
"#;

/// Programs that stand before the real ones, and a folder to install into.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(bench.path("bin")).unwrap();
        let df = "#!/bin/sh\necho Avail\ncat \"${0%/*}/free\"\n";
        for (name, text) in [("python3", PYTHON), ("df", df)] {
            let path = bench.path("bin").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        bench.free("99000000000");
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn free(&self, bytes: &str) {
        fs::write(self.path("bin/free"), bytes).unwrap();
    }

    /// How often pip was asked to install.
    fn asked(&self) -> usize {
        fs::read_to_string(self.path("bin/asked")).unwrap_or_default().lines().count()
    }

    /// What the script prints, or the last line of what it says.
    fn install(&self, wanted: &str) -> Result<String, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/test-tools.sh");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(script);
        command.arg(self.path("tools")).env("PATH", path).env("SWEEP_TEST_TOOLS", wanted);
        let ran = command.output().unwrap();
        let (out, err) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        match ran.status.success() {
            true => Ok(out.trim_end().to_owned()),
            false => {
                assert_eq!((ran.status.code(), out.as_str()), (Some(1), ""), "{err}");
                Err(err.lines().last().unwrap_or_default().to_owned())
            }
        }
    }
}

#[test]
fn the_tools_of_the_tests_are_installed_once() {
    let bench = Bench::new();
    // As an interrupted run leaves it.
    fs::create_dir_all(bench.path("tools.tmp.1/new")).unwrap();
    let program = bench.install("yes").unwrap();
    assert_eq!(Path::new(&program), bench.path("tools/python"));
    assert!(!bench.path("tools.tmp.1").exists());
    let imported = Command::new(&program).args(["-c", "import torch"]).env("LD_LIBRARY_PATH", "/elsewhere").status();
    assert!(imported.unwrap().success(), "it has the packages, and brings its own libraries");
    assert_eq!((bench.install("yes").unwrap(), bench.asked()), (program.clone(), 1));
    // The stamp goes by the libraries that are there.
    fs::write(bench.path("tools/packages/torch/lib.so"), "cut").unwrap();
    assert_eq!((bench.install("yes").unwrap(), bench.asked()), (program, 2));
    assert_eq!(fs::read_to_string(bench.path("tools/packages/torch/lib.so")).unwrap(), "library\n");
}

#[test]
fn what_cannot_be_installed_is_said_and_leaves_everything_as_it_was() {
    let bench = Bench::new();
    let refused = |wanted: &str, why: &str| {
        let said = bench.install(wanted).unwrap_err();
        assert!(said.contains(why) && said.contains("will say that they were skipped"), "{said}");
    };
    refused("no", "SWEEP_TEST_TOOLS=no");
    refused("perhaps", "must be yes or no");
    bench.free("14000000000");
    refused("yes", "14 GB are free");
    assert_eq!(bench.asked(), 0);
    bench.free("99000000000");
    fs::write(bench.path("bin/offline"), "").unwrap();
    refused("yes", "nobody answers");
    let left: Vec<_> = fs::read_dir(bench.folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name == "bin" || name == "tools.lock"), "{left:?}");
    fs::create_dir(bench.path("tools")).unwrap();
    fs::write(bench.path("tools/mine"), "mine").unwrap();
    refused("yes", "was not made by this script");
    assert_eq!(fs::read_to_string(bench.path("tools/mine")).unwrap(), "mine");
}
