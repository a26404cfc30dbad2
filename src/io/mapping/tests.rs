//! Ranges, windows, published numbers, and what a fork does.

use super::*;

/// From the heap and from the kernel.
const SIZES: [usize; 2] = [8192, HEAP_MAX + 8192];

#[test]
fn nothing_outside_the_range_is_touched() {
    for size in SIZES {
        let map = Mapping::anonymous(size).unwrap();
        assert!(map.write(size - 3, b"abc"));
        assert!(!map.write(size - 2, b"xyz"));
        assert!(!map.write(usize::MAX, b"xyz"));
        assert!(!map.fill_zero(size - 1, 2));
        assert!(!map.read(size - 2, &mut [0; 3]));
        assert_eq!(map.slice(size - 3..size), Some(&b"abc"[..]));
        assert_eq!(map.slice(size - 3..size + 1), None);
        assert_eq!(map.slice(Range { start: 5, end: 4 }), None);
        assert!(!map.store_u64(size - 4, 1));
        assert_eq!(map.load_u64(size), None);
    }
}

#[test]
fn a_window_shows_the_same_bytes_and_ends_where_it_should() {
    for size in SIZES {
        let map = Mapping::anonymous(size).unwrap();
        assert!(!map.is_shared());
        let window = map.window(4096, 16, MapAccess::Write).unwrap();
        assert!(map.is_shared());
        assert!(window.write(0, b"hello"));
        assert!(!window.write(12, b"hello"));
        let mut buf = [0; 5];
        assert!(map.read(4096, &mut buf));
        assert_eq!(&buf, b"hello");
        let inner = window.window(1, 4, MapAccess::Read).unwrap();
        assert_eq!(inner.slice(0..4), Some(&b"ello"[..]));
        assert!(map.window(size - 8, 16, MapAccess::Read).is_none());
    }
}

#[test]
fn a_read_only_window_refuses_writes() {
    let map = Mapping::anonymous(64).unwrap();
    let window = map.window(0, 64, MapAccess::Read).unwrap();
    assert!(!window.write(0, b"x"));
    assert!(!window.fill_zero(0, 1));
    assert!(!window.store_u64(0, 1));
    assert!(window.window(0, 8, MapAccess::Write).is_some_and(|map| !map.write(0, b"x")));
}

#[test]
fn a_published_number_is_big_endian_and_aligned() {
    let map = Mapping::anonymous(64).unwrap();
    assert!(map.store_u64(8, 0x0102_0304_0506_0708));
    assert_eq!(map.slice(8..16), Some(&[1, 2, 3, 4, 5, 6, 7, 8][..]));
    assert_eq!(map.load_u64(8), Some(0x0102_0304_0506_0708));
    assert!(!map.store_u64(4, 1));
    assert_eq!(map.load_u64(12), None);
}

#[test]
fn a_large_region_takes_memory_only_where_written() {
    let map = Mapping::anonymous(1 << 30).unwrap();
    assert_eq!(map.resident_pages().unwrap(), 0);
    assert!(map.write(1 << 29, &[1]));
    // One page, or one huge page.
    assert!((1..=512).contains(&map.resident_pages().unwrap()));
}

fn in_forked_child(guard: &ForkGuard) -> bool {
    code_of_forked_child(|| i32::from(guard.in_child())) == Some(1)
}

#[test]
fn a_forked_child_knows_that_it_is_one() {
    let guard = ForkGuard::new();
    assert!(guard.page.is_some());
    assert!(in_forked_child(&guard));
    assert!(!guard.in_child());
    let by_id = ForkGuard { page: None, process: std::process::id() };
    assert!(in_forked_child(&by_id));
    assert!(!by_id.in_child());
}

#[test]
fn what_is_written_through_is_in_the_file_and_a_failure_is_told() {
    use std::io::Write as _;
    use std::os::unix::fs::FileExt as _;

    let mut named = tempfile::NamedTempFile::new().unwrap();
    named.write_all(&[7; 5000]).unwrap();
    named.as_file().set_len(300 << 10).unwrap();
    let file = named.as_file();
    let map = Mapping::written_through(file, 4096, 200 << 10).unwrap();
    let mut seen = [0; 904];
    assert!(map.read(0, &mut seen));
    assert_eq!(seen, [7; 904], "what was there");

    assert!(map.write(10, b"kept"));
    assert!(map.store_u64(64, 0x0102_0304_0506_0708));
    assert!(map.window(4096, 4096, MapAccess::Write).unwrap().write(1, b"window"));
    assert!(map.fill_zero(20, 30));
    let at = |offset: u64, len: usize| {
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    assert_eq!(at(4096 + 10, 4), b"kept");
    assert_eq!(at(4096 + 64, 8), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(at(8192 + 1, 6), b"window");
    assert_eq!(at(4096 + 19, 32), [&[7][..], &[0; 30], &[7]].concat());
    assert_eq!(map.load_u64(64), Some(0x0102_0304_0506_0708));

    #[expect(clippy::disallowed_methods, reason = "a handle that cannot write")]
    let reading = File::open(named.path()).unwrap();
    let map = Mapping::written_through(&reading, 0, 8192).unwrap();
    assert!(!map.write(0, b"lost") && !map.fill_zero(0, 4) && !map.store_u64(0, 1));
}
