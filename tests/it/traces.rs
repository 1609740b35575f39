//! Traces of real processes, as a collector gets them: OTLP over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use sweep_tests::process::{Lab, wait_for};

use crate::breaks::{audit, submit};
use crate::recovery::setup;

/// Spans with the name of the program that told them.
type Told = Arc<Mutex<Vec<(String, Span)>>>;

/// A collector; it ends with the test's process.
fn collector() -> (String, Told) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let told = Told::default();
    let taken = told.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, taken) = (stream.unwrap(), taken.clone());
            std::thread::spawn(move || while take(&stream, &taken).is_some() {});
        }
    });
    (url, told)
}

/// One call; nothing when the caller has hung up.
fn take(mut stream: &TcpStream, told: &Told) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert_eq!(line.trim(), "POST /v1/traces HTTP/1.1");
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim().to_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("content-type", value)) => assert_eq!(value, "application/x-protobuf"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    for resource in ExportTraceServiceRequest::decode(body.as_slice()).unwrap().resource_spans {
        let name = resource.resource.unwrap().attributes.into_iter().find(|pair| pair.key == "service.name").unwrap();
        let Some(Value::StringValue(service)) = name.value.unwrap().value else { panic!("a name is text") };
        let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
        told.lock().unwrap().extend(spans.map(|span| (service.clone(), span)));
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_spans_of_a_trial_on_both_sides_are_one_tree() {
    let (url, told) = collector();
    let dir = tempfile::tempdir().unwrap();
    let mut setup = setup(dir.path());
    setup.slots = 1;
    // Spans are sent soon, so that the test is.
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    setup.env.extend(env.clone());
    setup.coordinator_env.extend(env);
    let lab = Lab::start(setup).unwrap();
    lab.wait_for_agent().unwrap();
    submit(&lab, "one", 2, 1, 6);
    audit(&lab, "one", 2);
    let shown = lab.json(&["show", "one"]).unwrap();
    let sweep = shown["summary"]["sweep"].as_str().unwrap();
    let mut above = BTreeSet::new();
    for trial in shown["trials"].as_array().unwrap() {
        let trial = trial["trial"].as_str().unwrap();
        let spans = wait_for("the spans of a trial", || {
            let told = told.lock().unwrap();
            let own = told.iter().filter(|(_, span)| hex(&span.trace_id) == trial).cloned();
            let mut spans = BTreeMap::<String, Vec<(String, Span)>>::new();
            own.for_each(|(service, span)| spans.entry(span.name.clone()).or_default().push((service, span)));
            let all = ["attempt", "checkpoint", "grant", "report", "trial"];
            spans.keys().map(String::as_str).eq(all).then_some(spans)
        });
        let spans = spans.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", told.lock().unwrap(), lab.logs()));
        let one = |name: &str| match spans[name].as_slice() {
            [(service, span)] => (service.as_str(), span),
            several => panic!("{name}: {several:?}"),
        };
        let [(decided, root), (granted, grant), (ran, attempt)] = ["trial", "grant", "attempt"].map(one);
        assert_eq!((decided, granted, ran), ("sweep-coordinator", "sweep-coordinator", "sweep-agent"));
        assert!(root.parent_span_id.is_empty(), "{root:?}");
        assert_eq!((&grant.parent_span_id, &attempt.parent_span_id), (&root.span_id, &grant.span_id));
        for (service, span) in spans["report"].iter().chain(&spans["checkpoint"]) {
            assert_eq!((service.as_str(), &span.parent_span_id), ("sweep-agent", &attempt.span_id));
        }
        let starts = [root, grant, attempt].map(|span| span.start_time_unix_nano);
        assert!(starts.is_sorted() && attempt.end_time_unix_nano <= root.end_time_unix_nano, "{spans:?}");
        // The sweep is in a trace of its own.
        assert_eq!(hex(&root.links[0].trace_id), sweep);
        above.insert(root.links[0].span_id.clone());
    }
    lab.json(&["report", "one"]).unwrap();
    let of_sweep = wait_for("the spans of the sweep", || {
        let told = told.lock().unwrap();
        let own = told.iter().filter(|(_, span)| hex(&span.trace_id) == sweep).map(|(_, span)| span);
        let spans: BTreeMap<_, _> = own.map(|span| (span.name.clone(), span.clone())).collect();
        spans.keys().map(String::as_str).eq(["report", "submit", "sweep"]).then_some(spans)
    });
    let of_sweep = of_sweep.unwrap_or_else(|error| panic!("{error}: {:?}", told.lock().unwrap()));
    let root = &of_sweep["sweep"];
    assert_eq!(above, BTreeSet::from([root.span_id.clone()]));
    assert!(root.parent_span_id.is_empty() && of_sweep["submit"].end_time_unix_nano <= root.end_time_unix_nano);
    for part in ["report", "submit"] {
        assert_eq!(of_sweep[part].parent_span_id, root.span_id);
    }
}
