//! Changes an input a little: bits, bytes, numbers, blocks, words, pieces of other inputs. The same seed makes the same changes.

use fastrand::Rng;

/// Longest input that is made, bytes.
pub const LONGEST: usize = 64 << 10;
/// Numbers at which things tend to break, as text.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "4294967295",
    "9223372036854775807",
    "18446744073709551616",
    "1e308",
    "-0.0",
    "nan",
    "1e-400",
];
/// Most changes of one input.
const CHANGES: usize = 6;

/// A changed copy of `input`; `other` is where pieces come from.
pub fn mutate(input: &[u8], other: &[u8], words: &[&str], random: &mut Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..random.usize(1..=CHANGES) {
        change(&mut bytes, other, words, random);
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change(bytes: &mut Vec<u8>, other: &[u8], words: &[&str], random: &mut Rng) {
    let at = random.usize(..=bytes.len());
    let block = piece(bytes.len(), random);
    match random.u8(..11) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(..8),
        1 if at < bytes.len() => bytes[at] = random.u8(..),
        2 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'"', b' '][random.usize(..8)],
        3 => insert(bytes, at, &[random.u8(..)]),
        4 => drop(bytes.drain(block)),
        5 => {
            let copied = bytes[block].to_vec();
            insert(bytes, at, &copied);
        }
        6 => {
            let copied = bytes[block].to_vec();
            let end = (at + copied.len()).min(bytes.len());
            bytes[at..end].copy_from_slice(&copied[..end - at]);
        }
        7 => insert(bytes, at, &other[piece(other.len(), random)]),
        8 if !words.is_empty() => insert(bytes, at, words[random.usize(..words.len())].as_bytes()),
        9 => number(bytes, at, random),
        10 => bytes.truncate(at),
        _ => insert(bytes, at, &random.u64(..).to_le_bytes()[..random.usize(1..=8)]),
    }
}

/// A part of so many bytes, mostly a short one.
fn piece(length: usize, random: &mut Rng) -> std::ops::Range<usize> {
    let from = random.usize(..=length);
    let most = if random.u8(..4) == 0 { length } else { 32 };
    from..from + random.usize(..=(length - from).min(most))
}

fn insert(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if bytes.len() + new.len() <= LONGEST {
        bytes.splice(at..at, new.iter().copied());
    }
}

/// Puts another number in place of the next one that is written in digits.
fn number(bytes: &mut Vec<u8>, from: usize, random: &mut Rng) {
    let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit).map(|at| from + at) else { return };
    let length = bytes[start..].iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len() - start);
    let new = match random.bool() {
        true => NUMBERS[random.usize(..NUMBERS.len())].to_owned(),
        false => random.u16(..1000).to_string(),
    };
    bytes.splice(start..start + length, new.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_changes_and_none_is_too_long() {
        let make = |seed| {
            let mut random = Rng::with_seed(seed);
            let mut input = b"lr = [0.1, 25]".to_vec();
            (0..2000).for_each(|_| input = mutate(&input, b"epochs = 3", &["seeds"], &mut random));
            input
        };
        assert!(make(1).len() <= LONGEST);
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
    }

    #[test]
    fn nothing_can_be_changed_too() {
        let mut random = Rng::with_seed(7);
        for _ in 0..1000 {
            mutate(&[], &[], &[], &mut random);
        }
    }
}
