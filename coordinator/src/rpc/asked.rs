//! What a call was about that is refused before its message is read: the first text in it, which is the sweep, the user or the host in
//! every message that changes something. For the audit log; nothing is decided by it.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use tonic::body::Body;

/// Whoever sends nothing is not waited for longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// Longest text, bytes: names and ids are shorter.
const LONGEST: u8 = 127;

/// The first text of a message that is on its way.
pub(super) async fn about(mut body: Body) -> Option<String> {
    let data = async {
        loop {
            let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await?.ok()?;
            if let Ok(data) = frame.into_data() {
                return Some(data);
            }
        }
    };
    let data: Bytes = tokio::time::timeout(PATIENCE, data).await.ok()??;
    // Whether it is compressed, and its length, come before.
    let [0, _, _, _, _, message @ ..] = &data[..] else { return None };
    first(message)
}

/// The first field of a message, or of the message that is its first field, if that is a short text; the id that it is, if it is one.
fn first(message: &[u8]) -> Option<String> {
    let [tag, length @ 1..=LONGEST, rest @ ..] = message else { return None };
    // A single byte of a tag, for a field that has a length.
    if tag & 0x87 != 2 {
        return None;
    }
    let field = rest.get(..usize::from(*length))?;
    match std::str::from_utf8(field) {
        Ok(text) if !text.chars().any(char::is_control) => Some(text.to_owned()),
        _ => uuid::Uuid::from_slice(field).ok().map(|id| id.simple().to_string()).or_else(|| first(field)),
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use http_body::Frame;

    use super::*;

    /// What comes at once; without it, nothing ever does.
    struct Sent(Option<Bytes>);

    impl http_body::Body for Sent {
        type Data = Bytes;
        type Error = tonic::Status;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
            self.0.clone().map_or(Poll::Pending, |data| Poll::Ready(Some(Ok(Frame::data(data)))))
        }
    }

    async fn asked(message: &[u8]) -> Option<String> {
        let length = (message.len() as u32).to_be_bytes();
        let frame: Vec<u8> = [0].into_iter().chain(length).chain(message.iter().copied()).collect();
        about(Body::new(Sent(Some(frame.into())))).await
    }

    #[tokio::test]
    async fn the_first_text_says_what_was_asked_for() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(asked(b"\x0a\x05small\x12\x03ann").await, some("small"));
        // In a change of shares the name is one message further in.
        assert_eq!(asked(b"\x1a\x07\x0a\x03ann\x10\x02").await, some("ann"));
        let id: Vec<u8> = [0x0a, 16].into_iter().chain([0xab; 16]).collect();
        assert_eq!(asked(&id).await, some(&"ab".repeat(16)));
        // A sweep file is no name, and a number says nothing.
        let file: Vec<u8> = [0x0a, 0x90, 0x4e].into_iter().chain([b'#'; 9999]).collect();
        for none in [&file[..], b"", b"\x08\x02", b"\x0a", b"\x0a\x00", b"\x0a\x09a", b"\x0a\x02\xff\xfe"] {
            assert_eq!(asked(none).await, None, "{none:?}");
        }
        assert_eq!(about(Body::empty()).await, None);
        assert_eq!(about(Body::new(Sent(Some(Bytes::from_static(b"\0\0"))))).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_nothing_is_not_waited_for() {
        assert_eq!(about(Body::new(Sent(None))).await, None);
    }
}
