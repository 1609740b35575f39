//! How a cluster stands, in words, for whoever has to find out why it does not come to an end.

use super::World;

/// Names the file that gets the journal of a cluster that does not come to an end.
const JOURNAL: &str = "SWEEP_MODEL_JOURNAL";

impl World {
    /// For people, when something does not come to an end.
    pub(super) async fn state(&self) -> String {
        if let Some(file) = std::env::var_os(JOURNAL) {
            let lines = self
                .store
                .events()
                .unwrap_or_default()
                .iter()
                .map(serde_json::to_string)
                .collect::<Result<Vec<_>, _>>();
            drop(std::fs::write(file, lines.unwrap_or_default().join("\n")));
        }
        let Some(coordinator) = &self.coordinator else { return "no coordinator".to_owned() };
        let view = coordinator.handle.query(|view| {
            let sweeps = view.core.state().sweeps.iter().map(|sweep| {
                let phases = sweep.trials.iter().map(|trial| trial.phase.name());
                format!("{} {}: {:?}", sweep.name, sweep.status(), phases.collect::<Vec<_>>())
            });
            sweeps.collect::<Vec<_>>().join("; ")
        });
        let left: Vec<_> = self.nodes.iter().map(|node| node.host.left()).collect();
        let wrong = self.judge.wrong();
        format!("{} hosts {left:?} {wrong:?}", view.await.unwrap_or_default())
    }
}
