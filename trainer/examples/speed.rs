//! How fast the parts of a trainer are on their own, for `benches/compare.py`: the input pipeline from
//! the decoded cache, and a training step. Prints one line of JSON.
//!
//! ```text
//! speed cache ORDER.json --threads 2        images/s of decoding into an empty cache, the resizing and writing included
//! speed input ORDER.json --threads 2        images/s of one pass over the training images
//! speed step ORDER.json --seconds 4         images/s of forward, backward and update (median step)
//! ```
//! ORDER.json is an order file as an agent writes it (`docs/protocol.md`); `step` uses one batch of noise.

#![expect(clippy::print_stdout, reason = "figures are this program's output")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use sweep_core::attempt::OrderFile;
use sweep_core::recipe::Numerics;
use sweep_core::recipe::schedule::Moment;
use sweep_trainer::augment::mix::Mixer;
use sweep_trainer::augment::{Normalise, Pipeline};
use sweep_trainer::data;
use sweep_trainer::data::batches::{Batch, Batches};
use sweep_trainer::device;
use sweep_trainer::link::Stop;
use sweep_trainer::model::{Mode, Model};
use sweep_trainer::numerics::forward;
use sweep_trainer::optim::Optimizer;
use sweep_trainer::seed::{Purpose, stream};
use tch::{Device, Kind, Reduction, TchError, Tensor};

/// Classes of the network in `step`.
const CLASSES: u32 = 10;
/// Steps before the clock runs.
const WARM_UP: usize = 3;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [what, order, option, value] = args.as_slice() else {
        bail!("speed cache|input ORDER.json --threads N | speed step ORDER.json --seconds S");
    };
    let order: OrderFile = serde_json::from_slice(&std::fs::read(order).context("read the order")?)?;
    let rate = match (what.as_str(), option.as_str()) {
        ("cache", "--threads") => cache(&order, value.parse()?)?,
        ("input", "--threads") => input(&order, value.parse()?)?,
        ("step", "--seconds") => step(&order, Duration::from_secs_f64(value.parse()?))?,
        _ => bail!("unknown: {what} {option}"),
    };
    println!("{}", serde_json::json!({ "images_per_s": rate.wall, "images_per_cpu_s": rate.cpu }));
    Ok(())
}

/// Images a second of the clock, and a second of processor time of one thread, which programs that run
/// beside this one disturb less.
struct Rate {
    wall: f64,
    cpu: f64,
}

/// Processor time of this thread so far, from the scheduler's count; 0 where there is none.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(0.0, |ns| ns / 1e9)
}

/// Builds the cache of the data set, which must not be there yet. Reading it back and verifying it is included.
fn cache(order: &OrderFile, threads: usize) -> Result<Rate> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let recipe = &order.work[0].recipe;
    let began = Instant::now();
    let dataset = pool.install(|| data::open(recipe, &order.data_roots, &order.cache_dir, &Stop::default()))?;
    if !dataset.square.was_built() {
        bail!("the cache was there already");
    }
    let wall = (dataset.train.len() + dataset.val.len()) as f64 / began.elapsed().as_secs_f64();
    Ok(Rate { wall, cpu: 0.0 })
}

/// One pass over the training images by so many workers side by side, each a pass of its own.
fn input(order: &OrderFile, threads: usize) -> Result<Rate> {
    device::use_threads(1);
    let recipe = &order.work[0].recipe;
    let dataset = data::open(recipe, &order.data_roots, &order.cache_dir, &Stop::default())?;
    let (pipeline, mixer) = (Pipeline::new(recipe), Mixer::new(recipe));
    let pass = |epoch: u32| {
        let batches = Batches {
            dataset: &dataset,
            pipeline: &pipeline,
            mixer: &mixer,
            normalise: Normalise::new(recipe.data.mean, recipe.data.std),
            seed: 1,
            on: recipe.augment_on,
            resident: None,
            device: Device::Cpu,
            helper: false,
        };
        let mut count = 0;
        let step = |Batch { labels, .. }: Batch| {
            count += labels.size()[0];
            Ok::<_, TchError>(())
        };
        batches.train(epoch, recipe.batch_size as usize, step).map(|()| count)
    };
    pass(1)?;
    let began = Instant::now();
    let epochs = recipe.epochs;
    let (images, cpu) = std::thread::scope(|scope| {
        let pass = &pass;
        let worker = |worker: usize| {
            move || {
                let images: i64 = (1..=epochs).map(|epoch| pass(epoch + 1000 * worker as u32)).sum::<Result<_, _>>()?;
                Ok::<_, TchError>((images as f64, cpu_s()))
            }
        };
        let workers: Vec<_> = (0..threads).map(|number| scope.spawn(worker(number))).collect();
        workers.into_iter().try_fold((0.0, 0.0), |(images, cpu), worker| {
            let (more, busy) = worker.join().map_err(|_| anyhow!("a worker panicked"))??;
            anyhow::Ok((images + more, cpu + busy))
        })
    })?;
    // Threads side by side: what they would do together if each had a core of its own.
    Ok(Rate { wall: images / began.elapsed().as_secs_f64(), cpu: images / cpu * threads as f64 })
}

fn step(order: &OrderFile, time: Duration) -> Result<Rate> {
    device::use_threads(order.threads);
    let device = device::parse(&order.device)?;
    let recipe = &order.work[0].recipe;
    let [numerics] = Numerics::allowed(recipe)[..] else {
        bail!("precision and layout must be given, not auto");
    };
    let model = Model::new(&recipe.model, CLASSES, recipe.image_size, Some(1), device);
    let mut optimizer = Optimizer::new(&recipe.optimizer, &model);
    let weights: Vec<&Tensor> = model.weights().map(|named| &named.tensor).collect();
    let (batch, side) = (i64::from(recipe.batch_size), i64::from(recipe.image_size));
    let images = Tensor::randn([batch, 3, side, side], (Kind::Float, device));
    let labels = Tensor::randint(i64::from(CLASSES), [batch], (Kind::Int64, device));
    let mut once = || -> Result<()> {
        let mut random = stream(1, Purpose::Dropout, &[0]);
        let mut mode = Mode::Train { dropout: recipe.dropout_rate(), random: &mut random };
        let logits = forward(numerics, &model, &images, &mut mode);
        let loss = logits.cross_entropy_loss(&labels, None::<&Tensor>, Reduction::Mean, -100, 0.0);
        let moment = Moment { epoch: 0, step: optimizer.steps(), steps_per_epoch: 1000 };
        optimizer.step(Tensor::f_run_backward(&[&loss], &weights, false, false)?, recipe.pace(&moment, None));
        // Waits for the device.
        loss.f_double_value(&[])?;
        Ok(())
    };
    for _ in 0..WARM_UP {
        once()?;
    }
    let (end, mut rates, busy) = (Instant::now() + time, Vec::new(), cpu_s());
    while Instant::now() < end || rates.len() < 5 {
        let began = Instant::now();
        once()?;
        rates.push(batch as f64 / began.elapsed().as_secs_f64());
    }
    let cpu = (rates.len() as i64 * batch) as f64 / (cpu_s() - busy);
    rates.sort_by(f64::total_cmp);
    Ok(Rate { wall: rates[rates.len() / 2], cpu })
}
