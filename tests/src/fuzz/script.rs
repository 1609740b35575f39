//! What the agents of [`super::calls`] say: messages that make sense for what they know, in which any number may be another one.

use arbitrary::{Result, Unstructured};
use prost::Message as _;
use sweep_core::event::AgentFacts;
use sweep_core::id::{AgentId, Lease};
use sweep_proto::convert::{hello_request, id_bytes, to_leases};
use sweep_proto::v1;
use sweep_proto::v1::effect::What;
use sweep_proto::v1::ended::How;
use uuid::Uuid;

use super::calls::Cast;
use crate::sha256;

/// How many agents there are.
pub(super) const AGENTS: usize = 3;

/// What is submitted.
pub(super) const SPECS: [&str; 5] = [
    "name = \"grid\"\ndataset = \"none\"\nepochs = 2\nseeds = 1\n[grid]\nlr = [0.1, 0.01]\n",
    "name = \"retries\"\ndataset = \"none\"\nepochs = 3\nseeds = 2\nmax_retries = 0\n[grid]\nlr = [0.1, 0.01, 0.001]\n",
    "name = \"asha\"\ndataset = \"none\"\nepochs = 5\nseeds = 1\nstop = \"asha\"\n[grid]\nlr = [0.1, 0.01, 0.001]\ndropout = [0.0, 0.2]\n",
    "name = \"median\"\ndataset = \"none\"\nepochs = 5\nseeds = 1\n[stop]\nrule = \"median\"\nmin_configurations = 2\n[grid]\nlr = [0.1, 0.01, 0.001, 0.5]\n",
    "name = \"search\"\ndataset = \"none\"\nepochs = 2\nseeds = 1\nsearch = \"tpe\"\nsamples = 12\n[grid]\nlr = { log_uniform = [1e-5, 1e-1] }\n",
];

/// Numbers of which some break what counts.
const ODD: [u64; 8] = [0, 1, 2, u32::MAX as u64, u32::MAX as u64 + 1, i64::MAX as u64, u64::MAX - 1, u64::MAX];
/// Values that a loss may have.
const VALUES: [f64; 8] = [0.5, 0.25, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX];

/// Mostly `right`.
fn number(right: u64, from: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match from.int_in_range(0..=31)? {
        0 => ODD[from.choose_index(ODD.len())?],
        1 => right.wrapping_add(1),
        2 => right.wrapping_sub(1),
        3 => from.arbitrary()?,
        _ => right,
    })
}

fn value(from: &mut Unstructured<'_>) -> Result<Option<f64>> {
    Ok(Some(VALUES[from.choose_index(VALUES.len())?]))
}

fn agent(from: &mut Unstructured<'_>) -> Result<(usize, AgentId)> {
    let agent = from.choose_index(AGENTS)?;
    Ok((agent, AgentId::from(Uuid::from_u128(agent as u128 + 1))))
}

/// Mostly what the coordinator has said.
fn seen(cast: &Cast, from: &mut Unstructured<'_>) -> Result<Option<v1::Seen>> {
    let Some(seen) = cast.seen.clone() else { return Ok(None) };
    Ok(match from.int_in_range(0..=15)? {
        0 => None,
        1 => Some(v1::Seen { events: number(seen.events, from)?, ..seen }),
        2 => Some(v1::Seen { generation: number(seen.generation.into(), from)? as u32, ..seen }),
        _ => Some(seen),
    })
}

/// Mostly all that it should have.
fn known(cast: &Cast, agent: usize, from: &mut Unstructured<'_>) -> Result<Vec<v1::Lease>> {
    let mut known = cast.orders[agent].clone();
    match from.int_in_range(0..=15)? {
        0 => known.clear(),
        1 => known.extend(cast.leases.iter().copied()),
        2 => drop(known.pop()),
        3 => known.extend(known.clone()),
        _ => {}
    }
    Ok(to_leases(&known))
}

pub(super) fn hello(cast: &mut Cast, from: &mut Unstructured<'_>) -> Result<v1::HelloRequest> {
    let (at, id) = agent(from)?;
    if from.ratio(1, 3)? {
        cast.incarnation += 1;
    }
    let mut facts = AgentFacts::pretend(id, format!("host-{at}"), from.int_in_range(0..=4)?);
    facts.incarnation = cast.incarnation;
    let mut request = hello_request(&facts, &[], "fuzz");
    request.held = known(cast, at, from)?;
    request.seen = seen(cast, from)?;
    request.protocol = number(request.protocol.into(), from)? as u32;
    if from.ratio(1, 4)? {
        let slots = (0..from.int_in_range(0..=5)?).map(|_| Ok(number(from.int_in_range(0..=4)?, from)? as u32));
        let (slots, memory) = (slots.collect::<Result<Vec<_>>>()?, number(80 << 30, from)?);
        let device = v1::Device { id: "GPU-0".into(), model: "A100".into(), memory, slots, packed: from.arbitrary()? };
        let devices = vec![device; from.int_in_range(1..=2)?];
        request.offer = Some(v1::Offer { devices, cores: number(8, from)? as u32, ..Default::default() });
    }
    Ok(request)
}

