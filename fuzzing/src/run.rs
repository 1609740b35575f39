//! Runs one target: first every file of its corpus, then changed ones until a number of inputs or a time is reached. An input
//! that leads to something new is kept in memory and changed further. A panic is caught; an input that takes too long ends the
//! process, and its file is there already.

use std::any::Any;
use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use fastrand::Rng;

use crate::Target;
use crate::mutate::mutate;
use crate::shrink::shrink;

/// Longest time for one input. Wide: a debug build on a busy machine.
pub const TOO_LONG: Duration = Duration::from_secs(60);
/// Most memory that an input may add to what the process had when its target began, bytes.
pub const TOO_MUCH: u64 = 512 << 20;
/// Most inputs that are kept to be changed.
const KEPT: usize = 4096;

/// How long.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// So many changed inputs: the same ones at every time.
    Inputs(u64),
    /// So long.
    Time(Duration),
}

/// What a run needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the changes are drawn from.
    pub seed: u64,
    /// How long.
    pub until: Until,
    /// The folder with a folder of inputs for each target.
    pub corpus: PathBuf,
    /// Where inputs are written that show something.
    pub out: PathBuf,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Files of the corpus.
    pub corpus: u64,
    /// Inputs tried, with those of the corpus.
    pub inputs: u64,
    /// Different things that they led to.
    pub kinds: u64,
    /// How long it took.
    pub took: Duration,
    /// The slowest input.
    pub slowest: Duration,
    /// Memory that was added at most, bytes.
    pub memory: u64,
    /// Where the input is that shows something, and what.
    pub found: Option<(PathBuf, String)>,
}

/// The inputs of a target that are kept: path and bytes, in the order of their names.
///
/// # Errors
/// When the folder is not there or empty, or a file cannot be read.
pub fn corpus(folder: &Path, target: &Target) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = folder.join(target.name);
    let entries = fs::read_dir(&folder).with_context(|| format!("reading the corpus in {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "{} holds no input to begin with", folder.display());
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok((path, bytes))
    };
    paths.into_iter().map(read).collect()
}

/// Runs a target.
///
/// # Errors
/// When a file cannot be read or written. What the target shows is no error: it is in the outcome.
pub fn run(target: &Target, settings: &Settings) -> Result<Outcome> {
    let files = corpus(&settings.corpus, target)?;
    fs::create_dir_all(&settings.out).with_context(|| format!("making {}", settings.out.display()))?;
    let mut lane = Lane::new(target, &settings.out)?;
    let mut random = Rng::with_seed(settings.seed);
    let (mut pool, mut kinds) = (Vec::new(), HashSet::new());
    let mut outcome = Outcome {
        corpus: files.len() as u64,
        inputs: 0,
        kinds: 0,
        took: Duration::ZERO,
        slowest: Duration::ZERO,
        memory: 0,
        found: None,
    };
    let mut files = files.into_iter();
    let start = Instant::now();
    loop {
        let (path, input) = match files.next() {
            Some((path, input)) => (Some(path), input),
            None => {
                let over = match settings.until {
                    Until::Inputs(most) => outcome.inputs - outcome.corpus >= most,
                    Until::Time(most) => start.elapsed() >= most,
                };
                if over {
                    break;
                }
                let [input, other]: [&Vec<u8>; 2] = std::array::from_fn(|_| &pool[random.usize(..pool.len())]);
                (None, mutate(input, other, target.words, &mut random))
            }
        };
        outcome.inputs += 1;
        let ran = lane.one(&input)?;
        outcome.slowest = outcome.slowest.max(ran.took);
        outcome.memory = outcome.memory.max(ran.memory);
        match ran.seen {
            Ok(seen) => {
                let is_new = kinds.insert(seen);
                if path.is_some() || (is_new && pool.len() < KEPT) {
                    pool.push(input);
                }
            }
            Err(what) => {
                let path = match path {
                    Some(path) => path,
                    None => lane.keep(&input, &what)?,
                };
                outcome.found = Some((path, what));
                break;
            }
        }
    }
    (outcome.kinds, outcome.took) = (kinds.len() as u64, start.elapsed());
    lane.end()?;
    Ok(outcome)
}

struct Ran {
    seen: Result<u64, String>,
    took: Duration,
    memory: u64,
}

/// One input after the other, each in a file before it runs, with somebody who looks at the time.
struct Lane<'a> {
    target: &'a Target,
    out: &'a Path,
    path: PathBuf,
    file: File,
    before: u64,
    /// When the input that runs began, ms since the first; 0 between two inputs.
    began: Arc<AtomicU64>,
    first: Instant,
    /// Dropped at the end: the watch leaves.
    _watched: mpsc::Sender<()>,
}

