#!/usr/bin/env bash
# Changed inputs for every parser and for whole directories: no panic, no endless loop, no memory without end.
#
#   tools/fuzz.sh [--seconds S] [--seed N] [--libfuzzer] [TARGET...]
#
# S seconds each (10). The seed is told, and repeats a run. --libfuzzer uses `cargo fuzz` (nightly), which follows coverage and
# watches memory accesses, instead of the driver of our own. What is found is kept in fuzz/artifacts; put it into fuzz/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=10
seed=$((RANDOM * 32768 + RANDOM))
libfuzzer=
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --libfuzzer) libfuzzer=1; shift ;;
    -*) echo "usage: $0 [--seconds S] [--seed N] [--libfuzzer] [TARGET...]" >&2; exit 2 ;;
    *) break ;;
    esac
done
[ $# -gt 0 ] || set -- record segment queue_file checkpoint json properties names filter timer_log timer_wheel index store

begin=$SECONDS
echo "$(date +%F) tools/fuzz.sh --seconds $seconds --seed $seed${libfuzzer:+ --libfuzzer}"
if [ -n "$libfuzzer" ]; then
    if ! cargo fuzz --version >/dev/null 2>&1; then
        echo 'SKIPPED: cargo-fuzz is not installed'
        exit 0
    fi
    for target in "$@"; do
        # What it finds worth keeping goes to a folder of its own, not into the repository.
        mkdir -p "artifacts/found/$target"
        if ! cargo +nightly fuzz run --features libfuzzer "$target" "artifacts/found/$target" "corpus/$target" -- \
            -max_total_time="$seconds" -seed="$seed" -timeout=20 -rss_limit_mb=2048 -max_len=65536 \
            -print_final_stats=1 >"artifacts/$target.log" 2>&1; then
            grep -E 'ERROR|panicked|Test unit|^error' "artifacts/$target.log" || tail -n 20 "artifacts/$target.log"
            exit 1
        fi
        grep -E '^stat::(number_of_executed_units|peak_rss_mb)' "artifacts/$target.log" | sed "s/^/$target /"
    done
else
    export RUSTFLAGS='--cfg fuzzing'
    cargo build --release --bin drive
    program=${CARGO_TARGET_DIR:-target}/release/drive
    for target in "$@"; do
        (ulimit -v 8000000 && "$program" "$target" --seconds "$seconds" --seed "$seed") | tail -n 4
    done
fi
echo "passed, $((SECONDS - begin)) s"
