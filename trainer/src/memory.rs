//! What libtorch says when memory runs out, in bytes. Its errors reach Rust as text only.

use std::fmt;
use std::fs;

/// Memory that was asked for and not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Bytes of the request.
    pub asked: Option<u64>,
    /// Bytes that were free on the device then; on a CPU, that the system could still give a moment later.
    pub free: Option<u64>,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |bytes: Option<u64>| bytes.map_or("an unknown number of".to_owned(), |bytes| bytes.to_string());
        write!(f, "{} bytes asked for, {} bytes free", bytes(self.asked), bytes(self.free))
    }
}

/// Phrases of c10's CPU allocator, the CUDA caching allocator, and cuDNN.
const PHRASES: [&str; 3] = ["out of memory", "can't allocate memory", "CUDNN_STATUS_ALLOC_FAILED"];
const CPU: &str = "DefaultCPUAllocator";

impl Shortage {
    /// What `text` says about it, if that is what it is about.
    pub fn read(text: &str) -> Option<Self> {
        if !PHRASES.iter().any(|phrase| text.contains(phrase)) {
            return None;
        }
        let after = |words: &str| text.find(words).and_then(|at| amount(&text[at + words.len()..]));
        let asked = after("ried to allocate ");
        let free = if text.contains(CPU) { available() } else { after(" of which ") };
        Some(Self { asked, free })
    }
}

/// `4096 bytes`, `20.00 MiB`, `1.50 GiB`, as libtorch writes amounts.
fn amount(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let number: f64 = words.next()?.parse().ok()?;
    let unit = words.next()?.trim_end_matches(['.', ',', ';']);
    let scale = match unit {
        "bytes" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    (number >= 0.0).then_some((number * scale) as u64)
}

/// `MemAvailable` of the system.
fn available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_allocators_are_understood() {
        let cuda = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 79.11 GiB of which \
            20.00 MiB is free. Including non-PyTorch memory, this process has 79.09 GiB memory in use.";
        let found = Shortage::read(cuda).expect("it is about memory");
        assert_eq!(found, Shortage { asked: Some(5 << 29), free: Some(20 << 20) });
        assert_eq!(found.to_string(), "2684354560 bytes asked for, 20971520 bytes free");
        assert_eq!(Shortage::read("cuDNN error: CUDNN_STATUS_ALLOC_FAILED").map(|found| found.asked), Some(None));
        assert_eq!(Shortage::read("shape mismatch, tried to allocate 4 bytes"), None);
    }

    #[test]
    fn what_libtorch_really_says_is_understood() {
        // 4 EiB.
        let sizes = [1 << 30, 1 << 30];
        let error = tch::Tensor::f_zeros(sizes, (tch::Kind::Float, tch::Device::Cpu)).expect_err("no such machine");
        let found = Shortage::read(&error.to_string()).expect("it is about memory");
        assert_eq!(found.asked, Some(1 << 62));
        assert!(found.free.is_some_and(|bytes| bytes > 0));
    }
}
