use indicatif::ProgressBar;
use pqbench::{
    fixture::{Fixture, Limits as L},
    worker::*,
};
use std::time::Instant;
fn main() {
    if std::env::args().nth(1).as_deref() == Some("worker") {
        pqbench_worker::serve()
    }
    let program = Program { path: std::env::current_exe().unwrap(), arguments: vec!["worker".into()] };
    let fixture = Fixture::open("embedded", L::default(), &ProgressBar::hidden()).unwrap();
    println!("landlock {}", landlock_version());
    for (n, name) in [(1000usize, "avx2-pshufb2"), (200_000, "avx2-pshufb2"), (200_000, "scalar")] {
        let t = Instant::now();
        let mut worker = Worker::start(&program, &Limits { cpu: Some(1), ..Default::default() }).unwrap();
        println!("{:?} {:?}", worker.describe(name), t.elapsed());
        let lengths = [n];
        worker
            .open(&Task {
                variant: name,
                geometry: fixture.geometry,
                metric: fixture.metric,
                centroids: &fixture.centroids,
                codes: &fixture.codes[..n * 16],
                lengths: &lengths,
            })
            .unwrap();
        println!("{:?}", worker.prepare());
        println!("relocate {:?}", worker.relocate());
        for count in [1, 1, 1, 1, 10, 100, 1000, 1000] {
            let queries = &fixture.queries[..count * 128];
            let turn = worker.run(Call::Single, 10, queries, true).unwrap();
            let right = fixture.codebook().unwrap();
            let list = pqscan::registry::find(name)
                .unwrap()
                .prepare(&right, pqscan::Codes::row_major(&fixture.codes[..n * 16]), 1)
                .unwrap();
            let t = Instant::now();
            let a: Vec<_> = queries.chunks(128).map(|q| list.search(q, 10).unwrap()).collect();
            let ns = t.elapsed().as_nanos() as f64;
            assert_eq!(turn.answers, a);
            println!(
                "{count}: cpu {:.0} wall {:.0} a query {:.0} wall {:.0} inproc {:.0}",
                turn.cpu_ns,
                turn.wall_ns,
                turn.cpu_ns / count as f64,
                turn.wall_ns / count as f64,
                ns / count as f64
            );
        }
        // overhead
        let mut o: Vec<(f64, f64)> = (0..200)
            .map(|_| {
                let t = worker.run(Call::Single, 10, &fixture.queries[..0], false).unwrap();
                (t.cpu_ns, t.wall_ns)
            })
            .collect();
        o.sort_by(|a, b| a.0.total_cmp(&b.0));
        println!("empty turn {:?}", o[100]);
    }
}
