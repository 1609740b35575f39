//! Errors in sweep files, shown the way compilers do: the place, the line, what is wrong, and the
//! nearest right thing. Finding them is `sweep-core`'s.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;
use sweep_core::spec::SpecError;

use super::safe;

/// A sweep file's name and text.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As the user wrote it.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// One error as scripts see it.
#[derive(Debug, Serialize)]
struct Diagnostic<'a> {
    reason: &'a str,
    key: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    bytes: Option<[usize; 2]>,
    message: &'a str,
    hint: Option<&'a str>,
}

/// The errors of one file as JSON.
pub(crate) fn as_json(errors: &[SpecError]) -> serde_json::Value {
    let list = errors.iter().map(|error| Diagnostic {
        reason: error.reason.as_str(),
        key: error.key.as_deref(),
        line: (error.line > 0).then_some(error.line),
        column: (error.column > 0).then_some(error.column),
        bytes: error.span.as_ref().map(|span| [span.start, span.end]),
        message: &error.what,
        hint: error.hint.as_deref(),
    });
    serde_json::to_value(list.collect::<Vec<_>>()).expect("a diagnostic is plain data")
}

/// One error as people see it.
pub(crate) fn render(source: &Source, error: &SpecError, colour: bool) -> String {
    let name = safe(&source.name).into_owned();
    let title = match &error.key {
        Some(key) => format!("{}: {}", safe(key), safe(&error.what)),
        None => safe(&error.what).into_owned(),
    };
    let title = Level::ERROR.primary_title(title).id(error.reason.as_str());
    let place = (error.span.as_ref()).and_then(|span| excerpt(&source.bytes, span));
    let mut group = match &place {
        Some(place) => title.element(
            Snippet::source(place.text)
                .line_start(place.line)
                .path(&name)
                .annotation(AnnotationKind::Primary.span(place.span.clone())),
        ),
        None => {
            let mut origin = Origin::path(&name);
            if error.line > 0 {
                origin = origin.line(error.line as usize).char_column(error.column as usize);
            }
            title.element(origin)
        }
    };
    if let Some(hint) = &error.hint {
        group = group.element(Level::HELP.message(safe(hint).into_owned()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii).render(&[group])
}

/// The lines of the file that an error is about.
struct Excerpt<'a> {
    text: &'a str,
    line: usize,
    span: Range<usize>,
}

/// At most so many lines and bytes of a file are shown for one error.
const MOST_LINES: usize = 4;
const MOST_BYTES: usize = 2_000;

/// Nothing when the place is not readable text, or on a line too long to be looked at.
fn excerpt<'a>(bytes: &'a [u8], span: &Range<usize>) -> Option<Excerpt<'a>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let first = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    // A place of many lines (a table) is shown by its beginning.
    let line_end = |from: usize| Some(text.get(from..)?.find('\n').map_or(text.len(), |at| from + at));
    let mut stop = line_end(start)?;
    for _ in 1..MOST_LINES {
        if stop + 1 >= end {
            break;
        }
        stop = line_end(stop + 1)?;
    }
    let shown = text.get(first..stop)?;
    if shown.len() > MOST_BYTES {
        return None;
    }
    let line = text[..first].matches('\n').count() + 1;
    Some(Excerpt { text: shown, line, span: start - first..end.min(stop) - first })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_the_line_of_the_error() {
        let text = "a = 1\nbb = 2\nc = 3\n".as_bytes();
        let found = excerpt(text, &(6..8)).unwrap();
        assert_eq!((found.text, found.line, found.span), ("bb = 2", 2, 0..2));
        let found = excerpt(text, &(18..19)).unwrap();
        assert_eq!((found.line, found.span), (3, 5..5));
        assert!(excerpt(b"\xff\xff", &(0..1)).is_none());
        assert!(excerpt(text, &(100..200)).is_some());
    }
}
