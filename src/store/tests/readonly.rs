//! A look at a store: the same whether it is the first or goes on from one before, and cheap if little is new.

use std::path::Path;

use crate::io::Storage;
use crate::io::sim::SimDisk;
use crate::options::Flush;
use crate::store::readonly::Image;
use crate::sync::Arc;

use super::foreign::set_config_offset;
use super::random::Chance;
use super::world::{Ack, LARGE, ROOT, World};

fn look(disk: &SimDisk) -> Image {
    Image::of(&storage(disk), Path::new(ROOT)).unwrap()
}

fn storage(disk: &SimDisk) -> Arc<dyn Storage> {
    Arc::new(disk.clone())
}

/// Everything that can be seen.
fn seen(image: &Image) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for (at, size) in &image.records {
        let message = image.message(*at, *size).unwrap();
        let id = super::model::id_of(message.body());
        writeln!(out, "{at} {size} {id:?} {} {}", message.topic(), message.queue_offset().get())
            .unwrap();
    }
    for topic in image.topic_names() {
        for id in 0..image.queue_count(topic) {
            writeln!(out, "{topic} {id} {:?}", image.units(topic, id)).unwrap();
        }
    }
    let mut cursors: Vec<_> = image.cursors.iter().map(|c| format!("{c:?}")).collect();
    cursors.sort();
    let report = &image.report;
    writeln!(out, "{:?} {cursors:?} {} {:?}", image.topics, image.live, report.history).unwrap();
    writeln!(out, "{:?} {:?}", report.damage, report.notes).unwrap();
    out
}

fn assert_refreshed(image: &mut Image, disk: &SimDisk, context: &str) {
    image.refresh(&storage(disk), Path::new(ROOT)).unwrap();
    let (again, anew) = (seen(image), seen(&look(disk)));
    assert!(again == anew, "{context}\nrefreshed:\n{again}\nanew:\n{anew}");
}

#[test]
fn a_second_look_sees_what_a_first_one_would_whatever_happened_between() {
    for flush in [Flush::default(), Flush::Sync] {
        for seed in 0..12 {
            let mut chance = Chance::new(seed);
            let mut world = World::new(flush);
            let mut image = look(&world.disk);
            for step in 0..40 {
                let what = chance.below(12);
                match what {
                    0 => world.send("t", LARGE).map(drop).unwrap(),
                    1 => world.send_all("u", [1500; 9]),
                    2 => world.send_batch("t", &[300; 5]).unwrap(),
                    3 => world.commit().unwrap(),
                    4 => world.flush().unwrap(),
                    5 => world.chores(),
                    6 => {
                        world
                            .consume(("t", "g"), 3, |n| if n == 1 { Ack::No } else { Ack::Yes })
                            .unwrap();
                    }
                    7 => {
                        world.close().unwrap();
                        if chance.below(2) == 0 {
                            assert_refreshed(&mut image, &world.disk, "closed");
                        }
                        world.open().unwrap();
                    }
                    8 => {
                        world = world.next(world.disk.kill_image());
                        if chance.below(2) == 0 {
                            assert_refreshed(&mut image, &world.disk, "killed");
                        }
                        world.open().unwrap();
                    }
                    9 if chance.below(3) == 0 => {
                        world = world.after_power_cut(seed + step);
                    }
                    _ => world.send_all("t", [100, 200]),
                }
                if chance.below(3) > 0 {
                    let context = format!("{flush:?}, seed {seed}, step {step}: {what}");
                    assert_refreshed(&mut image, &world.disk, &context);
                }
            }
        }
    }
}

#[test]
fn a_look_that_goes_on_reads_only_what_is_new() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [1000; 300]);
    world.flush().unwrap();
    let operations = |act: &mut dyn FnMut()| {
        let before = world.disk.operations();
        act();
        world.disk.operations() - before
    };
    let mut image = look(&world.disk);
    let whole = operations(&mut || drop(look(&world.disk)));
    let mut refresh = || image.refresh(&storage(&world.disk), Path::new(ROOT)).unwrap();
    let again = operations(&mut refresh);
    // A handful of small files and one read of the log, instead of one for each of its files.
    let files = world.store().log.segments().len() as u64;
    assert!(files > 15 && whole >= again + files - 2, "{whole} {again} {files}");
}

#[test]
fn after_somebody_else_was_there_everything_is_read_again() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [200; 20]);
    world.consume(("t", "g"), 3, |_| Ack::Yes).unwrap();
    let mut image = look(&world.disk);
    world.close().unwrap();
    set_config_offset(&world.disk, 3, 8);
    assert_refreshed(&mut image, &world.disk, "changed");
    assert_eq!(image.cursors[0].acked.watermark(), 8);
    world.open().unwrap();
    world.send_all("t", [200; 20]);
    assert_refreshed(&mut image, &world.disk, "taken over");
}

#[test]
fn a_store_made_anew_in_the_same_place_is_not_mixed_up_with_the_old_one() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 20]);
    world.flush().unwrap();
    let mut image = look(&world.disk);
    let mut other = World::new(Flush::default());
    other.send_all("x", [100; 30]);
    other.flush().unwrap();
    assert_refreshed(&mut image, &other.disk, "another");
    assert_eq!(image.records.len(), 30);
}

#[test]
fn after_an_error_what_was_seen_before_stays() {
    let mut world = World::new(Flush::default());
    world.send_all("t", [100; 20]);
    world.flush().unwrap();
    let mut image = look(&world.disk);
    let before = seen(&image);
    world.send_all("t", [100; 20]);
    world.flush().unwrap();
    for n in 1.. {
        let disk = world.disk.kill_image();
        disk.crash_at(n);
        if image.refresh(&storage(&disk), Path::new(ROOT)).is_ok() {
            assert!(n > 10);
            break;
        }
        assert_eq!(seen(&image), before, "operation {n}");
    }
}
