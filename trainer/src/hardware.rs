//! What the numbers were computed on, in words for people: the processor, or the driver of the accelerator, whose own
//! name the agent knows.

use std::fs;

use tch::Device;

/// Where the driver says what it is.
const DRIVER: &str = "/proc/driver/nvidia/version";
const PROCESSORS: &str = "/proc/cpuinfo";

/// Absent where the host does not tell.
pub(crate) fn describe(device: Device) -> Option<String> {
    if device.is_cuda() {
        driver(&fs::read_to_string(DRIVER).ok()?)
    } else {
        processor(&fs::read_to_string(PROCESSORS).ok()?)
    }
}

fn processor(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.trim_start().strip_prefix(':'))?;
    Some(name.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The first word of its first line that looks like a version.
fn driver(text: &str) -> Option<String> {
    let version =
        |word: &&str| word.contains('.') && word.split('.').all(|part| !part.is_empty() && part.parse::<u32>().is_ok());
    let found = text.lines().next()?.split_whitespace().find(version)?;
    Some(format!("NVIDIA driver {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_and_processors_are_named_as_they_name_themselves() {
        // As the closed and the open kernel module write it.
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\nGCC version:  gcc 12.3.0\n";
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (a@b)  Thu\nGCC version:\n";
        assert_eq!(driver(closed).as_deref(), Some("NVIDIA driver 535.183.01"));
        assert_eq!(driver(open).as_deref(), Some("NVIDIA driver 570.86.15"));
        assert_eq!((driver(""), driver("NVRM version: unknown\n")), (None, None));
        let text = "processor\t: 0\nmodel name\t: AMD  EPYC 7B13 64-Core Processor\nmodel name\t: other\n";
        assert_eq!(processor(text).as_deref(), Some("AMD EPYC 7B13 64-Core Processor"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