pub(super) fn poll(cast: &Cast, from: &mut Unstructured<'_>) -> Result<(usize, v1::PollRequest)> {
    let (at, id) = agent(from)?;
    let request = v1::PollRequest {
        agent_id: id_bytes(id),
        known: if from.arbitrary()? { known(cast, at, from)? } else { Vec::new() },
        wait_ms: number(0, from)? as u32,
        revision: number(0, from)?,
        seen: seen(cast, from)?,
    };
    Ok((at, request))
}

pub(super) fn report(cast: &Cast, from: &mut Unstructured<'_>) -> Result<(usize, v1::ReportRequest)> {
    let (at, id) = agent(from)?;
    let mut effects = Vec::new();
    for _ in 0..from.int_in_range(1..=3)? {
        let own = &cast.orders[at];
        let leases = if own.is_empty() || from.ratio(1, 16)? { &cast.leases } else { own };
        let Some(lease) = (!leases.is_empty()).then(|| from.choose(leases)).transpose()? else { break };
        let what = effect(cast, *lease, from)?;
        let attempt = number(lease.attempt.into(), from)? as u32;
        effects.push(v1::Effect { lease: Some(Lease { attempt, ..*lease }.into()), what: Some(what) });
    }
    let known = known(cast, at, from)?;
    Ok((at, v1::ReportRequest { agent_id: id_bytes(id), effects, known, seen: seen(cast, from)? }))
}

fn effect(cast: &Cast, lease: Lease, from: &mut Unstructured<'_>) -> Result<What> {
    let (acked, resumed) = cast.progress.get(&lease).copied().unwrap_or_default();
    let epoch = (u64::from(resumed)).saturating_add(acked);
    Ok(match from.int_in_range(0..=9)? {
        0..=3 => {
            let epochs = (1..=from.int_in_range(1..=3)?).map(|next| epoch_of(acked + next, epoch + next, from));
            What::Metrics(v1::Metrics { epochs: epochs.collect::<Result<_>>()? })
        }
        4 | 5 => {
            let (sha256, bytes) = match cast.blobs.is_empty() {
                true => (sha256(b""), 0),
                false => from.choose(&cast.blobs)?.clone(),
            };
            What::Checkpoint(v1::Checkpoint {
                kind: from.int_in_range(0..=3)?,
                epoch: number(epoch, from)? as u32,
                seq: number(acked, from)?,
                sha256,
                bytes: number(bytes, from)?,
            })
        }
        6 => What::Chosen(v1::Numerics {
            precision: (*from.choose(&["fp32", "bf16", "tf32", "auto", ""])?).into(),
            layout: (*from.choose(&["contiguous", "channels_last", "?"])?).into(),
        }),
        7 => What::Started(v1::Origin { build: "fuzz".into(), parameters: number(1000, from)?, ..Default::default() }),
        _ => What::Ended(v1::Ended { final_seq: number(acked, from)?, how: Some(how(epoch, from)?) }),
    })
}

fn epoch_of(seq: u64, epoch: u64, from: &mut Unstructured<'_>) -> Result<v1::EpochMetrics> {
    let cost = v1::EpochCost { peak_memory: Some(number(1 << 30, from)?), ..Default::default() };
    Ok(v1::EpochMetrics {
        seq: number(seq, from)?,
        epoch: number(epoch, from)? as u32,
        val_accuracy: value(from)?,
        val_loss: value(from)?,
        seconds: value(from)?,
        cost: from.ratio(1, 4)?.then_some(cost),
        ..Default::default()
    })
}

fn how(epoch: u64, from: &mut Unstructured<'_>) -> Result<How> {
    const CLASSES: [&str; 8] = ["recipe", "data", "diverged", "out_of_memory", "device", "host", "crash", "?"];
    Ok(match from.int_in_range(0..=3)? {
        0 | 1 => {
            let score =
                v1::Score { epoch: epoch as u32, images: 1, loss: value(from)?, accuracy: value(from)?, top5: None };
            let test = from.arbitrary::<bool>()?.then_some(score);
            How::Done(v1::Done { early: from.arbitrary()?, weights: "00".into(), test })
        }
        2 => How::Stopped(v1::Stopped {}),
        _ => {
            let reason = (*from.choose(&["checkpoint_missing", "x", "", "events_corrupt"])?).to_owned();
            How::Failed(v1::Failure { class: (*from.choose(&CLASSES)?).into(), reason, message: "m".into() })
        }
    })
}

