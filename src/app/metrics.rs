//! `/metrics`: the formats of Prometheus, put together from the cells of all workers.

use std::fmt::{Display, Write};

use super::meters::{BatchRefusal, RequestMeters, Row};
use super::shared::Shared;
use crate::event::{EventError, EventsCause, FrameError};
use crate::http::weights::weight;
use crate::http::{HttpError, Status};
use crate::log;
use crate::server::meters::{Activity, Cell, Closed, DURATION_BOUNDS_NS, Latencies, Meters};
use crate::server::streams::Streams;
use crate::stats::Lack;
use crate::sys::process::Source;

/// Names the format of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// The text format 0.0.4 of Prometheus, which all its clients read.
    Text,
    /// OpenMetrics 1.0, for clients that ask for it.
    OpenMetrics,
}

impl MetricsFormat {
    /// Returns the format for a client with these lines of `Accept` (RFC 9110, 12.5.1): OpenMetrics if
    /// they name it, and give the text format no higher weight.
    pub fn accepted<'b>(lines: impl Iterator<Item = &'b [u8]> + Clone) -> MetricsFormat {
        let text = weight(lines.clone(), &["text/plain", "text/*", "*/*"]).unwrap_or(0);
        match weight(lines, &[OPEN_METRICS]) {
            Some(open_metrics) if open_metrics > 0 && open_metrics >= text => {
                MetricsFormat::OpenMetrics
            }
            _ => MetricsFormat::Text,
        }
    }

    /// Returns the media type; promtool and Prometheus need the version.
    pub const fn media_type(self) -> &'static str {
        match self {
            MetricsFormat::Text => "text/plain; version=0.0.4; charset=utf-8",
            MetricsFormat::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text";

/// Builds a page of metrics.
struct Page {
    text: String,
    format: MetricsFormat,
}

impl Page {
    /// Begins a family: its HELP and TYPE. `name` is that of its samples; OpenMetrics calls a family
    /// of counters by what comes before `_total`.
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let family = match self.format {
            MetricsFormat::Text => name,
            MetricsFormat::OpenMetrics => name.strip_suffix("_total").unwrap_or(name),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {kind}");
        Family { page: &mut self.text, name }
    }
}

/// The samples of one family.
struct Family<'p> {
    page: &'p mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Appends a sample without labels.
    fn value(&mut self, value: impl Display) {
        self.part("", &[], value);
    }

    /// Appends a sample with labels. Their values must need no escapes.
    fn labelled(&mut self, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.part("", labels, value);
    }

    /// Appends a sample whose name is that of the family with a suffix.
    fn part(&mut self, suffix: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        let _ = write!(self.page, "{}{suffix}", self.name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.page, "{}{label}=\"{text}\"", if i == 0 { '{' } else { ',' });
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.page, "{close} {value}");
    }
}

/// Appends a double in the text format: the shortest text that reads back as the same number.
fn float(value: f64) -> String {
    ryu::Buffer::new().format(value).to_owned()
}

/// Writes the whole page. `rows` are the routes with their labels.
pub fn write(out: &mut Vec<u8>, shared: &Shared, rows: &[(Row, &str)], format: MetricsFormat) {
    let mut page = Page { text: String::with_capacity(16 * 1024), format };
    write_statistics(&mut page, shared);
    write_requests(&mut page, shared, rows);
    write_batches(&mut page, &shared.request_meters);
    write_durations(&mut page, &shared.server_meters);
    write_connections(&mut page, &shared.server_meters, &shared.streams);
    write_admin_connections(&mut page, shared);
    write_bytes(&mut page, shared);
    write_journal(&mut page, shared);
    write_logs(&mut page);
    write_process(&mut page, shared.process.as_ref());
    if format == MetricsFormat::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    out.extend_from_slice(page.text.as_bytes());
}

fn write_statistics(page: &mut Page, shared: &Shared) {
    let snapshot = shared.statistics.snapshot();
    page.family(
        "millrace_events_total",
        "counter",
        "Events counted since the start or the last reset.",
    )
    .value(snapshot.events);
    page.family("millrace_unique_users", "gauge", "Distinct user ids among the events counted.")
        .value(snapshot.users);
    write_value_sum(page, snapshot.events, snapshot.sum.unwrap_or(f64::NAN));
    let mut family =
        page.family("millrace_worker_events_total", "counter", "Events counted by each worker.");
    for (worker, events) in snapshot.worker_events.iter().enumerate() {
        family.labelled(&[("worker", &worker)], events);
    }
}

