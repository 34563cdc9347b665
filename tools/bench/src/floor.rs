//! millrace beside the floor.

use crate::Common;
use crate::batches;
use crate::load::{self, Sample, Shape, median};
use crate::machine::{self, Side};
use crate::server::Server;
use crate::table::{Table, grouped, latency, megabytes};

/// One and 16 in flight, on some connections and on many.
const SHAPES: [Shape; 4] = [
    Shape { connections: 64, in_flight: 1 },
    Shape { connections: 64, in_flight: 16 },
    Shape { connections: 1_000, in_flight: 1 },
    Shape { connections: 1_000, in_flight: 16 },
];

#[derive(Clone, Copy, PartialEq)]
enum Driver {
    Wrk,
    Challenge,
}

impl Driver {
    fn measure(self, server: &Server, shape: Shape, common: &Common) -> Result<Sample, String> {
        match self {
            Driver::Wrk => load::wrk(server, shape, common.seconds, &common.script),
            Driver::Challenge => {
                let each_second = if shape.in_flight == 1 { 120_000 } else { 1_000_000 };
                let events = each_second * u64::from(common.seconds);
                load::challenge(server, shape, events, &common.programs, &[])
            }
        }
    }
}

/// One row of the table: its samples of floor and millrace, round by round.
struct Cell {
    driver: Driver,
    shape: Shape,
    samples: [Vec<Sample>; 2],
}

pub fn run(common: &Common) -> Result<(), String> {
    let program = |name: &str| common.programs.join(name).display().to_string();
    let commands = [
        format!("{} --port {{port}}", program("floor")),
        format!(
            "{} --workers 1 --log-level error --listen 127.0.0.1:{{port}}",
            program("millrace")
        ),
    ];
    println!("{}", machine::describe());
    let mut drivers = vec![Driver::Challenge];
    if load::has_wrk() {
        drivers.insert(0, Driver::Wrk);
    } else {
        println!("wrk is not there (apt-get install wrk): the challenge client alone.");
    }
    let mut cells: Vec<Cell> = drivers
        .into_iter()
        .flat_map(|driver| SHAPES.map(|shape| Cell { driver, shape, samples: Default::default() }))
        .collect();
    for round in 1..=common.rounds {
        eprintln!("round {round} of {}", common.rounds);
        for cell in &mut cells {
            // The server that is first in one round is second in the next.
            for contestant in [round % 2, (round + 1) % 2] {
                let server = Server::start(&commands[contestant], Side::Server)?;
                let sample = cell.driver.measure(&server, cell.shape, common)?;
                cell.samples[contestant].push(sample);
            }
        }
    }
    println!("Medians of {} rounds of {} s, in turn.\n", common.rounds, common.seconds);
    let mut table = Table::new(&[
        "load",
        "floor/s",
        "millrace/s",
        "ratio",
        "user",
        "system",
        "floor's",
        "p50",
        "p99",
        "p99.9",
        "memory",
        "errors",
    ]);
    for cell in &cells {
        table.row(cell.row());
    }
    table.print();
    println!(
        "\nuser, system: the server's processor time for a request, in ns; floor's: the floor's, both \
         together.\nratio: the median of each round's. Where the load generator is the busier side, \
         rates are its own, and\nthe processor times tell the servers apart. Latency is that of a \
         closed loop."
    );
    batches::run(common, || Server::start(&commands[1], Side::Server))
}

impl Cell {
    /// Returns the text of a percentile. wrk has none of single answers if it sends several requests at
    /// once.
    fn tail(&self, us: f64) -> String {
        if self.driver == Driver::Wrk && self.shape.in_flight > 1 {
            return "-".to_owned();
        }
        latency(us)
    }

    fn row(&self) -> Vec<String> {
        let [floor, millrace] = &self.samples;
        let mut ratios: Vec<f64> = millrace
            .iter()
            .zip(floor)
            .map(|(ours, floor)| ours.requests_per_second / floor.requests_per_second)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let of = |figure: fn(&Sample) -> f64| median(millrace, figure);
        let driver = if self.driver == Driver::Wrk { "wrk" } else { "challenge" };
        let Shape { connections, in_flight } = self.shape;
        vec![
            format!("{driver}, {} x {in_flight}", grouped(connections.into())),
            grouped(median(floor, |sample| sample.requests_per_second)),
            grouped(of(|sample| sample.requests_per_second)),
            format!("{:.2}", ratios[ratios.len() / 2]),
            grouped(of(|sample| sample.user_ns)),
            grouped(of(|sample| sample.system_ns)),
            grouped(median(floor, |sample| sample.user_ns + sample.system_ns)),
            self.tail(of(|sample| sample.latency_us[0])),
            self.tail(of(|sample| sample.latency_us[1])),
            self.tail(of(|sample| sample.latency_us[2])),
            megabytes(of(|sample| sample.resident_bytes as f64)),
            grouped(millrace.iter().map(|sample| sample.errors as f64).sum()),
        ]
    }
}
