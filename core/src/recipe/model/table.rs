//! The list of all networks, asked of the derived reader of [`Model`], and the table of the README.

use std::fmt;
use std::sync::LazyLock;

use serde::de::{self, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::{Value, json};

use super::Model;

/// Names of all models as they are written in a sweep file.
pub static MODEL_NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| match Model::deserialize(Probe) {
    Err(Answer::Names(names)) => names.to_vec(),
    other => unreachable!("an enum asks for one of its variants: {other:?}"),
});

/// A deserializer that answers with the names of the variants it is asked for.
struct Probe;

#[derive(Debug)]
enum Answer {
    Names(&'static [&'static str]),
    Other(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names(names) => write!(f, "one of {}", names.join(", ")),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Answer {}

impl de::Error for Answer {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Answer;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Answer> {
        Err(de::Error::custom("not an enum"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Answer> {
        Err(Answer::Names(names))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A Markdown table of all networks: names, where they come from, smallest image, dropout, options.
/// Neighbours that share all of it share a row.
pub fn markdown_table() -> String {
    let mut rows: Vec<(Vec<String>, String)> = Vec::new();
    for name in MODEL_NAMES.iter() {
        let model: Model = serde_json::from_value(json!(name)).expect("every network can be made from its name");
        let family = model.family();
        let value = serde_json::to_value(&model).expect("a network is plain JSON");
        let options = value.get(*name).and_then(Value::as_object).into_iter().flatten();
        let options: Vec<_> = options.map(|(option, default)| format!("`{option} = {default}`")).collect();
        let rest = format!("{} | {} | {} | {}", family.about, family.smallest, family.dropout, options.join(", "));
        match rows.last_mut() {
            Some((names, same)) if *same == rest => names.push(format!("`{name}`")),
            _ => rows.push((vec![format!("`{name}`")], rest)),
        }
    }
    let mut table = "| `model =` | what | smallest image | own dropout | options and defaults |\n\
        |---|---|---|---|---|\n"
        .to_owned();
    for (names, rest) in rows {
        table += &format!("| {} | {rest} |\n", names.join(", "));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_given_back() {
        assert!(MODEL_NAMES.len() > 40);
        for name in MODEL_NAMES.iter() {
            let model: Model = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(model.name(), *name);
            let long = serde_json::to_value(&model).unwrap();
            assert_eq!(serde_json::from_value::<Model>(long).unwrap(), model);
        }
        let unknown = serde_json::from_value::<Model>(json!("resnet19")).unwrap_err();
        assert!(unknown.to_string().contains("unknown variant"), "{unknown}");
    }
}
