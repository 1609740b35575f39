//! The energy counters of processors, as Linux shows them below `/sys/class/powercap`: one for each package
//! (`package-0`) and, where it is told apart, its memory (`dram`). Only root may read them by default.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Counter;

/// Where they are.
pub const POWERCAP: &str = "/sys/class/powercap";

/// One counter that starts again at zero after its highest value.
#[derive(Debug)]
struct Domain {
    file: PathBuf,
    /// Its highest value, microjoules.
    most: u64,
    last: Option<u64>,
    /// Microjoules since the first reading.
    sum: u64,
}

/// The sum of all packages and their memory.
#[derive(Debug)]
pub struct Rapl {
    domains: Vec<Domain>,
}

impl Rapl {
    /// Finds the counters below `folder`; none on a host that has none.
    ///
    /// # Errors
    /// When there are some and they cannot be read, mostly for want of permission.
    pub fn open(folder: &Path) -> io::Result<Option<Self>> {
        let Ok(items) = fs::read_dir(folder) else { return Ok(None) };
        let mut domains = Vec::new();
        for place in items.flatten().map(|item| item.path()) {
            let name = fs::read_to_string(place.join("name")).unwrap_or_default();
            // `core` and `uncore` are parts of the package, `psys` is the whole machine with it.
            if name.trim().starts_with("package-") || name.trim() == "dram" {
                let file = place.join("energy_uj");
                number(&file)?;
                let most = number(&place.join("max_energy_range_uj"))?;
                domains.push(Domain { file, most, last: None, sum: 0 });
            }
        }
        Ok((!domains.is_empty()).then_some(Self { domains }))
    }
}

impl Counter for Rapl {
    fn joules(&mut self) -> Option<f64> {
        let read: Option<Vec<u64>> = self.domains.iter().map(|domain| number(&domain.file).ok()).collect();
        for (domain, now) in self.domains.iter_mut().zip(read?) {
            let before = domain.last.replace(now).unwrap_or(now);
            // At most one turn: a package takes minutes for one, and a look comes every second.
            let turn = if now < before { domain.most.saturating_add(1) } else { 0 };
            domain.sum += (now + turn).saturating_sub(before);
        }
        Some(self.domains.iter().map(|domain| domain.sum).sum::<u64>() as f64 / 1e6)
    }
}

fn number(file: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(file)?;
    text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
