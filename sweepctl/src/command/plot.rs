//! `plot`: one figure of the report as a file, SVG or PNG.

mod png;

use sweep_core::report::analysis::{Options, analyse};
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

/// What a sweep without this figure does not have.
fn lacks(figure: Drawing) -> &'static str {
    match figure {
        Drawing::Effects => "no two points with results differ in one factor alone",
        Drawing::Curves => "no run is completed yet",
        Drawing::Interaction => {
            "this sweep has no such pair of factors: interactions are those of a full grid of two factors or more (--factor A,B names two)"
        }
        Drawing::Time => "no completed point has a time yet",
        Drawing::Energy => "no energy was measured: it takes a host with RAPL or NVML",
        Drawing::Memory => "no trainer has told its memory yet",
        Drawing::Parameters => "the number of parameters is the same for all points, or not known yet",
    }
}

/// Draws what was asked for.
pub(crate) async fn run(out: &Out, client: &Client, args: &cli::Plot) -> Result<(), Fault> {
    let form = form(args)?;
    file::check(&args.output, args.force)?;
    let report = client.report(&args.sweep, args.figure == Drawing::Curves).await?;
    warn_of_probe(out, &report);
    let factor = args.factor.clone().filter(|_| args.figure != Drawing::Interaction);
    let study = analyse(report, &Options { factor, ..Options::default() }).map_err(ReportFault::from)?;
    let pareto = |cost: &str| study.analysis.pareto.iter().find(|found| found.cost == cost).and_then(figures::pareto);
    let figure = match args.figure {
        Drawing::Effects => figures::effects(&study),
        Drawing::Curves => figures::curves(&study),
        Drawing::Interaction => {
            let wanted: Option<Vec<&str>> = args.factor.as_ref().map(|both| both.split(',').map(str::trim).collect());
            let fits = |pair: &&sweep_core::report::effects::Interaction| {
                let (a, b) = (pair.factors.0.as_str(), pair.factors.1.as_str());
                wanted.as_ref().is_none_or(|wanted| **wanted == [a, b] || **wanted == [b, a])
            };
            study.analysis.interactions.iter().find(fits).and_then(figures::interaction)
        }
        Drawing::Time => pareto("device_hours"),
        Drawing::Energy => pareto("kwh"),
        Drawing::Memory => pareto("peak_memory"),
        Drawing::Parameters => pareto("parameters"),
    };
    let figure = figure.ok_or(ReportFault::NothingToDraw { why: lacks(args.figure) })?;
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
