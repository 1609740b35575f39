//! Spans for whoever collects traces: OTLP over HTTP (protobuf), off if nothing is said. Spans wait in a queue that is bounded; what does not fit,
//! or what no collector takes, is lost and stops nobody. What they are about, and their ids, is told by the caller.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor as _};
use ureq::Agent;

/// A collector may take so long to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// What waits at the end of the process gets so long to leave.
const LAST: Duration = Duration::from_secs(3);

/// Why there are no traces.
#[derive(Debug, thiserror::Error)]
#[error("--otlp: `{url}` cannot be used: {what}; name the base address of a collector, such as http://127.0.0.1:4318")]
pub struct TraceError {
    url: String,
    what: String,
}

/// Where spans go; nowhere by default.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Collector>>);

#[derive(Debug)]
struct Collector {
    queue: BatchSpanProcessor,
    scope: InstrumentationScope,
}

/// Something that took from one time to another.
#[derive(Clone, Debug)]
pub struct Span {
    /// Which trace.
    pub trace: u128,
    /// Its id there.
    pub id: u64,
    /// The one that it is a part of.
    pub parent: Option<u64>,
    /// What it is.
    pub name: &'static str,
    /// From when to when.
    pub times: (SystemTime, SystemTime),
    /// About it.
    pub attributes: Vec<(&'static str, String)>,
    /// A span of another trace that it follows from.
    pub follows: Option<(u128, u64)>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// Whether what is sent to a URL goes by TLS or stays on this host.
pub fn is_private(url: &str) -> bool {
    let Ok(url) = url.parse::<ureq::http::Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match url.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
        _ => false,
    }
}

impl Traces {
    /// To the collector at a base address. `service` is the name of the program.
    ///
    /// # Errors
    /// When the address is none.
    pub fn open(url: &str, service: &'static str, version: &'static str) -> Result<Self, TraceError> {
        let wrong = |what: String| TraceError { url: url.to_owned(), what };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(wrong("it begins neither with http:// nor with https://".to_owned()));
        }
        if !is_private(url) {
            let what = "names of users and sweeps do not go over a network in plain text: use https://, or a collector on this host";
            return Err(wrong(what.to_owned()));
        }
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .with_http_client(Post(Agent::new_with_config(config)))
            .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let mut queue = BatchSpanProcessor::builder(exporter).build();
        let mut about = vec![KeyValue::new("service.version", version)];
        if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
            about.push(KeyValue::new("host.name", host.trim().to_owned()));
        }
        queue.set_resource(&Resource::builder().with_service_name(service).with_attributes(about).build());
        let scope = InstrumentationScope::builder(service).with_version(version).build();
        Ok(Self(Some(Arc::new(Collector { queue, scope }))))
    }

    /// Whether anybody collects.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// A span is over. Never waits.
    pub fn end(&self, span: Span) {
        let Some(collector) = &self.0 else { return };
        let context = |trace: u128, id: u64| {
            let (trace, id) = (TraceId::from(trace), SpanId::from(id));
            SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default())
        };
        let mut links = SpanLinks::default();
        links.links.extend(span.follows.map(|(trace, id)| Link::new(context(trace, id), Vec::new(), 0)));
        let (start_time, end_time) = span.times;
        collector.queue.on_end(SpanData {
            span_context: context(span.trace, span.id),
            parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: span.name.into(),
            start_time,
            end_time: end_time.max(start_time),
            attributes: span.attributes.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: span.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: collector.scope.clone(),
        });
    }

    /// The process ends: what waits is sent, if that does not take long. Blocks.
    pub fn close(&self) {
        if let Some(collector) = &self.0
            && let Err(error) = collector.queue.shutdown_with_timeout(LAST)
        {
            tracing::warn!(%error, "the last spans were not collected");
        }
    }
}

/// The one HTTP client of this system. It blocks, on the thread of the queue.
#[derive(Debug)]
struct Post(Agent);

#[async_trait::async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, mut body) = self.0.run(request.map(|body| body.to_vec()))?.into_parts();
        Ok(Response::from_parts(parts, body.read_to_vec()?.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused_and_nothing_is_off_by_default() {
        let error = Traces::open("localhost:4318", "a", "1").unwrap_err().to_string();
        assert!(error.contains("`localhost:4318`") && error.contains("http://127.0.0.1:4318"), "{error}");
        let error = Traces::open("http://collector.lab:4318", "a", "1").unwrap_err().to_string();
        assert!(error.contains("plain text") && error.contains("https://"), "{error}");
        for good in ["https://collector.lab:4318", "http://localhost:4318", "http://[::1]:4318"] {
            Traces::open(good, "a", "1").unwrap().close();
        }
        let off = Traces::default();
        assert!(!off.is_on());
        off.close();
    }

    /// Nobody listens on port 1: spans are lost, and the end of the process is not held up.
    #[test]
    fn a_collector_that_is_away_stops_nobody() {
        let traces = Traces::open("http://127.0.0.1:1/", "a", "1").unwrap();
        let now = SystemTime::now();
        let (attributes, follows, error) = (Vec::new(), None, None);
        for id in 1..10_000 {
            let (attributes, times) = (attributes.clone(), (now, now));
            traces.end(Span {
                trace: 1,
                id,
                parent: None,
                name: "x",
                times,
                attributes,
                follows,
                error: error.clone(),
            });
        }
        traces.close();
        assert!(now.elapsed().unwrap() < PATIENCE);
    }
}
