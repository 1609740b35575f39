//! `plot`: one figure of the report as a file, SVG or PNG.

mod png;

use sweep_core::report::analysis::{Factors, Options, Study, analyse};
use sweep_core::report::document::sections::{no_result, silent};
use sweep_core::report::figures::{self, Page};

use super::report::{ReportFault, file, warn_of_probe};
use crate::cli::{self, Drawing};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Out, safe};

/// Pixels for each pixel of the SVG, if nobody says.
const SCALE: u8 = 2;

/// What a figure is written as.
#[derive(Clone, Copy, Debug)]
enum Form {
    Svg,
    Png { page: Page, scale: u8 },
}

/// The form by the ending of the file.
fn form(args: &cli::Plot) -> Result<Form, ReportFault> {
    let ending = args.output.extension().and_then(|ending| ending.to_str()).map(str::to_lowercase);
    match ending.as_deref() {
        Some("png") => {
            let page = if args.dark { Page::Dark } else { Page::Light };
            Ok(Form::Png { page, scale: args.scale.unwrap_or(SCALE) })
        }
        Some("svg") if args.dark => Err(ReportFault::OnlyPng { option: "--dark" }),
        Some("svg") if args.scale.is_some() => Err(ReportFault::OnlyPng { option: "--scale" }),
        Some("svg") => Ok(Form::Svg),
        _ => Err(ReportFault::NoFigure { path: args.output.clone() }),
    }
}

/// The kind of cost that a figure is against.
fn cost(figure: Drawing) -> Option<&'static str> {
    match figure {
        Drawing::Time => Some("device_hours"),
        Drawing::Energy => Some("kwh"),
        Drawing::Memory => Some("peak_memory"),
        Drawing::Parameters => Some("parameters"),
        Drawing::Effects | Drawing::Curves | Drawing::Interaction => None,
    }
}

/// What a sweep without this figure does not have.
fn lacks(figure: Drawing, study: &Study) -> String {
    let known = study.analysis.pareto.iter().find(|found| cost(figure) == Some(found.cost.as_str()));
    if known.is_some_and(|found| found.points.len() == 1) {
        return "there is one point with a result, and nothing to set it against: this figure takes two".to_owned();
    }
    let is_empty = study.report.points.iter().all(|row| row.accuracy.n == 0);
    if is_empty && (figure != Drawing::Interaction || !study.analysis.interactions.is_empty()) {
        return no_result(&study.report);
    }
    let silent = silent(study).join("; ").replace("Nothing can", "nothing can");
    let why = match figure {
        Drawing::Effects if !silent.is_empty() => return silent,
        Drawing::Effects => "no factor has values that are compared with each other",
        Drawing::Curves => "no run with a result has a curve",
        Drawing::Interaction => {
            "this sweep has no such pair of factors: interactions are those of a full grid of two factors or more (--factor A,B names two)"
        }
        Drawing::Time => "no completed point has a time yet",
        Drawing::Energy => "no energy was measured: it takes a host with RAPL or NVML",
        Drawing::Memory => "no trainer has told its memory yet",
        Drawing::Parameters => "the number of parameters is the same for all points, or not known yet",
    };
    why.to_owned()
}

/// Draws what was asked for.
pub(crate) async fn run(out: &Out, client: &Client, args: &cli::Plot) -> Result<(), Fault> {
    let form = form(args)?;
    file::check(&args.output, args.force)?;
    let report = client.report(&args.sweep, args.figure == Drawing::Curves).await?;
    warn_of_probe(out, &report);
    if args.factor.is_some() && cost(args.figure).is_some() {
        return Err(ReportFault::NoFactor.into());
    }
    let names: Vec<&str> = match args.figure {
        Drawing::Interaction => args.factor.iter().flat_map(|both| both.split(',')).map(str::trim).collect(),
        _ => args.factor.as_deref().into_iter().collect(),
    };
    let known = Factors::of(&report);
    names.iter().try_for_each(|name| known.find(name).map(drop)).map_err(ReportFault::from)?;
    let factor = names.first().map(|name| (*name).to_owned());
    let mut study = analyse(report, &Options { factor, ..Options::default() }).map_err(ReportFault::from)?;
    if let (Drawing::Effects, Some(name)) = (args.figure, names.first()) {
        let wanted = known.find(name).map_err(ReportFault::from)?.to_owned();
        study.analysis.factors.retain(|factor| factor.factor == wanted);
    }
    let figure = match args.figure {
        Drawing::Effects => figures::effects(&study),
        Drawing::Curves => figures::curves(&study),
        Drawing::Interaction => {
            let wanted: Vec<&str> = names.iter().filter_map(|name| known.find(name).ok()).collect();
            let fits = |pair: &&sweep_core::report::effects::Interaction| {
                let (a, b) = (pair.factors.0.as_str(), pair.factors.1.as_str());
                wanted.is_empty() || wanted == [a, b] || wanted == [b, a]
            };
            study.analysis.interactions.iter().find(fits).and_then(figures::interaction)
        }
        against => {
            let found = study.analysis.pareto.iter().find(|found| cost(against) == Some(found.cost.as_str()));
            found.and_then(figures::pareto)
        }
    };
    let figure = figure.ok_or_else(|| ReportFault::NothingToDraw { why: lacks(args.figure, &study) })?;
    if let Form::Png { .. } = form {
        let lacking: String = png::lacking(&figure).into_iter().collect();
        if !lacking.is_empty() {
            out.warn(format!(
                "the font of a PNG lacks these letters, they are left out (an SVG has them): {}",
                safe(&lacking)
            ));
        }
    }
    let bytes = match form {
        Form::Svg => figures::standalone(&figure.svg).into_bytes(),
        Form::Png { page, scale } => png::png(&figure, page, scale).map_err(ReportFault::Pixels)?,
    };
    file::write(&args.output, &bytes, args.force)?;
    out.note(format!("wrote {}: {}", args.output.display(), figure.caption));
    Ok(())
}
