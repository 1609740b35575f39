//! `queue` and `admin shares` against a pretend coordinator.

use sweep_proto::v1;
use sweep_proto::v1::sharing_server::Sharing;
use tonic::{Request, Response, Status};

use crate::fake::{Service, refuse};
use crate::online::Bench;
use crate::sweeps;

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Sharing for Service {
    async fn queue(&self, _: Request<v1::QueueRequest>) -> Answer<v1::QueueReply> {
        let one = |name: &str, reason: &str, why: &str, starts: Option<i64>| v1::WaitingSweep {
            sweep_id: sweeps::sweep_id().0.as_bytes().to_vec().into(),
            name: name.to_owned(),
            user: "ann".to_owned(),
            project: "vision".to_owned(),
            priority: 50,
            waiting: 7,
            backoff: 1,
            running: 2,
            reason: reason.to_owned(),
            why: why.to_owned(),
            starts,
            starts_by: if starts.is_some() { "epochs" } else { "" }.to_owned(),
            before_sweeps: 2,
            before_trials: 37,
        };
        let waiting = vec![
            one("first", "no_free_slot", "no free slot; it is next", Some(1_760_000_000_000_000)),
            one("second", "quota_slots", "quota of user ann reached: 8 of 8 slots", None),
        ];
        Ok(Response::new(v1::QueueReply { waiting, free_slots: 0, hidden_sweeps: 1, hidden_trials: 30 }))
    }

    async fn show_shares(&self, request: Request<v1::ShowSharesRequest>) -> Answer<v1::ShowSharesReply> {
        let all = request.into_inner().all;
        let entitlement =
            v1::Entitlement { share: 2500, slots: Some(8), storage: Some(2_000_000), ..v1::Entitlement::default() };
        let project = v1::Share {
            name: "vision".to_owned(),
            entitlement: Some(entitlement),
            is_set: true,
            running: 3,
            device_hours: 12.25,
            stored: 1_500_000_000,
            ..v1::Share::default()
        };
        let user = v1::Share {
            name: "ann".to_owned(),
            entitlement: Some(v1::Entitlement { share: 1000, ..v1::Entitlement::default() }),
            open_trials: 4321,
            most_open_trials: 200_000,
            ..v1::Share::default()
        };
        let lab = v1::LabSetting { half_life: 86_400_000_000, preempt_after: None };
        let hosts = vec![v1::ProtectedSlots { host: "gpu-7".to_owned(), slots: 2 }];
        let (name, reason) = ("neurips".to_owned(), "deadline".to_owned());
        let (from, until) = (1_760_000_000_000_000, 1_760_003_600_000_000);
        let project_name = "vision".to_owned();
        let mut reservations = vec![v1::Reservation { name, project: project_name, slots: 6, from, until, reason }];
        if all {
            let over = v1::Reservation { name: "icml".to_owned(), ..reservations[0].clone() };
            reservations.push(over);
        }
        let (projects, users) = (vec![project], vec![user]);
        Ok(Response::new(v1::ShowSharesReply { projects, users, hosts, lab: Some(lab), reservations }))
    }

    async fn set_shares(&self, request: Request<v1::SetSharesRequest>) -> Answer<v1::SetSharesReply> {
        use v1::set_shares_reply::Setting;
        use v1::set_shares_request::Change;
        let request = request.into_inner();
        self.asked.lock().unwrap().push(format!("{} {:?}", request.user, request.change));
        let (name, setting) = match request.change.unwrap() {
            Change::Reserve(of) => (of.name.clone(), Setting::Reserved(of)),
            Change::Release(name) => (name.clone(), Setting::Released(name)),
            Change::OfProject(of) | Change::OfUser(of) => {
                if of.slots.is_some_and(|slots| slots.most == Some(99_000_000)) {
                    let text = "slots = 99000000 is not allowed: use 0 to 10000000";
                    return Err(sweep_proto::status::status(tonic::Code::InvalidArgument, "setting_invalid", text));
                }
                let (share, device_hours) = (of.share.unwrap_or(1000), of.device_hours.and_then(|hours| hours.most));
                let slots = of.slots.and_then(|slots| slots.most);
                let open_trials = of.open_trials.and_then(|open| open.most);
                (of.name, Setting::OfUser(v1::Entitlement { share, slots, device_hours, storage: None, open_trials }))
            }
            Change::OfHost(of) => (of.host.clone(), Setting::OfHost(of)),
            Change::OfLab(of) => {
                let preempt_after = of.preempt_after.and_then(|after| after.after);
                let half_life = of.half_life.unwrap_or_default();
                (String::new(), Setting::OfLab(v1::LabSetting { half_life, preempt_after }))
            }
        };
        Ok(Response::new(v1::SetSharesReply { name, setting: Some(setting) }))
    }

    async fn set_sweep(&self, request: Request<v1::SetSweepRequest>) -> Answer<v1::SetSweepReply> {
        let v1::SetSweepRequest { sweep, user, priority, max_parallel } = request.into_inner();
        refuse(&sweep)?;
        self.asked.lock().unwrap().push(format!("set {sweep} {priority:?} {max_parallel:?} {user}"));
        let (changed, priority) = (priority != Some(50), priority.unwrap_or(50));
        let max_parallel = max_parallel.and_then(|quota| quota.most);
        Ok(Response::new(v1::SetSweepReply { name: sweep, priority, max_parallel, changed, running: 6 }))
    }

    async fn move_sweep(&self, request: Request<v1::MoveSweepRequest>) -> Answer<v1::MoveSweepReply> {
        let v1::MoveSweepRequest { sweep: name, user, project, .. } = request.into_inner();
        refuse(&name)?;
        self.asked.lock().unwrap().push(format!("move {name} {project} {user}"));
        let (moved, running) = (project != "vision", 1);
        Ok(Response::new(v1::MoveSweepReply { name, project, moved, running }))
    }
}

