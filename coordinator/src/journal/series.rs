//! Which part of a log piece is new: pieces may come twice or overlap, and a log has a limit. Where
//! they are stored is left to the stores.

use super::{LOG_CUT, LOG_LIMIT, LogChunk};

/// Cuts from `chunk` what is stored already (`end` bytes are) and what is over the limit; returns
/// what to store, and the log's new end.
pub(super) fn fresh(chunk: &LogChunk, end: u64) -> Option<(u64, Vec<u8>, u64)> {
    let chunk_end = chunk.offset + chunk.text.len() as u64;
    if chunk_end <= end || end >= LOG_LIMIT {
        return None;
    }
    let offset = chunk.offset.max(end);
    let mut text = chunk.text[(offset - chunk.offset) as usize..].to_vec();
    if offset + text.len() as u64 > LOG_LIMIT {
        text.truncate(LOG_LIMIT.saturating_sub(offset) as usize);
        text.extend_from_slice(LOG_CUT);
    }
    Some((offset, text, chunk_end.max(end)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sweep_core::id::{Lease, SweepId, TrialId};

    #[test]
    fn text_is_stored_once_and_up_to_the_limit() {
        let lease = Lease { trial: TrialId::derive(SweepId::derive("x", ""), "a"), attempt: 1 };
        let check = |offset: u64, text: &[u8], end: u64, expected: Option<(u64, &[u8], u64)>| {
            let chunk = LogChunk { lease, offset, text: text.to_vec() };
            let found = fresh(&chunk, end);
            assert_eq!(found.as_ref().map(|(at, text, end)| (*at, text.as_slice(), *end)), expected);
        };
        check(0, b"abc", 0, Some((0, b"abc", 3)));
        check(0, b"abc", 3, None);
        check(0, b"abcde", 3, Some((3, b"de", 5)));
        check(10, b"x", 3, Some((10, b"x", 11)));
        let mut cut = b"a".to_vec();
        cut.extend_from_slice(LOG_CUT);
        check(LOG_LIMIT - 1, b"abc", LOG_LIMIT - 1, Some((LOG_LIMIT - 1, &cut, LOG_LIMIT + 2)));
        check(LOG_LIMIT + 2, b"d", LOG_LIMIT + 2, None);
    }
}
