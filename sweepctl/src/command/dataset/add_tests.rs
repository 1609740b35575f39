//! `dataset add` against a server in this process that cuts connections, knows no ranges, or has other bytes.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};

use super::*;

/// How the server behaves.
#[derive(Clone, Copy)]
struct Manners {
    /// Knows `Range`.
    ranges: bool,
    /// Sends at most so many bytes in one answer, then hangs up.
    at_once: usize,
    /// The first answers are these.
    first: &'static [&'static str],
    /// Says how long the file is.
    says_length: bool,
}

const GOOD: Manners = Manners { ranges: true, at_once: usize::MAX, first: &[], says_length: true };

struct Server {
    url: String,
    /// The `Range` of each request; empty without one.
    asked: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
}

impl Server {
    fn start(body: Vec<u8>, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/set.tgz", listener.local_addr().unwrap());
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let server = Self { url, asked: asked.clone(), over: over.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that hangs up early is its own affair.
                let _ = answer(stream.unwrap(), &body, manners, &asked);
            }
        });
        server
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url["http://".len()..].split('/').next().unwrap());
    }
}

fn answer(mut stream: TcpStream, body: &[u8], manners: Manners, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut range = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: ") {
            range = value.to_owned();
        }
    }
    let number = {
        let mut asked = asked.lock().unwrap();
        asked.push(range.clone());
        asked.len() - 1
    };
    if let Some(status) = manners.first.get(number) {
        return write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let from = range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')).map(|from| from.parse().unwrap());
    let from: usize = from.filter(|_| manners.ranges).unwrap_or(0);
    let rest = &body[from..];
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
    if from > 0 {
        write!(stream, "Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len())?;
    }
    if manners.says_length {
        write!(stream, "Content-Length: {}\r\n", rest.len())?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&rest[..rest.len().min(manners.at_once)])
}

/// A data set as a gzipped tar: not small, and not to be packed well.
fn archive() -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut grain = 1u32;
    for (name, length) in [("toy/train/a/1.jpg", 90_000), ("toy/train/b/2.jpg", 70_000), ("toy/val/a/3.jpg", 40_000)] {
        let next = |_| {
            grain = grain.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (grain >> 24) as u8
        };
        let bytes: Vec<u8> = (0..length).map(next).collect();
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&builder.into_inner().unwrap()).unwrap();
    gzip.finish().unwrap()
}

fn known(archive: &[u8]) -> Known {
    let hex: String = Sha256::digest(archive).iter().map(|byte| format!("{byte:02x}")).collect();
    Known {
        name: "toy",
        url: "",
        bytes: archive.len() as u64,
        sum: Sum::Sha256(hex.leak()),
        form: Form::Tgz("toy"),
        about: "",
    }
}

fn fetch_from(server: &Server, known: &Known, root: &Path) -> Result<bool, Fault> {
    add(&Out::plain(), known, &server.url, root, Duration::from_millis(1))
}

/// What is in a folder, without the file that is only locked.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "lock");
    names.sort();
    names
}

#[test]
fn a_set_is_fetched_checked_unpacked_and_put_into_place() {
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let (known, server) = (known(&bytes), Server::start(bytes, GOOD));
    assert!(fetch_from(&server, &known, root.path()).unwrap());
    assert_eq!(names(root.path()), ["toy"]);
    assert_eq!(fs::metadata(root.path().join("toy/train/a/1.jpg")).unwrap().len(), 90_000);
    assert!(!fetch_from(&server, &known, root.path()).unwrap(), "it is there");
    assert_eq!(server.asked(), [""]);
}

#[test]
fn a_cut_connection_is_gone_on_with_where_it_was_cut() {
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let manners = Manners { at_once: 70_000, first: &["503 Busy"], ..GOOD };
    let (known, server) = (known(&bytes), Server::start(bytes, manners));
    assert!(fetch_from(&server, &known, root.path()).unwrap());
    assert_eq!(server.asked(), ["", "", "bytes=70000-", "bytes=140000-"]);
}

