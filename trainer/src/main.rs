//! The program: an attempt folder in, an exit code out. Everything else is in the library.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use sweep_core::attempt::{Body, FailureClass, PROTOCOL};
use sweep_trainer::data::check::check;
use sweep_trainer::data::stats::stats;
use sweep_trainer::inspect::inspect;
use sweep_trainer::link::{Link, Stop};
use sweep_trainer::log::say;
use sweep_trainer::logits::logits;
use sweep_trainer::run::{build_name, last_line, libtorch_version, run};
use sweep_trainer::{TrainError, device, headway};

const HELP: &str = "\
Trains one trial on images.

Usage:
  sweep-trainer ATTEMPT_DIR          carry out ATTEMPT_DIR/order.json (see docs/protocol.md)
  sweep-trainer inspect PATH...      what data sets are there, one JSON object a line
  sweep-trainer check PATH           looks at every image of a data set, one JSON object
  sweep-trainer stats PATH CACHE_DIR sizes, mean and standard deviation of its training images, JSON
  sweep-trainer logits CHECKPOINT [--image-size N] [--images N]
                                     logits of a checkpoint on a fixed input, JSON
  sweep-trainer --version

Exit codes of a trial: 0 done or stopped, 10 recipe, 11 data, 12 diverged, 13 out of memory,
14 device, 15 host, 16 crash; 2 wrong usage; 3 the folder is taken or was begun before.
";

fn main() -> ExitCode {
    match program() {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn program() -> anyhow::Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(|word| word.to_str()).collect();
    match words.as_slice() {
        [Some("--help" | "-h")] => print(HELP)?,
        [Some("--version" | "-V")] => print(&format!(
            "{} (protocol {PROTOCOL}, libtorch {}, cuda {})\n",
            build_name(),
            libtorch_version(),
            if device::cuda_is_loaded() { "yes" } else { "no" },
        ))?,
        [Some("inspect"), _, ..] => {
            for path in &arguments[1..] {
                let about = inspect(Path::new(path));
                print(&(serde_json::to_string(&about)? + "\n"))?;
            }
        }
        [Some("check"), _] => print(&(serde_json::to_string(&check(Path::new(&arguments[1])))? + "\n"))?,
        [Some("stats"), _, _] => {
            let found = stats(Path::new(&arguments[1]), Path::new(&arguments[2]));
            print(&(serde_json::to_string(&found)? + "\n"))?;
        }
        [Some("logits"), _, options @ ..] => {
            let (mut image_size, mut images) = (None, 4);
            for pair in options.chunks(2) {
                match pair {
                    [Some("--image-size"), Some(n)] => image_size = Some(n.parse()?),
                    [Some("--images"), Some(n)] => images = n.parse()?,
                    _ => bail!("unknown option; see sweep-trainer --help"),
                }
            }
            let found = logits(Path::new(&arguments[1]), image_size, images)?;
            print(&(serde_json::to_string(&found)? + "\n"))?;
        }
        [Some(option), ..] if option.starts_with('-') => {
            bail!("unknown option {option}; see sweep-trainer --help")
        }
        [_] => return attempt(&PathBuf::from(&arguments[0])),
        _ => bail!("expected one attempt folder; see sweep-trainer --help"),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to stdout"),
    }
}

fn attempt(folder: &Path) -> anyhow::Result<ExitCode> {
    // Before any lock is taken.
    device::start_again_if_needed(folder);
    let stop = Stop::default();
    stop.on_signals().context("cannot handle signals")?;
    let mut link = match Link::open(folder) {
        Ok(link) => link,
        Err(refusal) => {
            say(&refusal);
            return Ok(ExitCode::from(3));
        }
    };
    let last = match link.order() {
        Err(error) => last_line(&TrainError::Order(error), 0, &stop),
        Ok(order) => {
            let limit = Duration::from_secs(order.orphan_limit_s);
            stop.watch_agent(order.agent_lock.clone(), limit).context("cannot start the watchdog")?;
            let folder = link.folder().to_path_buf();
            if let Err(error) = headway::show(&folder, &stop) {
                say(format_args!("cannot show how the trial gets on: {error}"));
            }
            run(&order, &folder, &mut |body| link.emit(body, &stop), &stop)
        }
    };
    let code = exit_code(&last);
    if let Body::Failed(failed) = &last {
        say(format_args!("{}: {}", failed.reason, failed.message));
    }
    // The last word is said even after SIGTERM, and even if it has to wait for room.
    link.emit(last, &Stop::default()).context("the final line is lost")?;
    Ok(ExitCode::from(code))
}

fn exit_code(last: &Body) -> u8 {
    match last {
        Body::Failed(failed) => match failed.class {
            FailureClass::Recipe => 10,
            FailureClass::Data => 11,
            FailureClass::Diverged => 12,
            FailureClass::OutOfMemory => 13,
            FailureClass::Device => 14,
            FailureClass::Host => 15,
            FailureClass::Crash => 16,
        },
        _ => 0,
    }
}
