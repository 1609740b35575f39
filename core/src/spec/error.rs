//! What is wrong with a sweep file, said so that it can be fixed: where, which key, what, and the
//! nearest right thing. Collecting them is here; finding them is left to the rest of `spec` and `plan`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// At most so many errors are kept of one file; the last one says how many more there are.
pub const MAX_ERRORS: usize = 1000;

/// Longest key that is shown, characters.
const MAX_KEY: usize = 200;

/// The stable name of a kind of error, for scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it; `as_str` gives their text")]
pub enum Reason {
    SpecTooLarge,
    SpecNotUtf8,
    SpecSyntax,
    UnknownField,
    MissingField,
    WrongType,
    ValueOutOfRange,
    NameInvalid,
    DatasetUnknown,
    ModelUnknown,
    VariantUnknown,
    EmptyAxis,
    DuplicateChoice,
    DuplicatePoint,
    ChoiceTooLarge,
    TooManyParams,
    RangeInvalid,
    GridTooLarge,
    AxisConflict,
    ZipUnequal,
    ExcludeUnmatched,
    SamplesTooMany,
    PlanEmpty,
    StopUseless,
    SearchUseless,
    TooManyErrors,
}

impl Reason {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::SpecTooLarge,
        Self::SpecNotUtf8,
        Self::SpecSyntax,
        Self::UnknownField,
        Self::MissingField,
        Self::WrongType,
        Self::ValueOutOfRange,
        Self::NameInvalid,
        Self::DatasetUnknown,
        Self::ModelUnknown,
        Self::VariantUnknown,
        Self::EmptyAxis,
        Self::DuplicateChoice,
        Self::DuplicatePoint,
        Self::ChoiceTooLarge,
        Self::TooManyParams,
        Self::RangeInvalid,
        Self::GridTooLarge,
        Self::AxisConflict,
        Self::ZipUnequal,
        Self::ExcludeUnmatched,
        Self::SamplesTooMany,
        Self::PlanEmpty,
        Self::StopUseless,
        Self::SearchUseless,
        Self::TooManyErrors,
    ];

    /// The name that scripts see; never changes once released.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SpecTooLarge => "spec_too_large",
            Self::SpecNotUtf8 => "spec_not_utf8",
            Self::SpecSyntax => "spec_syntax",
            Self::UnknownField => "unknown_field",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::ValueOutOfRange => "value_out_of_range",
            Self::NameInvalid => "name_invalid",
            Self::DatasetUnknown => "dataset_unknown",
            Self::ModelUnknown => "model_unknown",
            Self::VariantUnknown => "variant_unknown",
            Self::EmptyAxis => "empty_axis",
            Self::DuplicateChoice => "duplicate_choice",
            Self::DuplicatePoint => "duplicate_point",
            Self::ChoiceTooLarge => "choice_too_large",
            Self::TooManyParams => "too_many_params",
            Self::RangeInvalid => "range_invalid",
            Self::GridTooLarge => "grid_too_large",
            Self::AxisConflict => "axis_conflict",
            Self::ZipUnequal => "zip_unequal",
            Self::ExcludeUnmatched => "exclude_unmatched",
            Self::SamplesTooMany => "samples_too_many",
            Self::PlanEmpty => "plan_empty",
            Self::StopUseless => "stop_useless",
            Self::SearchUseless => "search_useless",
            Self::TooManyErrors => "too_many_errors",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong. Shown as `line:column: key: what (hint)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SpecError {
    /// Its kind.
    pub reason: Reason,
    /// Dotted key, with the index of an element: `grid.lr[2]`.
    pub key: Option<String>,
    /// Bytes of the file that are meant.
    pub span: Option<Range<usize>>,
    /// Line from 1; 0 when the error is about the whole file.
    pub line: u32,
    /// Character in the line, from 1; 0 when the error is about the whole file.
    pub column: u32,
    /// What is wrong, in words.
    pub what: String,
    /// How to fix it.
    pub hint: Option<String>,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if let Some(key) = &self.key {
            write!(f, "{}: ", key.escape_debug())?;
        }
        f.write_str(&self.what)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// Collects errors over one text and knows its lines.
#[derive(Debug)]
pub(crate) struct Errors<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
    /// Where top-level keys stand, for errors that are about one as a whole.
    keys: BTreeMap<String, Range<usize>>,
    list: Vec<SpecError>,
    dropped: usize,
}

impl<'a> Errors<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, line_starts, keys: BTreeMap::new(), list: Vec::new(), dropped: 0 }
    }

    /// Tells where top-level keys stand.
    pub(crate) fn with_keys(mut self, keys: BTreeMap<String, Range<usize>>) -> Self {
        self.keys = keys;
        self
    }

    /// Notes an error; the hint may be empty. Without a span it stands at its top-level key.
    pub(crate) fn push(
        &mut self,
        reason: Reason,
        key: impl Into<String>,
        span: Option<&Range<usize>>,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        let (mut key, hint) = (key.into(), hint.into());
        let span = span.or_else(|| self.keys.get(&key)).cloned();
        let (line, column) = span.as_ref().map_or((0, 0), |span| self.position(span.start));
        if let Some((end, _)) = key.char_indices().nth(MAX_KEY) {
            key.truncate(end);
            key.push_str("...");
        }
        self.list.push(SpecError {
            reason,
            key: (!key.is_empty()).then_some(key),
            span,
            line,
            column,
            what: what.into(),
            hint: (!hint.is_empty()).then_some(hint),
        });
    }

    /// Line and column, both from 1, the column in characters.
    fn position(&self, at: usize) -> (u32, u32) {
        let at = (0..=at.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let line = self.line_starts.partition_point(|start| *start <= at);
        let start = self.line_starts[line - 1];
        let column = self.text[start..at].chars().count() + 1;
        (line as u32, column as u32)
    }

    /// The line of a byte, for messages that point at a second place.
    pub(crate) fn line(&self, span: &Range<usize>) -> u32 {
        self.position(span.start).0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether further errors are only counted, so that looking for hints is wasted.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MAX_ERRORS
    }

    /// How many errors there are so far.
    pub(crate) fn len(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// All of them in the order of the file, whole-file errors last.
    pub(crate) fn into_list(mut self) -> Vec<SpecError> {
        self.list.sort_by_key(|error| (error.line == 0, error.line, error.column));
        if self.dropped > 0 {
            self.list.push(SpecError {
                reason: Reason::TooManyErrors,
                key: None,
                span: None,
                line: 0,
                column: 0,
                what: format!("and {} more errors", self.dropped),
                hint: None,
            });
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        let errors = Errors::new("a\nüüx\r\nb");
        assert_eq!(errors.position(0), (1, 1));
        assert_eq!(errors.position(6), (2, 3));
        assert_eq!(errors.position(9), (3, 1));
        assert_eq!(errors.position(usize::MAX), (3, 2));
    }

    #[test]
    fn every_reason_is_listed_in_order() {
        // The last variant is as far from the first as the list is long.
        assert_eq!(Reason::ALL.len(), Reason::TooManyErrors as usize + 1);
        assert!(Reason::ALL.is_sorted());
    }

    #[test]
    fn an_error_reads_as_one_line() {
        let mut errors = Errors::new("epocks = 3");
        errors.push(Reason::UnknownField, "epocks", Some(&(0..6)), "no such field", "did you mean `epochs`?");
        let list = errors.into_list();
        assert_eq!(list[0].to_string(), "1:1: epocks: no such field (did you mean `epochs`?)");
    }

    #[test]
    fn the_number_of_errors_has_a_limit() {
        let mut errors = Errors::new("");
        for _ in 0..MAX_ERRORS + 5 {
            errors.push(Reason::WrongType, "", None, "x", "");
        }
        let list = errors.into_list();
        assert_eq!(list.len(), MAX_ERRORS + 1);
        assert_eq!(list[MAX_ERRORS].what, "and 5 more errors");
    }
}
