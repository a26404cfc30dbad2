#!/usr/bin/env bash
# The store's threads under a schedule checker: each model in src/schedules is run under many schedules.
#
#   tools/schedules.sh [--count N] [--seed N] [TEST]
#
# --count: schedules of each of three kinds for each model (200: a minute). --seed: another set of them.
# A failure names the file that holds its schedule; `POCKETMQ_SCHEDULE=FILE tools/schedules.sh TEST` replays it.
set -euo pipefail
cd "$(dirname "$0")/.."

only=schedules::
while [ $# -gt 0 ]; do
    case $1 in
        --count) export POCKETMQ_SCHEDULES=$2; shift 2 ;;
        --seed) export POCKETMQ_SEED=$2; shift 2 ;;
        -*) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
        *) only=$1; shift ;;
    esac
done
echo "seed ${POCKETMQ_SEED:-1}, ${POCKETMQ_SCHEDULES:-200} schedules of each kind"

# A folder of its own: everything is built with another flag.
export RUSTFLAGS="${RUSTFLAGS:-} --cfg shuttle" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/schedules RUST_BACKTRACE=0
# Not `cargo test | grep`: a name that no test has must not pass.
ran=$(cargo test --lib -- --list "$only" 2>/dev/null | grep -c ': test$' || true)
[ "$ran" -gt 0 ] || { echo "no model is named $only"; exit 1; }
cargo test --lib -- "$only"