/// Writes the sum. It can fall and can be out of range, so it is no counter. Prometheus reserves names
/// that end in `_sum` for summaries, where a falling sum is allowed; OpenMetrics does not allow it there.
fn write_value_sum(page: &mut Page, events: u64, sum: f64) {
    const HELP: &str =
        "Exact sum of the values counted, rounded once; NaN beyond a double's range.";
    match page.format {
        MetricsFormat::Text => {
            let mut family = page.family("millrace_value", "summary", HELP);
            family.part("_sum", &[], float(sum));
            family.part("_count", &[], events);
        }
        MetricsFormat::OpenMetrics => {
            page.family("millrace_value_sum", "gauge", HELP).value(float(sum))
        }
    }
}

/// Writes the times from readiness until the kernel has the answer, as a histogram.
fn write_durations(page: &mut Page, meters: &[Meters]) {
    let total = |cell: &dyn Fn(&Latencies) -> &Cell| {
        meters.iter().map(|meters| cell(&meters.durations).read()).sum::<u64>()
    };
    let mut family = page.family(
        "millrace_request_duration_seconds",
        "histogram",
        "From when a worker learned of a request to when its answer was given to the kernel.",
    );
    let seconds = |ns: u64| float(ns as f64 / 1e9);
    let mut count = 0;
    for (class, &bound) in DURATION_BOUNDS_NS.iter().enumerate() {
        count += total(&|durations| &durations.classes[class]);
        family.part("_bucket", &[("le", &seconds(bound))], count);
    }
    count += total(&|durations| &durations.classes[DURATION_BOUNDS_NS.len()]);
    family.part("_bucket", &[("le", &"+Inf")], count);
    family.part("_sum", &[], seconds(total(&|durations| &durations.sum_ns)));
    family.part("_count", &[], count);
}

fn write_requests(page: &mut Page, shared: &Shared, rows: &[(Row, &str)]) {
    let meters = &shared.request_meters;
    let total = |cell: &dyn Fn(&RequestMeters) -> u64| meters.iter().map(cell).sum::<u64>();
    let mut family = page.family(
        "millrace_http_requests_total",
        "counter",
        "Requests answered, by route and status code.",
    );
    for &(row, label) in rows {
        for status in Status::ALL {
            let count = total(&|meters| meters.answered(row, status));
            // The usual answer is listed from the start, so that its rate is known from the start.
            if count > 0 || (row != Row::NONE && status == Status::Ok) {
                family.labelled(&[("route", &label), ("code", &status.code())], count);
            }
        }
    }
    let mut family = page.family(
        "millrace_http_request_errors_total",
        "counter",
        "Requests refused, by what was wrong with them.",
    );
    for (reason, count) in request_errors(shared) {
        family.labelled(&[("reason", &reason)], count);
    }
}

/// Returns how many requests of `/events` were counted, and with how many events.
pub fn batches(meters: &[RequestMeters]) -> (u64, u64) {
    let batches = meters.iter().map(RequestMeters::batches);
    batches.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
}

fn write_batches(page: &mut Page, meters: &[RequestMeters]) {
    let (batches, events) = batches(meters);
    page.family("millrace_batches_total", "counter", "Requests of /events that were counted.")
        .value(batches);
    page.family("millrace_batch_events_total", "counter", "Events in requests of /events.")
        .value(events);
    let mut family = page.family(
        "millrace_batches_refused_total",
        "counter",
        "Requests of /events of which nothing was counted, by reason.",
    );
    for refusal in BatchRefusal::all() {
        let count: u64 = meters.iter().map(|meters| meters.batches_refused(refusal)).sum();
        family.labelled(&[("reason", &refusal.reason())], count);
    }
}

/// Returns the numbers of answers, by their status code.
pub fn answers_by_status(shared: &Shared) -> impl Iterator<Item = (u16, u64)> + '_ {
    let rows = || shared.rows.iter().map(|&(row, _)| row);
    Status::ALL.into_iter().map(move |status| {
        let of =
            |meters: &RequestMeters| rows().map(|row| meters.answered(row, status)).sum::<u64>();
        (status.code(), shared.request_meters.iter().map(of).sum())
    })
}

