//! Agents that say anything at all, to a real coordinator with its journal in memory: every handler answers, the history stays
//! legal for the oracle, and the state stays the fold of the events. An input is a list of steps: calls that make sense, with
//! a number now and then that does not; calls of bytes; calls sent again, also damaged; time that passes; restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::{Result, Unstructured};
use prost::Message as _;
use sweep_core::id::Lease;
use sweep_proto::convert::orders;
use sweep_proto::v1;
use tokio::time::sleep;

use super::kind;
use super::network::{Answer, Lab};
use super::script::{self, AGENTS, SPECS};

/// Most steps of one input.
const STEPS: usize = 48;
/// Most leases that an input speaks of.
const LEASES: usize = 64;

/// What the agents know.
pub(super) struct Cast {
    lab: Lab,
    /// By agent: what it should be running.
    pub(super) orders: [Vec<Lease>; AGENTS],
    /// Everything that was ever ordered.
    pub(super) leases: Vec<Lease>,
    /// By lease: epochs that were accepted, and the epoch that it went on from.
    pub(super) progress: BTreeMap<Lease, (u64, u32)>,
    pub(super) incarnation: u64,
    pub(super) seen: Option<v1::Seen>,
    /// The hashes of what was stored.
    pub(super) blobs: Vec<(String, u64)>,
    sent: Vec<(&'static str, Vec<Vec<u8>>)>,
    codes: Vec<i32>,
}

/// See the module.
pub(super) fn calls(bytes: &[u8]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without sockets can be made").block_on(async {
        let mut cast = Cast {
            lab: Lab::new().await,
            orders: Default::default(),
            leases: Vec::new(),
            progress: BTreeMap::new(),
            incarnation: 1,
            seen: None,
            blobs: Vec::new(),
            sent: Vec::new(),
            codes: Vec::new(),
        };
        let mut from = Unstructured::new(bytes);
        for _ in 0..STEPS {
            if from.is_empty() || cast.step(&mut from).await.is_err() {
                break;
            }
        }
        cast.codes.sort_unstable();
        cast.codes.dedup();
        let mut kinds = cast.lab.judge().await;
        kinds.sort();
        kind((cast.codes, kinds))
    })
}

impl Cast {
    async fn step(&mut self, from: &mut Unstructured<'_>) -> Result<()> {
        match from.int_in_range(0..=15)? {
            0 => {
                let hello = script::hello(self, from)?;
                self.call("/sweep.v1.Agents/Hello", vec![hello.encode_to_vec()]).await;
            }
            1..=3 => {
                let (agent, poll) = script::poll(self, from)?;
                let answer = self.call("/sweep.v1.Agents/Poll", vec![poll.encode_to_vec()]).await;
                if let Some(v1::PollReply { orders, at }) = answer.read() {
                    self.told(agent, orders.as_ref(), at);
                }
            }
            4..=7 => self.report(from).await?,
            8 => {
                let observe = script::observe(from)?;
                self.call("/sweep.v1.Agents/Observe", vec![observe.encode_to_vec()]).await;
            }
            9 => {
                let ship = script::ship(self, from)?;
                self.call("/sweep.v1.Agents/ShipSeries", vec![ship.encode_to_vec()]).await;
            }
            10 => {
                let (name, chunks) = script::upload(from)?;
                let bytes = chunks.first().map_or(0, |chunk| chunk.bytes);
                let answer =
                    self.call("/sweep.v1.Blobs/Upload", chunks.iter().map(v1::UploadChunk::encode_to_vec).collect());
                if matches!(answer.await, Answer::Reply(_)) {
                    self.blobs.push((name, bytes));
                }
            }
            11 => {
                let spec = SPECS[from.choose_index(SPECS.len())?].as_bytes().to_vec().into();
                let run = from.int_in_range(0..=2)?.to_string();
                let request = v1::SubmitRequest { spec, run, queue_anyway: true, ..Default::default() };
                self.call("/sweep.v1.Sweeps/Submit", vec![request.encode_to_vec()]).await;
            }
            12 => {
                let (path, message) = script::people(self, from)?;
                self.call(path, vec![message]).await;
            }
            13 => {
                let path = script::method(from)?;
                let length = from.int_in_range(0..=64)?.min(from.len());
                let message = from.bytes(length)?.to_vec();
                self.call(path, vec![message]).await;
            }
            14 if !self.sent.is_empty() => {
                let (path, mut messages) = self.sent[from.choose_index(self.sent.len())?].clone();
                if let (Some(message), true) = (messages.first_mut(), from.arbitrary()?) {
                    script::damage(message, from)?;
                }
                self.call(path, messages).await;
            }
            _ => match from.int_in_range(0..=4)? {
                0 => {
                    self.lab.restart().await;
                    self.orders = Default::default();
                }
                seconds => sleep(Duration::from_secs(seconds * from.int_in_range(1..=60)?)).await,
            },
        }
        Ok(())
    }

    async fn report(&mut self, from: &mut Unstructured<'_>) -> Result<()> {
        let (agent, report) = script::report(self, from)?;
        let answer = self.call("/sweep.v1.Agents/Report", vec![report.encode_to_vec()]).await;
        if let Some(v1::ReportReply { results, orders, at }) = answer.read() {
            assert_eq!(results.len(), report.effects.len(), "one answer for each effect");
            for (effect, result) in report.effects.iter().zip(results) {
                let lease = sweep_proto::convert::lease(effect.lease.as_ref());
                if let (Ok(lease), true) = (lease, result.acked_seq > 0) {
                    self.progress.entry(lease).or_default().0 = result.acked_seq;
                }
            }
            self.told(agent, orders.as_ref(), at);
        }
        Ok(())
    }

    fn told(&mut self, agent: usize, told: Option<&v1::Orders>, at: Option<v1::Seen>) {
        let told = orders(told).unwrap_or_else(|error| panic!("orders: {error}"));
        for body in told.bodies {
            let epoch = body.order.resume.map_or(0, |resume| resume.epoch);
            self.progress.entry(body.lease).or_default().1 = epoch;
            if self.leases.len() < LEASES && !self.leases.contains(&body.lease) {
                self.leases.push(body.lease);
            }
        }
        self.orders[agent] = told.leases;
        self.seen = at;
    }

    async fn call(&mut self, path: &'static str, messages: Vec<Vec<u8>>) -> Answer {
        let answer = self.lab.call(path, &messages).await;
        if let Answer::Refused(code) = answer {
            self.codes.push(code);
        }
        self.sent.push((path, messages));
        answer
    }
}
