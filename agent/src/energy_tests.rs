//! Shares of energy: nothing is given out that was not drawn, nothing is taken back, a counter may turn over.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use sweep_core::id::{Lease, SweepId, TrialId};

use super::rapl::Rapl;
use super::*;

/// A counter that the test moves.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Option<f64>>>);

impl Counter for Fake {
    fn joules(&mut self) -> Option<f64> {
        *self.0.lock().unwrap()
    }
}

fn lease(number: u32) -> Lease {
    Lease { trial: TrialId::derive(SweepId::derive("energy", ""), &number.to_string()), attempt: 1 }
}

/// What happens to a device.
#[derive(Clone, Debug)]
enum Act {
    Draw { joules: f64, seconds: f64 },
    Start(u32),
    Stop(u32),
    Unreadable,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0.0..500.0, 0.1..20.0).prop_map(|(joules, seconds)| Act::Draw { joules, seconds }),
        1 => (0u32..4).prop_map(Act::Start),
        1 => (0u32..4).prop_map(Act::Stop),
        1 => Just(Act::Unreadable),
    ];
    prop::collection::vec(act, 0..60)
}

proptest! {
    #[test]
    fn shares_are_at_most_what_was_drawn_and_only_grow(acts in acts()) {
        let fake = Fake(Arc::new(Mutex::new(Some(0.0))));
        let mut meter = Meter::new(Box::new(fake.clone()));
        meter.look(0.0);
        let (mut drawn, mut now, mut given) = (0.0, 0.0, 0.0);
        for act in acts {
            match act {
                Act::Draw { joules, seconds } => {
                    drawn += joules;
                    now += seconds;
                    *fake.0.lock().unwrap() = Some(drawn);
                    let before: Vec<_> = (0..4).map(|number| meter.so_far(lease(number))).collect();
                    meter.look(now);
                    for (number, before) in (0..4).zip(before) {
                        let (Some(before), Some(after)) = (before, meter.so_far(lease(number))) else { continue };
                        prop_assert!(after.joules >= before.joules && after.idle >= before.idle);
                    }
                }
                Act::Start(number) if meter.so_far(lease(number)).is_none() => meter.start(lease(number), now),
                Act::Start(_) => {}
                Act::Stop(number) => given += meter.stop(lease(number), now).map_or(0.0, |energy| energy.joules),
                Act::Unreadable => {
                    *fake.0.lock().unwrap() = None;
                    meter.look(now);
                    *fake.0.lock().unwrap() = Some(drawn);
                }
            }
        }
        let running = (0..4).filter_map(|number| meter.so_far(lease(number)));
        for energy in running {
            prop_assert!(energy.idle.is_none_or(|idle| idle <= energy.joules + 1e-9), "{energy:?}");
            given += energy.joules;
        }
        prop_assert!(given <= drawn + 1e-6, "{given} of {drawn}");
    }
}

#[test]
fn a_shared_device_is_shared_and_idle_power_is_told_apart() {
    let fake = Fake(Arc::new(Mutex::new(Some(1000.0))));
    let mut meter = Meter::new(Box::new(fake.clone()));
    meter.look(0.0);
    let draw = |meter: &mut Meter, joules: f64, now: f64| {
        *fake.0.lock().unwrap().as_mut().unwrap() += joules;
        meter.look(now);
    };
    draw(&mut meter, 200.0, 10.0); // 20 W idle
    draw(&mut meter, 600.0, 20.0); // 60 W without trials: somebody else; the lowest counts
    meter.start(lease(1), 20.0);
    draw(&mut meter, 1000.0, 30.0); // 100 W, alone
    meter.start(lease(2), 30.0);
    draw(&mut meter, 1500.0, 40.0); // 150 W, two
    assert_eq!(meter.stop(lease(1), 40.0), Some(Drawn { joules: 1750.0, idle: Some(300.0) }));
    draw(&mut meter, 10.0, 50.0); // less than idle: no more than was drawn
    assert_eq!(meter.stop(lease(2), 50.0), Some(Drawn { joules: 760.0, idle: Some(110.0) }));
    assert_eq!(meter.stop(lease(2), 50.0), None);
}

#[test]
fn without_a_counter_there_is_nothing_and_without_an_idle_stretch_no_idle_part() {
    let fake = Fake::default();
    let mut meter = Meter::new(Box::new(fake.clone()));
    meter.start(lease(1), 0.0);
    assert_eq!(meter.stop(lease(1), 5.0), None, "not 0");
    *fake.0.lock().unwrap() = Some(7.0);
    meter.start(lease(1), 5.0);
    *fake.0.lock().unwrap() = Some(9.0);
    assert_eq!(meter.stop(lease(1), 6.0), Some(Drawn { joules: 2.0, idle: None }));
}

fn domain(folder: &Path, place: &str, name: &str, energy: u64) {
    let place = folder.join(place);
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("name"), format!("{name}\n")).unwrap();
    fs::write(place.join("energy_uj"), format!("{energy}\n")).unwrap();
    fs::write(place.join("max_energy_range_uj"), "999999999\n").unwrap();
}

#[test]
fn packages_and_memory_are_summed_across_a_turn_of_the_counter() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert!(Rapl::open(&at.join("none")).unwrap().is_none());
    assert!(Rapl::open(at).unwrap().is_none());
    fs::create_dir(at.join("intel-rapl")).unwrap();
    domain(at, "intel-rapl:0", "package-0", 999_000_000);
    domain(at, "intel-rapl:0:0", "core", 5);
    domain(at, "intel-rapl:0:2", "dram", 100);
    domain(at, "intel-rapl:1", "psys", 5);
    let mut rapl = Rapl::open(at).unwrap().unwrap();
    assert_eq!(rapl.joules(), Some(0.0));
    domain(at, "intel-rapl:0", "package-0", 1_000_000);
    domain(at, "intel-rapl:0:0", "core", 5_000_000);
    domain(at, "intel-rapl:0:2", "dram", 500_100);
    assert_eq!(rapl.joules(), Some(2.5));
    fs::write(at.join("intel-rapl:0/energy_uj"), "").unwrap();
    assert_eq!(rapl.joules(), None);
    domain(at, "intel-rapl:0", "package-0", 2_000_000);
    assert_eq!(rapl.joules(), Some(3.5), "what was missed is made up for");
    fs::remove_file(at.join("intel-rapl:0/energy_uj")).unwrap();
    assert!(Rapl::open(at).is_err(), "there, and not readable");
}

proptest! {
    #[test]
    fn a_counter_that_turns_over_loses_nothing(steps in prop::collection::vec(0u64..999_999_999, 1..20)) {
        let folder = tempfile::tempdir().unwrap();
        domain(folder.path(), "intel-rapl:0", "package-0", 0);
        let mut rapl = Rapl::open(folder.path()).unwrap().unwrap();
        prop_assert_eq!(rapl.joules(), Some(0.0));
        let mut sum = 0u64;
        for step in steps {
            sum += step;
            domain(folder.path(), "intel-rapl:0", "package-0", sum % 1_000_000_000);
            prop_assert_eq!(rapl.joules(), Some(sum as f64 / 1e6));
        }
    }
}
