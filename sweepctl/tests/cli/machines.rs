//! `cordon`, `drain`, `yield`, `undrain` and `agents --devices` against a pretend coordinator.

use sweep_proto::v1;
use sweep_proto::v1::machines_server::Machines;
use tonic::{Request, Response, Status};

use crate::fake::Service;
use crate::online::Bench;

type Answer<T> = Result<Response<T>, Status>;

/// A GPU of `gpu-7` that somebody else is on.
pub(crate) fn offer() -> v1::Offer {
    let device = v1::Device {
        id: "GPU-0".to_owned(),
        model: "A100".to_owned(),
        memory: 40_000_000_000,
        slots: vec![1],
        packed: false,
    };
    let labels = [("site".to_owned(), "lab2".to_owned())].into();
    v1::Offer { labels, cores: 16, memory: 128_000_000_000, devices: vec![device], trainer: None }
}

pub(crate) fn seen() -> v1::DeviceState {
    let alice = v1::DeviceProcess {
        pid: 7,
        user: "alice".to_owned(),
        command: "python train.py".to_owned(),
        memory: 9_200_000_000,
        ours: false,
    };
    v1::DeviceState {
        id: "GPU-0".to_owned(),
        used: 9_700_000_000,
        utilisation: Some(87),
        power: Some(251_000),
        temperature: Some(61),
        processes: vec![alice],
        ..v1::DeviceState::default()
    }
}

/// From 2030 on, for an hour.
pub(crate) fn planned() -> v1::HoldSummary {
    let (from, hour) = (1_893_456_000_000_000, 3_600_000_000);
    v1::HoldSummary {
        slot: None,
        kind: "maintenance".to_owned(),
        user: "root".to_owned(),
        reason: "new driver".to_owned(),
        from: Some(from),
        until: Some(from + hour),
    }
}

#[tonic::async_trait]
impl Machines for Service {
    async fn hold(&self, request: Request<v1::HoldRequest>) -> Answer<v1::HoldReply> {
        let request = request.into_inner();
        if request.host == "gpu-9" {
            let text = "no host is called `gpu-9`; there are: gpu-7; did you mean `gpu-7`?";
            return Err(sweep_proto::status::status(tonic::Code::NotFound, "host_unknown", text));
        }
        let v1::HoldRequest { host, slot, kind, reason, span, from, .. } = request;
        let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
        self.asked.lock().unwrap().push(format!("{kind} {host} {slot:?} {reason:?} {span:?}{from}"));
        Ok(Response::new(v1::HoldReply { leaving: u64::from(kind != "cordon") }))
    }

    async fn lift(&self, request: Request<v1::LiftRequest>) -> Answer<v1::LiftReply> {
        let v1::LiftRequest { host, slot, maintenance, from, .. } = request.into_inner();
        let what = if maintenance { "call off" } else { "lift" };
        let from = from.map(|from| format!(" from {from}")).unwrap_or_default();
        self.asked.lock().unwrap().push(format!("{what} {host} {slot:?}{from}"));
        let closed = if slot == Some(2) { "yielded by ann" } else { "" };
        Ok(Response::new(v1::LiftReply { lifted: u64::from(slot != Some(1)), closed: closed.to_owned() }))
    }
}

