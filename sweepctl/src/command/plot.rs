//! `plot`: one figure of the report as an SVG file.

use sweep_core::report::analysis::{Options, analyse};
use sweep_core::report::figures;

use super::report::{ReportFault, file};
use crate::cli::{self, Drawing};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::Out;

/// Draws what was asked for.
pub(crate) async fn run(out: &Out, client: &Client, args: &cli::Plot) -> Result<(), Fault> {
    if args.output.extension().is_none_or(|ending| ending != "svg") {
        return Err(ReportFault::NotSvg { path: args.output.clone() }.into());
    }
    file::check(&args.output, args.force)?;
    let report = client.report(&args.sweep, args.figure == Drawing::Curves).await?;
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
    let figure = figure.ok_or(ReportFault::NothingToDraw)?;
    file::write(&args.output, figures::standalone(&figure.svg).as_bytes(), args.force)?;
    out.note(format!("wrote {}: {}", args.output.display(), figure.caption));
    Ok(())
}
