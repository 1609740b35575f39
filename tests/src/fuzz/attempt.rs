//! Any bytes as what a trainer left in its attempt folder: lines are read in order, each once, however the bytes come; what is cut
//! anywhere is a beginning of what was whole; what was read and accepted is reported once and to the end. Also the order that a
//! trainer reads, and the name of the folder.

use std::fs;
use std::path::Path;

use sweep_agent::attempts::Folders;
use sweep_agent::outbox::{Outbox, Step, Uploaded};
use sweep_agent::tail::{Lines, TailError};
use sweep_core::attempt::{FailureClass, Line, OrderFile};
use sweep_core::command::{EffectKind, EffectResult, Ending};
use sweep_core::event::Failure;
use sweep_core::id::Lease;

use super::kind;

/// What lines are made of.
pub(super) const WORDS: [&str; 14] = [
    "\n",
    "{\"event\":{\"step\":{\"step\":1,\"loss\":0.5}}}\n",
    "\"work\":0,",
    "\"nan\"",
    "\"seq\":2",
    "\"epoch\":2",
    "\"final_seq\":1",
    "\"checkpoint\"",
    "\"last\"",
    "\"best\"",
    "\"done\"",
    "\"stopped\"",
    "\"failed\"",
    "[[[[[[[[",
];
/// Bytes at the beginning of an input that say where the file is cut.
const CUTS: usize = 4;

/// See the module.
pub(super) fn attempt(bytes: &[u8]) -> u64 {
    let Some((cuts, text)) = bytes.split_at_checked(CUTS) else { return 0 };
    let whole = Lines::default().take(text).map(|(lines, more)| {
        assert!(!more, "a short file has more");
        lines
    });
    let bit_by_bit = in_pieces(text, cuts, whole.as_deref().ok());
    match (&whole, &bit_by_bit) {
        (Ok(whole), Ok(lines)) => assert!(whole == lines, "the lines depend on when they are read"),
        (Err(TailError::Line { at, .. }), Err(TailError::Line { at: other, .. })) => assert_eq!(at, other),
        (whole, pieces) => panic!("whole: {:?}, in pieces: {:?}", whole.is_ok(), pieces.is_ok()),
    }
    order(text);
    name(text);
    whole.map_or(1, report)
}

/// Reads a file that grows up to each of the cuts and then to its end. `whole` are the lines that are in it, if it can be read.
fn in_pieces(text: &[u8], cuts: &[u8], whole: Option<&[Line]>) -> Result<Vec<Line>, TailError> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| text.len() * usize::from(*cut) / 255).collect();
    cuts.sort_unstable();
    let (mut reader, mut lines) = (Lines::default(), Vec::new());
    for cut in cuts.into_iter().chain([text.len()]) {
        let from = reader.offset() as usize;
        let read = reader.take(&text[from..cut]);
        let to = reader.offset() as usize;
        assert!(from <= to && to <= cut, "the place went from {from} to {to}, there are {cut} bytes");
        assert!(to == 0 || text[to - 1] == b'\n', "the place {to} is in the middle of a line");
        lines.extend(read?.0);
        if let Some(whole) = whole {
            assert!(whole.starts_with(&lines), "a part of the file says something else");
        }
    }
    Ok(lines)
}

/// Everything that an outbox takes is sent and accepted, in order and once.
fn report(lines: Vec<Line>) -> u64 {
    let (mut outbox, mut refused) = (Outbox::default(), None);
    let mut seen = Vec::new();
    for line in lines {
        let text = serde_json::to_string(&line).expect("a line is JSON");
        let again: Line = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(again == line, "{text} is not read as it was written");
        seen.push(std::mem::discriminant(&line.body));
        if let Err(failure) = outbox.push(line) {
            refused = Some(failure.reason.clone());
            outbox.fail(failure);
            break;
        }
    }
    seen.dedup();
    let uploads = outbox.take_uploads();
    uploads.iter().for_each(|line| outbox.uploaded(line, Uploaded::Stored));
    let crashed = Failure { class: FailureClass::Crash, reason: "crash".into(), message: String::new() };
    outbox.finish(|| Ending::Failed(crashed));
    let (mut acked_seq, mut finished) = (0, false);
    for round in 0.. {
        assert!(round < 16, "it never comes to an end");
        let sent = outbox.take();
        if sent.is_empty() {
            break;
        }
        for (effect, sent) in sent {
            assert!(!finished, "something comes after the end");
            match effect {
                EffectKind::Metrics(epochs) => {
                    let numbers: Vec<u64> = epochs.iter().map(|epoch| epoch.seq).collect();
                    let expected: Vec<u64> = (acked_seq + 1..).take(epochs.len()).collect();
                    assert_eq!(numbers, expected, "epochs are not sent in order");
                    acked_seq += epochs.len() as u64;
                }
                EffectKind::Checkpoint(checkpoint) => assert!(checkpoint.seq <= acked_seq, "ahead of its epochs"),
                EffectKind::Ended { final_seq, .. } => assert_eq!(final_seq, acked_seq, "the end is not the end"),
                EffectKind::Chosen(_) | EffectKind::Started(_) => {}
            }
            finished = outbox.answer(&sent, EffectResult::Accepted { acked_seq }) == Step::Finished;
        }
        if finished {
            break;
        }
    }
    assert!(finished, "the end was not sent");
    kind((seen, refused))
}

/// What a trainer reads is what an agent wrote, or no order.
fn order(text: &[u8]) {
    if let Ok(order) = serde_json::from_slice::<OrderFile>(text) {
        let written = serde_json::to_vec(&order).expect("an order is JSON");
        let again: OrderFile = serde_json::from_slice(&written).unwrap_or_else(|error| panic!("an order: {error}"));
        assert!(again == order, "an order is not read as it was written");
    }
}

/// A folder is an attempt's only if it is the one in which an agent would look for it.
fn name(text: &[u8]) {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Ok(name) = std::str::from_utf8(line) else { return };
    if name.parse::<Lease>().is_err() || name.contains(['/', '\0']) || name.len() > 255 {
        return;
    }
    let state = tempfile::tempdir().expect("there is room for a folder");
    let folders = Folders::new(state.path()).expect("folders can be made");
    fs::create_dir(folders.root().join(name)).expect("a folder can be made");
    for lease in folders.list().expect("a folder can be read") {
        assert!(folders.path(lease) == Path::new(&folders.root().join(name)), "{name:?} is taken for {lease}");
    }
}