pub(super) fn observe(from: &mut Unstructured<'_>) -> Result<v1::ObserveRequest> {
    let (_, id) = agent(from)?;
    let process = v1::DeviceProcess {
        pid: 1,
        user: "eve".into(),
        memory: number(1 << 30, from)?,
        ours: from.arbitrary()?,
        ..Default::default()
    };
    let device = v1::DeviceState {
        id: "GPU-0".into(),
        used: number(1 << 30, from)?,
        processes: if from.arbitrary()? { vec![process] } else { Vec::new() },
        fault: if from.ratio(1, 4)? { "xid 79".into() } else { String::new() },
        ..Default::default()
    };
    let closed = from.ratio(1, 4)?.then_some(v1::OutOfHours { until: Some(from.arbitrary()?) });
    let free_after = from.ratio(1, 4)?.then(|| from.arbitrary()).transpose()?;
    Ok(v1::ObserveRequest {
        agent_id: id_bytes(id),
        devices: vec![device; from.int_in_range(0..=2)?],
        closed,
        free_after,
    })
}

pub(super) fn ship(cast: &Cast, from: &mut Unstructured<'_>) -> Result<v1::ShipSeriesRequest> {
    let (_, id) = agent(from)?;
    let Some(lease) = cast.leases.first() else { return Ok(v1::ShipSeriesRequest::default()) };
    let lease = Some((*lease).into());
    let text = vec![b'x'; from.int_in_range(0..=40)?].into();
    let logs = vec![v1::LogChunk { lease: lease.clone(), offset: number(0, from)?, text }];
    let steps = vec![v1::Step { lease, step: number(1, from)?, loss: value(from)? }];
    Ok(v1::ShipSeriesRequest { agent_id: id_bytes(id), logs, steps })
}

pub(super) fn upload(from: &mut Unstructured<'_>) -> Result<(String, Vec<v1::UploadChunk>)> {
    let data = vec![from.int_in_range(0..=3)?; 8];
    let name = if from.ratio(1, 8)? { sha256(b"other") } else { sha256(&data) };
    let bytes = number(8, from)?;
    let chunk =
        |sha256: &str, bytes, data: &[u8]| v1::UploadChunk { sha256: sha256.into(), bytes, data: data.to_vec().into() };
    Ok((name.clone(), vec![chunk(&name, bytes, &data[..4]), chunk("", 0, &data[4..])]))
}

/// What people do meanwhile.
pub(super) fn people(cast: &Cast, from: &mut Unstructured<'_>) -> Result<(&'static str, Vec<u8>)> {
    let sweep = (*from.choose(&["grid", "retries", "asha", "median", "search", "none"])?).to_owned();
    let trial = cast.leases.first().map(|lease| lease.trial.to_string()).unwrap_or_default();
    Ok(match from.int_in_range(0..=5)? {
        0 => ("/sweep.v1.Sweeps/Cancel", v1::CancelRequest { sweep, ..Default::default() }.encode_to_vec()),
        1 => ("/sweep.v1.Sweeps/Cancel", v1::CancelRequest { trial, ..Default::default() }.encode_to_vec()),
        2 => ("/sweep.v1.Sweeps/Retry", v1::RetryRequest { sweep, ..Default::default() }.encode_to_vec()),
        3 => {
            let (host, kind) =
                (format!("host-{}", from.int_in_range(0..=2)?), from.choose(&["drain", "quarantine", "yield"])?);
            let slot = from.arbitrary::<bool>()?.then_some(0);
            let hold = v1::HoldRequest { host, slot, kind: (*kind).into(), reason: "r".into(), ..Default::default() };
            ("/sweep.v1.Machines/Hold", hold.encode_to_vec())
        }
        4 => {
            let lift = v1::LiftRequest { host: format!("host-{}", from.int_in_range(0..=2)?), ..Default::default() };
            ("/sweep.v1.Machines/Lift", lift.encode_to_vec())
        }
        _ => ("/sweep.v1.Upkeep/AcceptRollback", Vec::new()),
    })
}

/// Any method but those that read or write the disk of whoever runs this.
pub(super) fn method(from: &mut Unstructured<'_>) -> Result<&'static str> {
    let methods = || sweep_proto::PERMISSIONS.iter().map(|(path, _)| *path).filter(|path| !path.contains("Upkeep"));
    let at = from.choose_index(methods().count())?;
    Ok(methods().nth(at).unwrap_or("/sweep.v1.Agents/Hello"))
}

/// Changes bytes of a message.
pub(super) fn damage(message: &mut Vec<u8>, from: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..from.int_in_range(1..=3)? {
        if message.is_empty() {
            break;
        }
        let at = from.choose_index(message.len())?;
        match from.int_in_range(0..=3)? {
            0 => message[at] ^= 1 << from.int_in_range(0..=7)?,
            1 => message[at] = from.arbitrary()?,
            2 => message.truncate(at),
            _ => message.insert(at, from.arbitrary()?),
        }
    }
    Ok(())
}
