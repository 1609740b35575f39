//! The part of the oracle about ends of the journal that were lost: while one is suspected nothing happens, and whoever
//! goes on without it begins a new generation.

use crate::event::Event;
use crate::lineage::Acceptance;

use super::quotas::Excess;

/// Whether somebody has to decide, and how often somebody has.
#[derive(Debug, Default)]
pub(super) struct Rollbacks {
    suspected: bool,
    generation: u32,
}

impl Rollbacks {
    /// Reads the next event.
    pub(super) fn read(&mut self, event: &Event) -> Option<Excess> {
        let excess = |rule, text: String| Some(Excess { sweep: None, rule, text });
        match event {
            Event::RollbackSuspected(_) => self.suspected = true,
            Event::RollbackAccepted(Acceptance { generation, .. }) => {
                let (before, suspected) = (self.generation, std::mem::take(&mut self.suspected));
                self.generation = *generation;
                if !suspected || *generation <= before {
                    let text = format!("generation {generation} after {before}, suspected: {suspected}");
                    return excess("generation_wrong", text);
                }
            }
            // A restart decides nothing.
            Event::CoordinatorStarted { .. } => {}
            _ if self.suspected => {
                return excess(
                    "not_safe",
                    "something was decided while the end of the journal was taken for lost".to_owned(),
                );
            }
            _ => {}
        }
        None
    }
}
