//! JSON and CSV for scripts. Every JSON document says which schema it follows; ids are whole.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

/// Grows when a field changes its meaning or goes away; new fields do not count.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// The value as an object with `schema_version` first; what is not an object becomes its `value`.
pub(crate) fn with_version(value: &impl Serialize) -> String {
    let body = serde_json::to_value(value).expect("what sweepctl prints has string keys and no odd floats");
    let fields = match body {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    let mut text = format!("{{\"schema_version\":{SCHEMA_VERSION}");
    for (key, value) in &fields {
        text.push_str(&format!(",{}:{value}", Value::from(key.as_str())));
    }
    text.push('}');
    text
}

/// An object whose last field is a list too long to hold in memory as JSON.
pub(crate) struct Listing<'a> {
    out: &'a mut dyn Write,
    first: bool,
}

impl<'a> Listing<'a> {
    /// Writes `head` (an object) and opens the list `name`.
    pub(crate) fn open(out: &'a mut dyn Write, head: &impl Serialize, name: &str) -> io::Result<Self> {
        let head = with_version(head);
        let head = head.strip_suffix('}').unwrap_or(&head);
        write!(out, "{head},{}:[", Value::from(name))?;
        Ok(Self { out, first: true })
    }

    /// Adds an element on a line of its own.
    pub(crate) fn push(&mut self, element: &impl Serialize) -> io::Result<()> {
        self.out.write_all(if self.first { b"\n" } else { b",\n" })?;
        self.first = false;
        serde_json::to_writer(&mut self.out, element).map_err(io::Error::from)
    }

    /// Closes the list and the object.
    pub(crate) fn close(self) -> io::Result<()> {
        self.out.write_all(b"\n]}\n")
    }
}

/// One line of CSV, quoted where needed (RFC 4180, lines end with `\n`).
pub(crate) fn csv_row<Text: AsRef<str>>(out: &mut dyn Write, fields: impl IntoIterator<Item = Text>) -> io::Result<()> {
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        let field = field.as_ref();
        if field.contains([',', '"', '\n', '\r']) {
            write!(out, "\"{}\"", field.replace('"', "\"\""))?;
        } else {
            out.write_all(field.as_bytes())?;
        }
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_carry_the_schema_version() {
        assert_eq!(with_version(&serde_json::json!({"a": 1})), r#"{"schema_version":1,"a":1}"#);
        assert_eq!(with_version(&[1, 2]), r#"{"schema_version":1,"value":[1,2]}"#);
    }

    #[test]
    fn a_listing_is_one_json_document() {
        let mut out = Vec::new();
        let mut list = Listing::open(&mut out, &serde_json::json!({"n": 2}), "rows").unwrap();
        list.push(&1).unwrap();
        list.push(&"x").unwrap();
        list.close().unwrap();
        let value: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(value, serde_json::json!({"schema_version": 1, "n": 2, "rows": [1, "x"]}));
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let mut out = Vec::new();
        csv_row(&mut out, ["a", "b,c", "say \"x\"", ""]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a,\"b,c\",\"say \"\"x\"\"\",\n");
    }
}
