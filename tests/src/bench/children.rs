//! What a benchmark has started ends with it, also when it is interrupted: Ctrl-C may reach this process alone.

use rustix::process::{Pid, Signal, kill_process};

/// Kills the processes that this one has started, and those that they have.
pub fn end_descendants() {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc").map_or_else(
        |_| Vec::new(),
        |entries| {
            let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            pids.filter_map(|pid| Some((pid, parent(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?)))
                .collect()
        },
    );
    for pid in below(std::process::id(), &parents) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            // Whoever is gone already is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Field 4 of proc(5); the name before it may hold anything.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}

/// Children, their children, ...: of processes and their parents.
fn below(top: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut found = vec![top];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = parents.iter().filter(|(pid, of)| *of == parent && !found.contains(pid));
        let children: Vec<u32> = children.map(|(pid, _)| *pid).collect();
        found.extend(children);
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_and_theirs_are_found_and_nobody_else() {
        let parents = [(2, 1), (3, 1), (4, 3), (5, 4), (6, 2), (7, 7)];
        assert_eq!(below(3, &parents), [4, 5]);
        assert_eq!(below(1, &parents), [2, 3, 6, 4, 5]);
        assert_eq!(below(9, &parents), [0; 0]);
        assert_eq!(parent("42 (a) b) S 7 42 42"), Some(7));
        assert_eq!(parent("nonsense"), None);
    }
}
