//! What the trainer of this host is: asked once at the start, because results of earlier sweeps stand only for what the same release would make.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Loading libtorch with CUDA from a cold disk takes some seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// As the trainer says it when it starts, e.g. `sweep-trainer 0.5.0, libtorch 2.11.0+cpu`; nothing if it does not say.
pub async fn program(trainer: &Path) -> Option<String> {
    let mut asked = Command::new(trainer);
    asked.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let said = timeout(PATIENCE, asked.output()).await.ok()?.ok().filter(|said| said.status.success())?;
    parse(std::str::from_utf8(&said.stdout).ok()?)
}

/// `NAME VERSION (protocol N, ENGINE, ...)`.
fn parse(text: &str) -> Option<String> {
    let (name, rest) = text.trim().split_once(" (")?;
    let mut parts = rest.strip_suffix(')')?.split(", ");
    parts.next().filter(|first| first.starts_with("protocol "))?;
    let engine = parts.next().map(|engine| format!(", {engine}")).unwrap_or_default();
    (!text.trim().contains('\n')).then(|| format!("{name}{engine}"))
}

/// The version of the folder protocol in the same words.
pub fn protocol(text: &str) -> Option<u32> {
    let (_, number) = text.split_once(" (protocol ")?;
    number.split([',', ')']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trainer_is_known_by_its_release_and_what_computes_in_it() {
        let said = "sweep-trainer 0.5.0 (protocol 3, libtorch 2.11.0+cpu, cuda no)\n";
        assert_eq!(parse(said).as_deref(), Some("sweep-trainer 0.5.0, libtorch 2.11.0+cpu"));
        assert_eq!(parse("pretend 1 (protocol 3)\n").as_deref(), Some("pretend 1"));
        for odd in ["", "python 3.12", "x (y)", "x 1 (protocol 1\n)", "a 1 (protocol 1)\nb"] {
            assert_eq!(parse(odd), None, "{odd}");
        }
        // Who computes with no engine has nothing behind the number.
        assert_eq!((protocol(said), protocol("pretend 1 (protocol 3)\n")), (Some(3), Some(3)));
        assert_eq!((protocol("python 3.12"), protocol("x 1 (protocol 12)")), (None, Some(12)));
    }

    #[tokio::test]
    async fn whoever_does_not_answer_is_unknown() {
        assert_eq!(program(Path::new("/nowhere")).await, None);
        assert_eq!(program(Path::new("/bin/false")).await, None);
    }
}
