//! What epochs are told: differences, per part, and the share that would have been drawn anyway.

use std::sync::{Arc, Mutex};

use sweep_core::id::{SweepId, TrialId};

use super::*;

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<f64>>);

impl Fake {
    fn draw(&self, joules: f64) {
        *self.0.lock().unwrap() += joules;
    }
}

impl Counter for Fake {
    fn joules(&mut self) -> Option<f64> {
        Some(*self.0.lock().unwrap())
    }
}

fn lease(number: u32) -> Lease {
    Lease { trial: TrialId::derive(SweepId::derive("meters", ""), &number.to_string()), attempt: 1 }
}

fn epoch(measured: bool) -> EpochMetrics {
    EpochMetrics { cost: measured.then(Box::default), ..EpochMetrics::uniform(1, 1, Num(0.0)) }
}

fn stamped(meters: &mut Meters, number: u32) -> Option<Energy> {
    let mut metrics = epoch(true);
    meters.stamp(lease(number), &mut metrics);
    metrics.cost.unwrap().energy
}

#[test]
fn an_epoch_is_told_its_share_of_each_part_since_the_one_before() {
    let (cpu, gpu) = (Fake::default(), Fake::default());
    let mut meters = Meters::default();
    meters.add(Part::Processors, None, Box::new(cpu.clone()));
    meters.add(Part::Gpu, Some(vec![1]), Box::new(gpu.clone()));
    meters.start(lease(0), Some(0));
    meters.start(lease(1), Some(1));
    cpu.draw(10.0);
    gpu.draw(7.0);
    let joules = |cpu: f64, gpu: Option<f64>| Some(Energy { cpu: Some(Num(cpu)), gpu: gpu.map(Num), idle: None });
    assert_eq!(stamped(&mut meters, 0), joules(5.0, None));
    assert_eq!(stamped(&mut meters, 1), joules(5.0, Some(7.0)));
    // The other one leaves: what is drawn from now on is all of the one that stays.
    meters.stop(lease(0));
    cpu.draw(3.0);
    assert_eq!(stamped(&mut meters, 1), joules(3.0, Some(0.0)));
    assert_eq!(stamped(&mut meters, 0), None);
}

#[test]
fn nothing_is_told_without_a_counter_or_without_a_cost() {
    let mut none = Meters::default();
    none.start(lease(0), Some(0));
    assert_eq!(stamped(&mut none, 0), None);
    let mut some = Meters::default();
    some.add(Part::Processors, None, Box::new(Fake::default()));
    some.start(lease(0), None);
    let mut bare = epoch(false);
    some.stamp(lease(0), &mut bare);
    assert_eq!(bare.cost, None);
}

#[test]
fn slots_are_grouped_by_their_gpu() {
    let slot = |gpu: Option<&str>| Slot { label: String::new(), gpu: gpu.map(str::to_owned), device_id: None };
    let found = by_gpu(&[slot(Some("a")), slot(Some("b")), slot(Some("a")), slot(None)]);
    assert_eq!(found, BTreeMap::from([("a".to_owned(), vec![0, 2]), ("b".to_owned(), vec![1])]));
}
