//! `why`: what happened to a trial, a slot, a host or a sweep, line by line, and how it stands.

use sweep_core::story::{BEGINNING, Line, Story};

use crate::cli::{Format, Why};
use crate::client::Client;
use crate::fault::Fault;
use crate::output::{Out, csv_row, safe};

/// Tells it.
pub(crate) async fn run(out: &Out, client: &Client, args: &Why) -> Result<(), Fault> {
    let story = client.why(&args.what).await?;
    match out.format {
        Format::Json => out.json(&story),
        Format::Csv => out.write(|to| {
            csv_row(to, ["at", "what"])?;
            for line in &story.lines {
                csv_row(to, [moment(line), line.text.clone()])?;
            }
            csv_row(to, [String::new(), story.now.clone()])
        }),
        Format::Table => out.print(words(&story)),
    }
}

fn words(story: &Story) -> String {
    let mut text = String::new();
    for (number, line) in story.lines.iter().enumerate() {
        if story.left_out > 0 && number == BEGINNING {
            text += &format!("[... {} more ...]\n", story.left_out);
        }
        text += &format!("{}  {}\n", moment(line), safe(&line.text));
    }
    text + &format!("now: {}\n", safe(&story.now))
}

/// To the second, UTC.
fn moment(line: &Line) -> String {
    let time = jiff::Timestamp::from_microsecond(line.at.0).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
