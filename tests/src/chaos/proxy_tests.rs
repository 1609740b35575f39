//! What the proxy does to bytes, seen from both ends.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{Flow, Proxy, Way};
use crate::process::wait_for;

/// No read waits longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough to see that nothing comes.
const MOMENT: Duration = Duration::from_millis(200);

struct Wire {
    proxy: Proxy,
    listener: TcpListener,
}

impl Wire {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { proxy: Proxy::start(listener.local_addr().unwrap()).unwrap(), listener }
    }

    /// Both ends of a connection, and its number.
    fn dial(&self) -> (TcpStream, TcpStream, u64) {
        let before = self.proxy.connections().last().copied();
        let client = TcpStream::connect(self.proxy.address()).unwrap();
        let server = self.listener.accept().unwrap().0;
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        server.set_read_timeout(Some(PATIENCE)).unwrap();
        let number = || self.proxy.connections().last().copied().filter(|last| Some(*last) != before);
        let number = wait_for("the proxy", number).unwrap();
        (client, server, number)
    }
}

fn says(from: &mut TcpStream, to: &mut TcpStream, words: &[u8]) {
    from.write_all(words).unwrap();
    let mut heard = vec![0; words.len()];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(heard, words);
}

fn hears_nothing(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(MOMENT)).unwrap();
    let error = stream.read(&mut [0; 16]).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

fn is_reset(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn bytes_and_ends_are_passed_on() {
    let wire = Wire::new();
    let (mut client, mut server, number) = wire.dial();
    says(&mut client, &mut server, b"up");
    says(&mut server, &mut client, b"down");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(server.read(&mut [0; 16]).unwrap(), 0, "one way has ended");
    says(&mut server, &mut client, b"the other has not");
    drop(server);
    assert_eq!(client.read(&mut [0; 16]).unwrap(), 0);
    wait_for("the end", || (!wire.proxy.connections().contains(&number)).then_some(())).unwrap();
}

#[test]
fn one_way_of_one_connection_is_late_and_the_rest_is_not() {
    let wire = Wire::new();
    let ((mut client, mut server, number), (mut other, mut far, _)) = (wire.dial(), wire.dial());
    wire.proxy.set(number, Way::Up, Flow::Delay(MOMENT));
    let start = Instant::now();
    says(&mut client, &mut server, b"late");
    assert!(start.elapsed() >= MOMENT);
    hears_nothing(&mut client);
    says(&mut server, &mut client, b"down");
    says(&mut other, &mut far, b"up");
    wire.proxy.calm();
    says(&mut client, &mut server, b"up");
}

#[test]
fn what_goes_one_way_is_swallowed_and_the_connection_stays_open() {
    let wire = Wire::new();
    let (mut client, mut server, number) = wire.dial();
    says(&mut client, &mut server, b"before");
    wire.proxy.set_all(Way::Up, Flow::Swallow);
    client.write_all(b"lost").unwrap();
    hears_nothing(&mut server);
    says(&mut server, &mut client, b"down");
    let (mut next, mut far, _) = wire.dial();
    next.write_all(b"lost").unwrap();
    hears_nothing(&mut far);
    assert!(wire.proxy.connections().contains(&number));
    // A stream with a hole is no stream any more.
    wire.proxy.calm();
    for end in [&mut client, &mut server, &mut next, &mut far] {
        is_reset(end);
    }
    let (mut client, mut server, _) = wire.dial();
    says(&mut client, &mut server, b"again");
}

#[test]
fn nobody_hears_of_an_end_that_was_swallowed() {
    let wire = Wire::new();
    let (client, mut server, number) = wire.dial();
    wire.proxy.set(number, Way::Up, Flow::Swallow);
    drop(client);
    hears_nothing(&mut server);
    drop(server);
    wait_for("the end", || wire.proxy.connections().is_empty().then_some(())).unwrap();
}

#[test]
fn a_cut_is_a_reset_for_both_ends_of_that_connection() {
    let wire = Wire::new();
    let ((mut client, mut server, number), (mut other, mut far, _)) = (wire.dial(), wire.dial());
    says(&mut client, &mut server, b"before");
    wire.proxy.cut(number);
    is_reset(&mut client);
    is_reset(&mut server);
    says(&mut other, &mut far, b"still");
}

#[test]
fn what_a_client_said_is_said_again_from_its_beginning() {
    let wire = Wire::new();
    let (mut client, mut server, number) = wire.dial();
    says(&mut client, &mut server, b"one");
    says(&mut server, &mut client, b"answer");
    says(&mut client, &mut server, b"two");
    drop((client, server));
    assert_eq!(wire.proxy.recorded(), [number]);
    let heard = std::thread::scope(|scope| {
        let replay = scope.spawn(|| wire.proxy.replay(number).unwrap());
        let mut again = wire.listener.accept().unwrap().0;
        let mut said = [0; 6];
        again.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"onetwo");
        again.write_all(b"heard").unwrap();
        replay.join().unwrap()
    });
    assert_eq!(heard, 5);
    drop(wire.listener);
    assert!(wire.proxy.replay(number).is_err(), "nobody listens");
    assert!(wire.proxy.replay(99).is_err(), "nobody said anything");
}
