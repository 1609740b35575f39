//! Looking at devices: whose processes they are, and whether memory comes back.

use super::*;
use sweep_core::device::{Occupant, Process};

struct Scripted(Arc<Mutex<Vec<DeviceSeen>>>);

impl Probe for Scripted {
    fn look(&mut self) -> Vec<DeviceSeen> {
        self.0.lock().unwrap().clone()
    }
}

fn device(used: u64, processes: &[(u32, u64)]) -> DeviceSeen {
    let process = |(pid, memory): &(u32, u64)| {
        let who = Occupant { pid: *pid, user: "ann".into(), command: "x".into(), memory: *memory };
        Process { who, ours: false }
    };
    DeviceSeen { id: "GPU-0".into(), used, processes: processes.iter().map(process).collect(), ..Default::default() }
}

async fn next(looks: &mut watch::Receiver<Option<Look>>) -> Sighting {
    looks.changed().await.unwrap();
    looks.borrow().as_ref().unwrap().sighting.clone()
}

async fn settled(devices: &Devices, since: Instant) -> Release {
    let mut looks = devices.looks();
    loop {
        match devices.release("GPU-0", since) {
            Release::Wait => looks.changed().await.unwrap(),
            found => return found,
        }
    }
}

#[tokio::test]
async fn memory_that_nobody_holds_and_that_does_not_come_back_is_a_fault() {
    let seen = Arc::new(Mutex::new(vec![device(100 << 20, &[])]));
    let rules = Rules { release: Duration::from_millis(300), free_after: Duration::from_secs(1), ..Rules::default() };
    let (devices, watching) = Devices::start(Box::new(Scripted(seen.clone())), rules);
    let watching = tokio::spawn(watching);
    let mut looks = devices.looks();
    let first = next(&mut looks).await;
    assert_eq!((first.free_after, first.devices[0].fault.clone()), (Some(Span::seconds(1)), None));
    // A trial ran; its process has gone and another's holds memory: all is well.
    seen.lock().unwrap()[0] = device((100 << 20) + (9 << 30), &[(1, 9 << 30)]);
    assert_eq!(settled(&devices, Instant::now()).await, Release::Done);
    // Nobody holds it.
    seen.lock().unwrap()[0] = device(9 << 30, &[]);
    let since = Instant::now();
    assert_eq!(settled(&devices, since).await, Release::Failed);
    assert!(since.elapsed() >= Duration::from_millis(300));
    let fault = devices.fault("GPU-0").unwrap();
    assert!(fault.starts_with("9.6 GB of its memory did not come back within 0 s after a trial"), "{fault}");
    while next(&mut looks).await.devices[0].fault.is_none() {}
    // It comes back after all.
    seen.lock().unwrap()[0] = device(100 << 20, &[]);
    while next(&mut looks).await.devices[0].fault.is_some() {}
    assert_eq!(devices.fault("GPU-0"), None);
    assert_eq!(settled(&devices, Instant::now()).await, Release::Done);
    watching.abort();
}