#[test]
fn slots_are_closed_and_opened() {
    let bench = Bench::new();
    bench.run(&["drain", "gpu-7", "--reason", "new driver"]).expect(0).says("gpu-7 is drained; 1 trial leaves");
    bench
        .run(&["cordon", "gpu-7:1"])
        .expect(0)
        .says("gpu-7:1 is cordoned")
        .tells("open it again: sweepctl undrain gpu-7:1");
    bench.run(&["yield", "gpu-7:1", "--for", "90m"]).expect(0).says("gpu-7:1 is given back for");
    bench.run(&["undrain", "gpu-7"]).expect(0).says("gpu-7 is open again");
    bench.run(&["uncordon", "gpu-7:1"]).expect(0).says("gpu-7:1 was open");
    // Its host is given back as a whole.
    bench
        .run(&["undrain", "gpu-7:2"])
        .expect(0)
        .says("lifted on gpu-7:2; still closed: yielded by ann")
        .tells("sweepctl undrain gpu-7");
    let asked = bench.asked();
    let expected = [
        "drain gpu-7 None \"new driver\" None",
        "cordon gpu-7 Some(1) \"\" None",
        "yield gpu-7 Some(1) \"\" Some(5400000000)",
        "lift gpu-7 None",
        "lift gpu-7 Some(1)",
        "lift gpu-7 Some(2)",
    ];
    assert_eq!(asked, expected);
    let json = bench.run(&["drain", "gpu-7:1", "--json"]).expect(0).json();
    assert_eq!((&json["target"], &json["leaving"]), (&"gpu-7:1".into(), &1.into()));
    bench.run(&["quarantine", "gpu-9"]).expect(3).tells("did you mean `gpu-7`?");
    bench.run(&["drain", "gpu-7:x"]).expect(2).tells("write HOST or HOST:SLOT");
}

#[test]
fn maintenance_is_planned_called_off_and_listed() {
    let bench = Bench::new();
    let plan = ["admin", "maintenance", "gpu-7", "--from", "2030-01-01T00:00:00Z", "--for", "1h", "--reason", "driver"];
    bench
        .run(&plan)
        .expect(0)
        .says("maintenance of gpu-7 from 2030-01-01T00:00:00Z until 2030-01-01T01:00:00Z")
        .tells("call it off: sweepctl admin maintenance gpu-7 --cancel --from 2030-01-01T00:00:00Z");
    bench.run(&["admin", "maintenance", "all", "--cancel"]).expect(0).says("of all called off");
    // As the note of the plan says.
    let one = ["admin", "maintenance", "gpu-7", "--cancel", "--from", "2030-01-01T00:00:00Z"];
    bench.run(&one).expect(0).says("1 maintenance window of gpu-7 called off");
    let asked = bench.asked();
    let span = "Some(3600000000) from 1893456000000000";
    let only = "call off gpu-7 None from 1893456000000000".to_owned();
    assert_eq!(asked, [format!("maintenance gpu-7 None \"driver\" {span}"), "call off all None".to_owned(), only]);
    bench.run(&["admin", "maintenance"]).expect(0).says("new driver").says("2030-01-01T00:00:00Z");
    let json = bench.run(&["admin", "maintenance", "--json"]).expect(0).json();
    assert_eq!(json["maintenance"][0]["hold"]["until"], "2030-01-01T01:00:00Z");
    bench.run(&["admin", "maintenance", "gpu-7"]).expect(2);
    bench.run(&["admin", "maintenance", "gpu-7", "--for", "1h", "--cancel"]).expect(2);
}

#[test]
fn agents_show_their_devices_and_who_is_on_them() {
    let bench = Bench::new();
    bench.run(&["agents"]).expect(0).says("busy (alice, python train.py, 9.2 GB)");
    let ran = bench.run(&["agents", "--devices"]).expect(0).says("A100").says("40.0 GB").says("9.7 GB").says("87 %");
    ran.says("251 W")
        .says("61 C")
        .says("alice, python train.py, 9.2 GB")
        .says("gpu-7: 16 cores, 128.0 GB of memory, site=lab2");
    let json = bench.run(&["agents", "gpu-7", "--json"]).expect(0).json();
    let [agent] = &json["agents"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!(agent["devices"][0]["processes"][0]["user"], "alice");
    assert_eq!((&agent["devices"][0]["watts"], &agent["devices"][0]["mig"]), (&251.0.into(), &serde_json::Value::Null));
    assert_eq!(
        (&agent["slots"][1]["closed"], &agent["slots"][0]["closed"]),
        (&"busy".into(), &serde_json::Value::Null)
    );
    bench.run(&["agents", "gpu-99"]).expect(3).tells("no agent is on a host called gpu-99");
}
