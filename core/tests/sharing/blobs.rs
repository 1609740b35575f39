//! Whose a checkpoint is.

use sweep_core::plan::Limits;
use sweep_core::retain::owners;

use crate::lab::Lab;

#[test]
fn a_checkpoint_belongs_to_the_sweeps_whose_trials_would_go_on_from_it() {
    let mut lab = Lab::new(&[2]);
    lab.submit(("vision", "ann"), 1, Limits::default());
    lab.submit(("audio", "bob"), 1, Limits::default());
    let leases: Vec<_> = lab.held().into_iter().map(|(_, lease)| lease).collect();
    leases.iter().for_each(|lease| lab.checkpoint(1, *lease));
    let of = |sha256: String| -> Vec<String> {
        owners(lab.core.state(), &sha256).map(|sweep| sweep.project.clone()).collect()
    };
    assert_eq!(of(format!("{}-1", leases[0])), ["vision"]);
    assert_eq!(of(format!("{}-1", leases[1])), ["audio"]);
    assert_eq!(of("other".to_owned()), [""; 0]);
}