impl<'a> Lane<'a> {
    fn new(target: &'a Target, out: &'a Path) -> Result<Self> {
        let path = out.join(format!("{}-running", target.name));
        let file = File::create(&path).with_context(|| format!("making {}", path.display()))?;
        // The highest mark so far is forgotten, where the kernel lets us.
        fs::write("/proc/self/clear_refs", "5").ok();
        let (began, first) = (Arc::new(AtomicU64::new(0)), Instant::now());
        let (watched, ended) = mpsc::channel();
        let (name, seen, shown) = (target.name, began.clone(), path.clone());
        thread::spawn(move || watch(name, &seen, first, &shown, &ended));
        Ok(Self { target, out, path, file, before: highest_memory(), began, first, _watched: watched })
    }

    fn one(&mut self, input: &[u8]) -> Result<Ran> {
        let write = self.file.set_len(0).and_then(|()| self.file.write_all_at(input, 0));
        write.with_context(|| format!("writing {}", self.path.display()))?;
        let start = Instant::now();
        self.began.store(self.first.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        let seen = catch_unwind(AssertUnwindSafe(|| (self.target.run)(input))).map_err(|panic| words(&*panic));
        self.began.store(0, Ordering::Relaxed);
        let memory = highest_memory().saturating_sub(self.before);
        let seen = seen.and_then(|seen| match memory > TOO_MUCH {
            true => Err(format!("{} MiB more memory than before", memory >> 20)),
            false => Ok(seen),
        });
        Ok(Ran { seen, took: start.elapsed(), memory })
    }

    /// Writes what shows something, made small if it panics.
    fn keep(&self, input: &[u8], what: &str) -> Result<PathBuf> {
        let panics = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| (self.target.run)(input))).is_err();
        // It said what it had to say.
        let said = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let small = if panics(input) { shrink(input, panics) } else { input.to_vec() };
        std::panic::set_hook(said);
        let name = format!(
            "{}-{:08x}",
            self.target.name,
            what.bytes().fold(0u32, |sum, byte| sum.rotate_left(5) ^ u32::from(byte))
        );
        let path = self.out.join(name);
        fs::write(&path, small).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    fn end(self) -> Result<()> {
        fs::remove_file(&self.path).with_context(|| format!("removing {}", self.path.display()))
    }
}

#[expect(clippy::print_stderr, reason = "nobody else can say it: the thread that runs the input is busy")]
fn watch(name: &str, began: &AtomicU64, first: Instant, path: &Path, ended: &mpsc::Receiver<()>) {
    while ended.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
        let since = began.load(Ordering::Relaxed);
        if since > 0 && first.elapsed().saturating_sub(Duration::from_millis(since)) > TOO_LONG {
            eprintln!("{name}: an input takes longer than {} s; it is in {}", TOO_LONG.as_secs(), path.display());
            std::process::abort();
        }
    }
}

/// What a panic says.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it panicked without a word").to_owned()
}

/// The most memory that this process ever had at once, bytes; 0 where nobody says.
fn highest_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragile(bytes: &[u8]) -> u64 {
        assert!(!bytes.contains(&b'!'), "an exclamation mark");
        bytes.len() as u64
    }

    fn settings(folder: &Path, until: Until) -> Settings {
        fs::create_dir_all(folder.join("corpus/fragile")).unwrap();
        fs::write(folder.join("corpus/fragile/a"), "harmless").unwrap();
        Settings { seed: 1, until, corpus: folder.join("corpus"), out: folder.join("out") }
    }

    const FRAGILE: Target = Target { name: "fragile", run: fragile, words: &["!"], share: 10 };

    #[test]
    fn a_panic_is_found_made_small_and_written() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), Until::Inputs(100_000));
        let outcome = run(&FRAGILE, &settings).unwrap();
        let (path, what) = outcome.found.unwrap();
        assert_eq!(what, "an exclamation mark");
        assert_eq!(fs::read(&path).unwrap(), b"!");
        assert_eq!(fs::read_dir(&settings.out).unwrap().count(), 1, "the input that ran is put away");
        // The same seed finds the same at the same place.
        assert_eq!(run(&FRAGILE, &settings).unwrap().inputs, outcome.inputs);
    }

    #[test]
    fn too_much_memory_is_found() {
        fn greedy(bytes: &[u8]) -> u64 {
            let held = vec![bytes.len() as u8 | 1; 600 << 20];
            held.iter().step_by(4096).map(|byte| u64::from(*byte)).sum()
        }
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), Until::Inputs(1));
        let outcome = run(&Target { run: greedy, ..FRAGILE }, &settings).unwrap();
        assert!(outcome.found.is_some_and(|(path, what)| path.ends_with("fragile/a") && what.contains("more memory")));
    }

    #[test]
    fn without_a_corpus_nothing_is_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path(), Until::Inputs(1));
        fs::remove_file(settings.corpus.join("fragile/a")).unwrap();
        assert!(run(&FRAGILE, &settings).is_err());
    }
}
