//! A float that survives JSON: NaN and the infinities are ordinary outcomes of training, and JSON has none of them.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An `f64` written as a JSON number when finite and as `"nan"`, `"inf"`, `"-inf"` or
/// `"nan:<16 hex digits>"` (an unusual payload) otherwise. Equality is equality of bits.
#[derive(Clone, Copy, Default)]
pub struct Num(pub f64);

impl PartialEq for Num {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Num {}

impl From<f64> for Num {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Num {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Num {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0;
        if value.is_finite() {
            serializer.serialize_f64(value)
        } else if value == f64::INFINITY {
            serializer.serialize_str("inf")
        } else if value == f64::NEG_INFINITY {
            serializer.serialize_str("-inf")
        } else if value.to_bits() == f64::NAN.to_bits() {
            serializer.serialize_str("nan")
        } else {
            serializer.collect_str(&format_args!("nan:{:016x}", value.to_bits()))
        }
    }
}

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumVisitor;
        impl Visitor<'_> for NumVisitor {
            type Value = Num;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, \"nan\", \"inf\" or \"-inf\"")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Num, E> {
                Ok(Num(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Num, E> {
                Ok(Num(value as f64))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Num, E> {
                Ok(Num(value as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Num, E> {
                let bits = |hex: &str| u64::from_str_radix(hex, 16).ok().map(f64::from_bits).filter(|v| v.is_nan());
                match text {
                    "nan" => Ok(Num(f64::NAN)),
                    "inf" => Ok(Num(f64::INFINITY)),
                    "-inf" => Ok(Num(f64::NEG_INFINITY)),
                    _ => (text.strip_prefix("nan:").and_then(bits).map(Num))
                        .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(NumVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_float_survives_json_with_its_bits() {
        let odd_nan = f64::from_bits(0xfff8_0000_0000_0123);
        for value in [0.0, -0.0, 0.1, 1e-310, f64::MAX, f64::NAN, odd_nan, f64::INFINITY, f64::NEG_INFINITY] {
            let text = serde_json::to_string(&Num(value)).unwrap();
            assert_eq!(serde_json::from_str::<Num>(&text).unwrap(), Num(value), "{text}");
        }
        assert!(serde_json::from_str::<Num>("\"nan:zz\"").is_err());
    }
}
