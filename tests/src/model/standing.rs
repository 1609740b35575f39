//! How a cluster stands, in words, for whoever has to find out why it does not come to an end.

use super::World;

impl World {
    /// For people, when something does not come to an end.
    pub(super) async fn state(&self) -> String {
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
