//! Event files as TensorBoard reads them: records of a length, its checksum, an `Event` and its checksum
//! (TensorFlow's `record_writer.cc` and `event.proto`).

use prost::Message;

/// `tensorflow.Event`, as much of it as is written here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// `tensorflow.Summary`.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// `tensorflow.Summary.Value` with a number.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// A file under way.
#[derive(Debug)]
pub(super) struct Events {
    bytes: Vec<u8>,
    wall_time: f64,
}

impl Events {
    /// `wall_time` is in seconds since 1970.
    pub(super) fn new(wall_time: f64) -> Self {
        let mut events = Self { bytes: Vec::new(), wall_time };
        let file_version = Some("brain.Event:2".to_owned());
        events.record(&Event { wall_time, file_version, ..Event::default() });
        events
    }

    /// Numbers of one step.
    pub(super) fn scalars(&mut self, step: u32, values: &[(&str, f64)]) {
        let scalar = |(tag, value): &(&str, f64)| Scalar { tag: (*tag).to_owned(), simple_value: Some(*value as f32) };
        let summary = Some(Summary { value: values.iter().map(scalar).collect() });
        self.record(&Event { wall_time: self.wall_time, step: i64::from(step), summary, ..Event::default() });
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.bytes
    }

    fn record(&mut self, event: &Event) {
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        self.bytes.extend(length);
        self.bytes.extend(masked(&length).to_le_bytes());
        self.bytes.extend(&data);
        self.bytes.extend(masked(&data).to_le_bytes());
    }
}

/// A checksum that may itself be part of what is summed.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (RFC 3720, appendix B.4), bit by bit: records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
