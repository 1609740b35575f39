//! The life of an attempt in paused time, with a trainer that does what a script says.

use super::*;
use crate::launcher::ExitKind;
use futures_util::FutureExt;
use std::sync::{Arc, Mutex};
use sweep_core::attempt::{Body, Done};
use sweep_core::id::{SweepId, TrialId};
use tokio::time::timeout;

/// How a trainer behaves; times in milliseconds after the start.
#[derive(Clone, Copy, Default)]
struct Script {
    /// Takes so long to begin.
    begins: u64,
    /// Ends by itself.
    ends: Option<u64>,
    /// Writes its final line.
    done: Option<u64>,
    /// Ends so long after SIGTERM.
    obeys: Option<u64>,
    /// Ends so long after SIGKILL.
    dies: Option<u64>,
    /// Leaves something behind for so long after SIGKILL comes after its end.
    straggles: Option<u64>,
}

struct Scripted {
    script: Script,
    born: Instant,
    gone_at: Option<Instant>,
    told: bool,
    released_at: Option<Instant>,
    signals: Arc<Mutex<Vec<(Signal, u64)>>>,
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}

impl Scripted {
    fn earliest(&mut self, at: Instant) {
        self.gone_at = Some(self.gone_at.map_or(at, |other| other.min(at)));
    }
}

impl Trainer for Scripted {
    fn news(&mut self) -> BoxFuture<'_, News> {
        async move {
            let done = self.script.done.filter(|_| !self.told).map(|done| self.born + ms(done));
            match (done, self.gone_at) {
                (Some(done), gone) if gone.is_none_or(|gone| gone > done) => {
                    sleep_until(done).await;
                    self.told = true;
                    let body = Body::Done(Done { final_seq: 0, early: false, weights: String::new(), test: None });
                    News::Lines(vec![Line { work: 0, body }])
                }
                (_, Some(gone)) => {
                    sleep_until(gone).await;
                    News::Gone { lines: vec![], exit: Exit { how: ExitKind::Code(0), words: String::new() } }
                }
                _ => pending().await,
            }
        }
        .boxed()
    }

    fn signal(&mut self, signal: Signal) {
        let now = Instant::now();
        let after = now.duration_since(self.born).as_millis() as u64;
        self.signals.lock().unwrap().push((signal, after));
        match signal {
            Signal::Stop => self.script.obeys.into_iter().for_each(|obeys| self.earliest(now + ms(obeys))),
            Signal::Kill if self.gone_at.is_some_and(|gone| gone <= now) => {
                let clean = self.script.straggles.map(|straggles| now + ms(straggles));
                self.released_at = self.released_at.or(clean);
            }
            Signal::Kill => self.script.dies.into_iter().for_each(|dies| self.earliest(now + ms(dies))),
        }
    }

    fn is_released(&mut self) -> bool {
        self.script.straggles.is_none() || self.released_at.is_some_and(|at| at <= Instant::now())
    }
}

/// Runs a unit, asks it to stop after `stop` milliseconds, and gives what it told and when, and the
/// signals that its trainer got.
async fn live(script: Script, stop: Option<u64>) -> (Vec<(u64, String)>, Vec<(Signal, u64)>) {
    let lease = Lease { trial: TrialId::derive(SweepId::derive("unit", ""), ""), attempt: 1 };
    let signals = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&signals);
    let begin = async move {
        sleep(ms(script.begins)).await;
        let born = Instant::now();
        let gone_at = script.ends.map(|ends| born + ms(ends));
        let trainer = Scripted { script, born, gone_at, told: false, released_at: None, signals: noted };
        Ok(Box::new(trainer) as Box<dyn Trainer>)
    };
    let (ask, asked) = oneshot::channel();
    let (tell, mut told) = mpsc::channel(16);
    let unit = Unit { lease, begin: begin.boxed(), stop: asked, grace: ms(10_000), tell };
    tokio::spawn(unit.run());
    let start = Instant::now();
    let mut ask = Some(ask);
    let mut story = Vec::new();
    let stop_at = stop.map(|stop| start + ms(stop));
    loop {
        tokio::select! {
            biased;
            said = told.recv() => {
                let Some((_, said)) = said else { break };
                let word = match said {
                    Told::Lines(_) => "lines".to_owned(),
                    Told::Log { .. } => "log".to_owned(),
                    Told::Stuck => "stuck".to_owned(),
                    Told::Over(Over::Gone { killed, .. }) => format!("gone killed={killed}"),
                    Told::Over(Over::NeverStarted) => "never started".to_owned(),
                    Told::Over(Over::Failed(_)) => "failed".to_owned(),
                };
                story.push((start.elapsed().as_millis() as u64, word));
                if story.len() > 3 { break; }
            }
            () = async { match stop_at { Some(at) => sleep_until(at).await, None => pending().await } }, if ask.is_some() => {
                ask.take().unwrap().send(()).ok();
            }
        }
    }
    drop(told);
    let signals = signals.lock().unwrap().clone();
    (story, signals)
}