#[test]
fn the_queue_says_why_and_when() {
    let bench = Bench::new();
    let ran = bench.run(&["queue"]).expect(0).says("no free slot; it is next").says("any moment").says("unknown");
    ran.says("quota of user ann reached: 8 of 8 slots")
        .says("vision")
        .says("any moment (by epochs)")
        .tells("not listed: 1 sweep with 30 waiting trials of projects that you are not in")
        .tells("unknown: no trial that has such a slot");
    let json = bench.run(&["queue", "--json"]).expect(0).json();
    assert_eq!(json["waiting"][0]["starts"], "2025-10-09T08:53:20Z");
    assert_eq!((&json["waiting"][1]["reason"], &json["free_slots"]), (&"quota_slots".into(), &0.into()));
    assert!(json["waiting"][1]["starts"].is_null());
    assert_eq!(
        (&json["waiting"][0]["starts_by"], &json["waiting"][0]["before_trials"]),
        (&"epochs".into(), &37.into())
    );
    assert_eq!((&json["hidden_sweeps"], &json["hidden_trials"]), (&1.into(), &30.into()));
    let csv = bench.run(&["queue", "--csv"]).expect(0);
    assert!(csv.out.starts_with("sweep,id,project,user,priority,waiting,backoff,running,starts,reason,why,starts_by,before_sweeps,before_trials\n"));
    assert_eq!(csv.out.lines().count(), 3);
}

#[test]
fn shares_are_shown_with_what_was_used() {
    let bench = Bench::new();
    let ran = bench.run(&["admin", "shares", "show"]).expect(0).says("vision").says("2.5").says("12.2");
    ran.says("host gpu-7: 2 protected").says("use counts half after 1 d 0 h; trials may have to give way never");
    let json = bench.run(&["admin", "shares", "show", "--json"]).expect(0).json();
    assert_eq!((&json["projects"][0]["share"], &json["projects"][0]["slots"]), (&2.5.into(), &8.into()));
    assert!(json["lab"]["preempt_after_seconds"].is_null());
    let line =
        "reservation neurips: 6 slots for project vision from 2025-10-09T08:53:20Z to 2025-10-09T09:53:20Z (deadline)";
    let shown = bench.run(&["admin", "shares", "show"]).expect(0).says(line).says("4321").says("200000");
    assert!(!shown.out.contains("icml"), "{shown:#?}");
    bench.run(&["admin", "shares", "show", "--all"]).expect(0).says(line).says("reservation icml");
    assert_eq!(json["users"][0]["most_open_trials"], 200_000);
    assert_eq!(json["reservations"][0]["from"], "2025-10-09T08:53:20Z");
}

#[test]
fn shares_are_set_one_thing_at_a_time() {
    let bench = Bench::new();
    let set = |args: &[&str]| bench.run(&[&["admin", "shares", "set"], args].concat());
    set(&["--user", "ann", "--share", "0.5", "--slots", "8"])
        .expect(0)
        .says("user ann: share 0.5, slots 8, device-hours a week none");
    let json = set(&["--user", "ann", "--slots", "none", "--json"]).expect(0).json();
    assert_eq!((&json["user"]["name"], &json["user"]["slots"]), (&"ann".into(), &serde_json::Value::Null));
    set(&["--host", "gpu-7", "--protected", "2"]).expect(0).says("host gpu-7: 2 protected");
    set(&["--host", "gpu-9", "--protected", "2", "--new"]).expect(0);
    set(&["--user", "ann", "--open-trials", "500"]).expect(0).says("open trials 500");
    set(&["--half-life", "7d", "--preempt-after", "30m"])
        .expect(0)
        .says("use counts half after 7 d 0 h; trials may have to give way after 30 min 00 s");
    set(&["--project", "p", "--slots", "99000000"]).expect(2).tells("use 0 to 10000000").tells("[setting_invalid]");
    // What does not belong together never leaves this machine.
    let asked = bench.asked().len();
    set(&["--user", "ann"]).expect(2);
    set(&["--project", "p", "--open-trials", "5"]).expect(2);
    set(&["--user", "ann", "--project", "p", "--share", "1"]).expect(2);
    set(&["--host", "gpu-7", "--share", "1"]).expect(2);
    set(&["--user", "ann", "--half-life", "7d"]).expect(2);
    set(&["--user", "ann", "--share", "x"]).expect(2).tells("a share is 0 to 1000");
    assert_eq!(bench.asked().len(), asked);
    assert!(bench.asked()[0].starts_with("ada "), "{:?}", bench.asked());
}

