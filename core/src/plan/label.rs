//! What values are called. Reports, figures and comparisons know a level of a factor by its label alone, so two values must never
//! have the same one.

use serde_json::Value;

use crate::recipe::{Model, Optimizer, Schedule};

/// The value of a path as people write it: `adam`, and `{adam = {beta1 = 0.8}}` where it is not what its name alone stands for.
/// Two values have the same label only if they are the same.
pub fn label_of(path: &str, value: &Value) -> String {
    let name = variant_of(value);
    match value {
        Value::Object(table) if table.len() == 1 => {
            match table.values().next().and_then(|own| changed(path, &name, own)) {
                Some(changed) => format!("{{{name} = {changed}}}"),
                None => name,
            }
        }
        _ => name,
    }
}

/// The name of what a value is, without its options.
pub fn variant_of(value: &Value) -> String {
    match value {
        // Nothing to see in a table is no name.
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(table) if table.len() == 1 => table.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Those options of a variant that are not what they are where it is named alone, as TOML; nothing if all are.
fn changed(path: &str, name: &str, own: &Value) -> Option<String> {
    let named = Value::from(name);
    let plain = match path {
        "model" => serde_json::from_value::<Model>(named).and_then(serde_json::to_value),
        "optimizer" => serde_json::from_value::<Optimizer>(named).and_then(serde_json::to_value),
        "schedule" => serde_json::from_value::<Schedule>(named).and_then(serde_json::to_value),
        _ => Ok(Value::Null),
    };
    let plain = plain.unwrap_or_default();
    let Value::Object(options) = own else { return Some(toml(own)) };
    let is_plain = |key: &str, value: &Value| plain.get(name).and_then(|plain| plain.get(key)) == Some(value);
    let changed: serde_json::Map<String, Value> = options
        .iter()
        .filter(|(key, value)| !is_plain(key, value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    (!changed.is_empty()).then(|| toml(&Value::Object(changed)))
}

/// As a file has it, without quotation marks.
fn toml(value: &Value) -> String {
    match value {
        // Nothing to see in a table is no name.
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let entries: Vec<String> = table.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_a_name_stands_for_is_called_by_the_name_alone() {
        let named = |path: &str, value: Value| {
            let known: Value = match path {
                "model" => serde_json::to_value(serde_json::from_value::<Model>(value).unwrap()).unwrap(),
                "optimizer" => serde_json::to_value(serde_json::from_value::<Optimizer>(value).unwrap()).unwrap(),
                "schedule" => serde_json::to_value(serde_json::from_value::<Schedule>(value).unwrap()).unwrap(),
                _ => value,
            };
            label_of(path, &known)
        };
        assert_eq!(named("optimizer", json!("adam")), "adam");
        assert_eq!(named("optimizer", json!({"adam": {}})), "adam");
        assert_eq!(named("optimizer", json!({"adam": {"beta1": 0.8}})), "{adam = {beta1 = 0.8}}");
        assert_eq!(named("model", json!({"mlp": {"hidden": [64, 3]}})), "{mlp = {hidden = [64, 3]}}");
        assert_eq!(named("schedule", json!("constant")), "constant");
        assert_eq!(named("schedule", json!({"cosine": {"t_max": 4}})), "{cosine = {t_max = 4}}");
        assert_eq!((named("lr", json!(1e-3)), named("augmentation", json!([]))), ("0.001".into(), "[]".into()));
        assert_eq!(named("init.weights", json!("")), "\"\"");
        assert_eq!(variant_of(&json!({"adam": {"beta1": 0.8}})), "adam");
    }
}
