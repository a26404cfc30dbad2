//! One message through memory and back, without a disk: what the code itself costs. `cargo bench --bench micro`.
#![expect(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pocketmq::{Queue, Raw, Topic};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct OrderPaid {
    order: u64,
    customer: String,
    cents: u64,
}

const BYTES: Topic<[u8], Raw> = Topic::new("bytes");
const ORDERS: Topic<OrderPaid> = Topic::new("orders");
const BATCH: usize = 100;

fn through_memory(criterion: &mut Criterion) {
    let queue = Queue::in_memory().unwrap();
    let mut group = criterion.benchmark_group("send, receive, acknowledge in memory");

    let (bytes, reader) =
        (queue.producer(BYTES).unwrap(), queue.consumer(BYTES, "reader").pull().unwrap());
    let body = [7_u8; 128];
    group.throughput(Throughput::Elements(1));
    group.bench_function("128 bytes, one by one", |b| {
        b.iter(|| {
            bytes.send(black_box(&body)).unwrap();
            reader.recv(Duration::ZERO).unwrap().unwrap().ack().unwrap();
        });
    });
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("128 bytes, batches of 100", |b| {
        b.iter(|| {
            bytes.send_batch(std::iter::repeat_n(black_box(&body[..]), BATCH)).unwrap();
            let batch = reader.recv_batch(BATCH, Duration::ZERO).unwrap();
            assert_eq!(batch.len(), BATCH);
            reader.ack_all(batch).unwrap();
        });
    });

    let (orders, mailer) =
        (queue.producer(ORDERS).unwrap(), queue.consumer(ORDERS, "mailer").pull().unwrap());
    let order = OrderPaid { order: 7, customer: "customer-3".to_owned(), cents: 1999 };
    group.throughput(Throughput::Elements(1));
    group.bench_function("JSON, with key and tag", |b| {
        b.iter(|| {
            orders.message(black_box(&order)).key("order-7").tag("eu").send().unwrap();
            let got = mailer.recv(Duration::ZERO).unwrap().unwrap().into_acked().unwrap();
            assert_eq!(got.order, 7);
        });
    });
    group.finish();
}

criterion_group!(benches, through_memory);
criterion_main!(benches);