#[test]
fn a_sweep_is_given_another_priority_and_limit() {
    let bench = Bench::new();
    let set = |args: &[&str]| bench.run(&[&["set", sweeps::NAME], args].concat());
    let ran = set(&["--priority", "80", "--max-parallel", "4"]).expect(0);
    ran.says("imagenette-first: priority 80, max_parallel 4").tells("6 trials run and go on; the next one starts when");
    let json = set(&["--max-parallel", "none", "--json"]).expect(0).json();
    assert_eq!((&json["priority"], &json["max_parallel"]), (&50.into(), &serde_json::Value::Null));
    set(&["--priority", "50"]).expect(0).tells("nothing was changed: it was so before");
    let expected = [
        "set imagenette-first Some(80) Some(Quota { most: Some(4) }) ada",
        "set imagenette-first None Some(Quota { most: None }) ada",
        "set imagenette-first Some(50) None ada",
    ];
    assert_eq!(bench.asked(), expected);
    set(&[]).expect(2).tells("--priority");
    set(&["--priority", "101"]).expect(2).tells("0..=100");
    set(&["--max-parallel", "few"]).expect(2).tells("a whole number, or `none`");
    bench.run(&["set", "missing", "--priority", "1"]).expect(3).tells("[sweep_unknown]");
    assert_eq!(bench.asked(), expected);
    let shown = bench.run(&["show", sweeps::NAME]).expect(0);
    shown.says("priority").says("50, at most 4 trials at once");
    assert_eq!(bench.run(&["show", sweeps::NAME, "--json"]).expect(0).json()["summary"]["max_parallel"], 4);
}

#[test]
fn a_sweep_is_moved_to_another_project() {
    let bench = Bench::new();
    let moved = |args: &[&str]| bench.run(&[&["move", sweeps::NAME], args].concat());
    moved(&["--project", "audio"])
        .expect(0)
        .says("imagenette-first is in project audio")
        .tells("1 trial run and go on, counted there from now on");
    moved(&["--project", "vision"]).expect(0).tells("nothing was changed: it was there before");
    let json = moved(&["--project", "audio", "--json"]).expect(0).json();
    assert_eq!((&json["project"], &json["moved"]), (&"audio".into(), &true.into()));
    assert_eq!(bench.asked()[0], "move imagenette-first audio ada");
    moved(&[]).expect(2).tells("--project");
    bench.run(&["move", "missing", "--project", "audio"]).expect(3).tells("[sweep_unknown]");
}

#[test]
fn submit_says_what_for_and_how_urgent() {
    let bench = Bench::new();
    bench.run(&["submit", "grid.toml", "--project", "vision", "--priority", "80", "--max-parallel", "4"]).expect(0);
    assert!(bench.asked()[0].contains(r#"("vision", Some(80), Some(4))"#), "{:?}", bench.asked());
    bench.run(&["submit", "grid.toml", "--priority", "101"]).expect(2);
}

#[test]
fn slots_are_promised_and_taken_back() {
    let bench = Bench::new();
    let shares = |args: &[&str]| bench.run(&[&["admin", "shares"], args].concat());
    let at = ["--from", "2026-12-01T18:00:00+01:00", "--for", "7d"];
    shares(&[&["reserve", "neurips", "--project", "vision", "--slots", "6"], at.as_slice()].concat())
        .expect(0)
        .says("reservation neurips: 6 slots for project vision from 2026-12-01T17:00:00Z to 2026-12-08T17:00:00Z");
    let json = shares(&["reserve", "x", "--project", "p", "--slots", "1", "--for", "2h", "--json"]).expect(0).json();
    let time = |what: &str| json["reserved"][what].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(time("until").as_second() - time("from").as_second(), 7200);
    shares(&["release", "neurips"]).expect(0).says("reservation neurips is no more");
    shares(&["reserve", "x", "--project", "p", "--slots", "1"]).expect(2).tells("--for");
    shares(&["reserve", "x", "--project", "p", "--slots", "1", "--for", "2h", "--from", "noon"])
        .expect(2)
        .tells("2026-12-01T18:00:00Z");
}