fn story(story: &[(u64, &str)]) -> Vec<(u64, String)> {
    story.iter().map(|(at, word)| (*at, (*word).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_trainer_that_ends_is_over_at_once() {
    let (told, signals) = live(Script { done: Some(50), ends: Some(60), ..Script::default() }, None).await;
    assert_eq!(told, story(&[(50, "lines"), (60, "gone killed=false")]));
    assert_eq!(signals, []);
}

#[tokio::test(start_paused = true)]
async fn one_that_obeys_is_not_killed() {
    let (told, signals) = live(Script { obeys: Some(3_000), ..Script::default() }, Some(1_000)).await;
    assert_eq!(told, story(&[(4_000, "gone killed=false")]));
    assert_eq!(signals, [(Signal::Stop, 1_000)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_obey_is_killed_after_the_grace_time() {
    let (told, signals) = live(Script { dies: Some(5), ..Script::default() }, Some(1_000)).await;
    assert_eq!(told, story(&[(11_005, "gone killed=true")]));
    assert_eq!(signals, [(Signal::Stop, 1_000), (Signal::Kill, 11_000)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_lingers_after_its_final_line_is_killed() {
    let (told, signals) = live(Script { done: Some(100), dies: Some(0), ..Script::default() }, None).await;
    assert_eq!(told, story(&[(100, "lines"), (10_100, "gone killed=true")]));
    assert_eq!(signals, [(Signal::Kill, 10_100)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_killed_is_said_and_tried_again() {
    let (told, signals) = live(Script { dies: Some(40_000), ..Script::default() }, Some(1)).await;
    assert_eq!(told, story(&[(40_001, "stuck"), (50_001, "gone killed=true")]));
    assert!(signals.len() > 30, "{signals:?}");
}

#[tokio::test(start_paused = true)]
async fn what_it_leaves_behind_is_killed_before_it_is_over() {
    let (told, signals) = live(Script { ends: Some(10), straggles: Some(15), ..Script::default() }, None).await;
    assert_eq!(told, story(&[(230, "gone killed=false")]));
    assert_eq!(signals[0], (Signal::Kill, 210));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_stopped_before_it_begins_never_starts() {
    let (told, signals) = live(Script { begins: 5_000, ends: Some(1), ..Script::default() }, Some(1_000)).await;
    assert_eq!(told, story(&[(1_000, "never started")]));
    assert_eq!(signals, []);
}

#[tokio::test(start_paused = true)]
async fn a_unit_nobody_listens_to_leaves_its_trainer_alone() {
    let lease = Lease { trial: TrialId::derive(SweepId::derive("unit", ""), ""), attempt: 1 };
    let signals = Arc::new(Mutex::new(Vec::new()));
    let trainer = Scripted {
        script: Script { done: Some(5), ..Script::default() },
        born: Instant::now(),
        gone_at: None,
        told: false,
        released_at: None,
        signals: Arc::clone(&signals),
    };
    let (ask, stop) = oneshot::channel();
    let (tell, told) = mpsc::channel(1);
    drop((ask, told));
    let begin = async { Ok(Box::new(trainer) as Box<dyn Trainer>) }.boxed();
    let unit = Unit { lease, begin, stop, grace: ms(10), tell };
    timeout(ms(60_000), unit.run()).await.unwrap();
    assert_eq!(*signals.lock().unwrap(), []);
}
