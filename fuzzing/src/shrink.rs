//! Makes an input that shows something smaller, as long as it still shows it.

use std::time::{Duration, Instant};

/// Longest time for one finding.
const LONGEST: Duration = Duration::from_secs(20);

/// The smallest input found for which `fails` is still true: blocks are left out, large ones first.
pub fn shrink(input: &[u8], fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let (mut best, start) = (input.to_vec(), Instant::now());
    let mut block = best.len() / 2;
    while block > 0 && start.elapsed() < LONGEST {
        let mut at = 0;
        while at < best.len() && start.elapsed() < LONGEST {
            let end = (at + block).min(best.len());
            let without = [&best[..at], &best[end..]].concat();
            match fails(&without) {
                true => best = without,
                false => at = end,
            }
        }
        block /= 2;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_left_out() {
        let input = b"a long text with a b in it and an x, and more";
        let small = shrink(input, |bytes| bytes.contains(&b'b') && bytes.contains(&b'x'));
        assert_eq!(small, b"xb");
    }
}