/// Writes the numbers of refused requests, by reason.
pub fn request_errors(shared: &Shared) -> impl Iterator<Item = (&'static str, u64)> + '_ {
    let events = |cell: &dyn Fn(&RequestMeters) -> &Cell| {
        shared.request_meters.iter().map(|meters| cell(meters).read()).sum::<u64>()
    };
    let server = |cell: &dyn Fn(&Meters) -> &Cell| {
        shared.all_meters().map(|meters| cell(meters).read()).sum::<u64>()
    };
    let batches = |refusal| {
        shared.request_meters.iter().map(|meters| meters.batches_refused(refusal)).sum::<u64>()
    };
    let of_event = |error| BatchRefusal::Malformed(EventsCause::Event(error));
    let of_frame = |error| BatchRefusal::Malformed(EventsCause::Frame(error));
    let event_errors = EventError::ALL.into_iter().map(move |error| {
        let one = events(&|it| &it.event_errors[error as usize]);
        (error.reason(), one + batches(of_event(error)))
    });
    let frame_errors =
        FrameError::ALL.into_iter().map(move |error| (error.reason(), batches(of_frame(error))));
    let http_errors = HttpError::ALL
        .into_iter()
        .map(move |error| (error.reason(), server(&|it| &it.http_errors[error as usize])));
    event_errors
        .chain(frame_errors)
        .chain([
            ("too_many_events", batches(BatchRefusal::TooMany)),
            (
                "users_full",
                events(&|it| &it.users_refused) + batches(BatchRefusal::Lack(Lack::Place)),
            ),
            ("memory_full", events(&|it| &it.memory_refused)),
            ("disk_full", events(&|it| &it.disk_refused)),
            ("foreign_page", events(&|it| &it.pages_refused)),
        ])
        .chain(http_errors)
        .chain([("panic", server(&|it| &it.panics))])
}

fn write_connections(page: &mut Page, meters: &[Meters], streams: &Streams) {
    let total = |cell: &dyn Fn(&Meters) -> &Cell| {
        meters.iter().map(|meters| cell(meters).read()).sum::<u64>()
    };
    let mut family = page.family(
        "millrace_connections",
        "gauge",
        "Connections open now, by what they are doing.",
    );
    for (activity, label) in Activity::ALL {
        family
            .labelled(&[("state", &label)], total(&|meters| &meters.activities[activity as usize]));
    }
    family.labelled(&[("state", &"watching")], streams.open());
    let mut family =
        page.family("millrace_worker_connections", "gauge", "Connections open now, by worker.");
    for (worker, meters) in meters.iter().enumerate() {
        family.labelled(&[("worker", &worker)], meters.connections.read());
    }
    page.family("millrace_connections_accepted_total", "counter", "Connections accepted.")
        .value(total(&|meters| &meters.accepted));
    page.family(
        "millrace_accept_errors_total",
        "counter",
        "Connections that could not be accepted.",
    )
    .value(total(&|meters| &meters.accept_errors));
    let mut family = page.family(
        "millrace_connections_closed_total",
        "counter",
        "Connections closed, by reason.",
    );
    for (closed, label) in Closed::ALL {
        family.labelled(&[("reason", &label)], total(&|meters| &meters.closed[closed as usize]));
    }
    family.labelled(&[("reason", &"watching_ended")], streams.ended());
}

/// Writes the figures of the operators' server, if there is one. They are families of their own, so
/// that those of clients keep their meaning.
fn write_admin_connections(page: &mut Page, shared: &Shared) {
    if !shared.has_operators_server {
        return;
    }
    let total = |cell: &dyn Fn(&Meters) -> &Cell| {
        shared.operators_meters.iter().map(|meters| cell(meters).read()).sum::<u64>()
    };
    let help = "Connections of operators open now, those of dashboards included.";
    page.family("millrace_admin_connections", "gauge", help)
        .value(total(&|meters| &meters.connections));
    let help = "Connections accepted at the address for operators.";
    page.family("millrace_admin_connections_accepted_total", "counter", help)
        .value(total(&|meters| &meters.accepted));
    let help = "Connections of operators closed, by reason.";
    let mut family = page.family("millrace_admin_connections_closed_total", "counter", help);
    for (closed, label) in Closed::ALL {
        family.labelled(&[("reason", &label)], total(&|meters| &meters.closed[closed as usize]));
    }
}

/// Writes the bytes of all servers.
fn write_bytes(page: &mut Page, shared: &Shared) {
    let total = |cell: &dyn Fn(&Meters) -> &Cell| {
        shared.all_meters().map(|meters| cell(meters).read()).sum::<u64>()
    };
    page.family("millrace_received_bytes_total", "counter", "Bytes received from clients.")
        .value(total(&|meters| &meters.received_bytes));
    page.family("millrace_sent_bytes_total", "counter", "Bytes sent to clients.")
        .value(total(&|meters| &meters.sent_bytes));
}

/// Writes the figures of the state directory, if there is one.
fn write_journal(page: &mut Page, shared: &Shared) {
    let Some(keeper) = shared.keeper() else { return };
    let figures = keeper.figures();
    let counted = figures.counted;
    page.family("millrace_journal_info", "gauge", "Always 1; the fsync mode is in the label.")
        .labelled(&[("fsync", &figures.fsync.name())], 1);
    page.family("millrace_journal_syncs_total", "counter", "Files synced to the disk.")
        .value(counted.syncs);
    let help = "Checkpoints on disk; what a power loss leaves with --fsync everysec.";
    page.family("millrace_journal_checkpoints_total", "counter", help).value(counted.checkpoints);
    let help = "Writes and syncs that failed; the process ends after the first.";
    page.family("millrace_journal_errors_total", "counter", help).value(counted.errors);
    let help = "Time of the last sync, in seconds since 1970; 0 before the first one.";
    page.family("millrace_journal_last_sync_timestamp_seconds", "gauge", help)
        .value(counted.last_sync_unix_s);
    let help = "Duration of the last sync, in seconds.";
    page.family("millrace_journal_last_sync_duration_seconds", "gauge", help)
        .value(float(counted.last_sync_ns as f64 / 1e9));
    page.family("millrace_journal_bytes", "gauge", "Bytes of the files of the state directory.")
        .value(figures.disk_bytes);
    let help = "Bytes for ids of new users that are prepared in the file that has the fewest.";
    page.family("millrace_journal_prepared_bytes", "gauge", help).value(figures.prepared_bytes_min);
    let help = "1 if the disk is full, so that events of new users are refused; 0 otherwise.";
    page.family("millrace_journal_disk_full", "gauge", help).value(u8::from(figures.disk_full));
    let help = "Time from opening the state directory to being able to count, in seconds.";
    page.family("millrace_journal_recovery_seconds", "gauge", help)
        .value(float(figures.recovery.as_secs_f64()));
}

fn write_logs(page: &mut Page) {
    let mut family = page.family(
        "millrace_log_lines_dropped_total",
        "counter",
        "Lines of the logs that were dropped because the output did not take them.",
    );
    for (log, lines) in log::lines_dropped() {
        family.labelled(&[("log", &log)], lines);
    }
}

/// Writes the metrics that the Prometheus client libraries have for every process. Writes none where
/// there is no `/proc`.
fn write_process(page: &mut Page, source: Option<&Source>) {
    if let Some(Ok(process)) = source.map(Source::read) {
        page.family("process_cpu_seconds_total", "counter", "Processor time used, in seconds.")
            .value(float(process.cpu_seconds));
        page.family("process_open_fds", "gauge", "Open file descriptors.")
            .value(process.descriptors);
        page.family("process_max_fds", "gauge", "Limit of open file descriptors.")
            .value(process.descriptors_max);
        page.family("process_virtual_memory_bytes", "gauge", "Mapped memory, in bytes.")
            .value(process.virtual_bytes);
        page.family("process_resident_memory_bytes", "gauge", "Memory in RAM, in bytes.")
            .value(process.resident_bytes);
        page.family(
            "process_start_time_seconds",
            "gauge",
            "Start of the process, in seconds since 1970.",
        )
        .value(float(process.start_unix_seconds));
        page.family("process_threads", "gauge", "Threads.").value(process.threads);
    }
    page.family("millrace_build_info", "gauge", "Always 1; the version is in the label.")
        .labelled(&[("version", &env!("CARGO_PKG_VERSION"))], 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_clients_that_prefer_it_by_name() {
        for (lines, expected) in [
            (&[][..], MetricsFormat::Text),
            (&["*/*"], MetricsFormat::Text),
            (&["application/*"], MetricsFormat::Text),
            (&["application/openmetrics-text"], MetricsFormat::OpenMetrics),
            (&["text/plain", "Application/OpenMetrics-Text"], MetricsFormat::OpenMetrics),
            (
                &["application/openmetrics-text;version=1.0.0;q=0.6,\
                   application/openmetrics-text;version=0.0.1;q=0.5,\
                   text/plain;version=0.0.4;q=0.3,*/*;q=0.1"],
                MetricsFormat::OpenMetrics,
            ),
            (&["text/plain, application/openmetrics-text;q=0"], MetricsFormat::Text),
            (&["application/openmetrics-text;Q=0"], MetricsFormat::Text),
            (&["text/plain", "application/openmetrics-text;q=0.5"], MetricsFormat::Text),
            (&["text/*;q=0.9, application/openmetrics-text;q=0.5"], MetricsFormat::Text),
            (&["text/html, application/xhtml+xml, */*;q=0.8"], MetricsFormat::Text),
            (&["x/y;z=\"application/openmetrics-text\""], MetricsFormat::Text),
        ] {
            let found = MetricsFormat::accepted(lines.iter().map(|line| line.as_bytes()));
            assert_eq!(found, expected, "{lines:?}");
        }
    }
}
