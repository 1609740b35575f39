//! Lets an enum with all-default variants be written as `"adam"` as well as `{ adam = { beta1 = 0.8 } }`.
//! Externally tagged on purpose: only that form keeps line and key in an error.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// For `#[serde(deserialize_with)]`: `T` is an externally tagged enum of struct variants.
pub(super) fn name_or_table<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct NameOrTable<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for NameOrTable<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name, or a table with one name as its key")
        }
        fn visit_str<E: de::Error>(self, name: &str) -> Result<T, E> {
            let nothing = std::collections::BTreeMap::<String, bool>::new();
            let table = MapDeserializer::new([(name.to_owned(), nothing)].into_iter());
            T::deserialize(MapAccessDeserializer::new(table))
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_any(NameOrTable(PhantomData))
}