#[test]
fn a_later_call_goes_on_where_an_earlier_one_was_cut() {
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let work = root.path().join(".add-toy");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("archive.part"), &bytes[..150_000]).unwrap();
    let (known, server) = (known(&bytes), Server::start(bytes, GOOD));
    assert!(fetch_from(&server, &known, root.path()).unwrap());
    assert_eq!(server.asked(), ["bytes=150000-"]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let work = root.path().join(".add-toy");
    fs::create_dir(&work).unwrap();
    // Other bytes: only a whole new copy can be right.
    fs::write(work.join("archive.part"), vec![7; 1000]).unwrap();
    let (known, server) = (known(&bytes), Server::start(bytes, Manners { ranges: false, says_length: false, ..GOOD }));
    assert!(fetch_from(&server, &known, root.path()).unwrap());
    assert_eq!(server.asked(), ["bytes=1000-"]);

    // And one that always hangs up in the middle is given up, with what came kept.
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let (ranges, at_once) = (false, 50_000);
    let server = Server::start(bytes, Manners { ranges, at_once, ..GOOD });
    let fault = fetch_from(&server, &known, root.path()).unwrap_err();
    assert!(fault.to_string().contains("5 tries in a row"), "{fault}");
    assert_eq!(server.asked().len(), 6, "the first brought something");
    assert_eq!(fs::metadata(root.path().join(".add-toy/archive.part")).unwrap().len(), 50_000);
}

#[test]
fn wrong_bytes_are_never_unpacked() {
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let known = known(&bytes);
    let mut other = bytes.clone();
    other[100_000] ^= 1;
    let server = Server::start(other, GOOD);
    let fault = fetch_from(&server, &known, root.path()).unwrap_err();
    assert!(fault.to_string().contains(known.sum.hex()), "{fault}");
    assert_eq!(names(root.path()), [".add-toy"]);
    assert_eq!(names(&root.path().join(".add-toy")), [""; 0], "the damaged file is gone");

    // Another length is told before anything is fetched, or when more comes than was promised.
    for says_length in [true, false] {
        let server = Server::start([bytes.clone(), vec![0; 9]].concat(), Manners { says_length, ..GOOD });
        let fault = fetch_from(&server, &known, root.path()).unwrap_err();
        assert!(fault.to_string().contains("the publisher has changed it"), "{fault}");
        fs::remove_dir_all(root.path().join(".add-toy")).unwrap();
    }
    let gone = Manners { first: &["404 Not Found"], ..GOOD };
    let fault = fetch_from(&Server::start(bytes, gone), &known, root.path()).unwrap_err();
    assert!(fault.to_string().contains("answers 404"), "{fault}");
}

#[test]
fn a_resumed_part_that_was_damaged_is_found_by_the_checksum_and_fetched_anew() {
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let work = root.path().join(".add-toy");
    fs::create_dir(&work).unwrap();
    fs::write(work.join("archive.part"), vec![7; 1000]).unwrap();
    let (known, server) = (known(&bytes), Server::start(bytes, GOOD));
    assert!(fetch_from(&server, &known, root.path()).is_err());
    assert!(fetch_from(&server, &known, root.path()).unwrap());
    assert_eq!(server.asked(), ["bytes=1000-", ""]);
}

#[test]
fn two_calls_do_not_disturb_each_other() {
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let (known, server) = (known(&bytes), Server::start(bytes, GOOD));
    let work = root.path().join(".add-toy");
    fs::create_dir(&work).unwrap();
    let lock = File::create(work.join("lock")).unwrap();
    lock.lock().unwrap();
    let fault = fetch_from(&server, &known, root.path()).unwrap_err();
    assert!(fault.to_string().contains("another call"), "{fault}");
    drop(lock);
    assert!(fetch_from(&server, &known, root.path()).unwrap());
}

#[test]
fn an_archive_without_its_folder_is_refused() {
    let (bytes, root) = (archive(), tempfile::tempdir().unwrap());
    let known = Known { form: Form::Tgz("other"), ..known(&bytes) };
    let fault = fetch_from(&Server::start(bytes, GOOD), &known, root.path()).unwrap_err();
    assert!(fault.to_string().contains("no folder \"other\""), "{fault}");
    assert_eq!(names(root.path()), [".add-toy"]);
}
