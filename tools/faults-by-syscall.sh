#!/usr/bin/env bash
# System calls of a real process fail one after the other; full and read-only file systems; no descriptors (tests/faults.rs).
#
#   tools/faults-by-syscall.sh [--stride N]
#
# --stride 1 tries every call (an hour), the default every 101st (a minute). As root it mounts two small file systems in memory
# for itself; otherwise those two tests are skipped with a line.
set -euo pipefail
cd "$(dirname "$0")/.."

stride=101
while [ $# -gt 0 ]; do
    case $1 in
    --stride) stride=$2; shift 2 ;;
    *) echo "usage: $0 [--stride N]" >&2; exit 2 ;;
    esac
done

begin=$SECONDS
echo "$(date +%F) tools/faults-by-syscall.sh --stride $stride"
cargo test --release --test faults --no-run
run() { cargo test --release --test faults -- --nocapture --test-threads=1 "$@"; }

work=$(mktemp -d)
trap 'umount "$work"/small "$work"/readonly 2>/dev/null || true; rm -rf "$work"' EXIT
mkdir "$work/small" "$work/readonly"
if mount -t tmpfs -o size=4m tmpfs "$work/small" 2>/dev/null; then
    POCKETMQ_SMALL_DISK=$work/small run on_a_full_file_system
    mount -t tmpfs -o size=4m tmpfs "$work/readonly"
    POCKETMQ_READONLY_DISK=$work/readonly run --ignored write_a_store
    mount -o remount,ro "$work/readonly"
    POCKETMQ_READONLY_DISK=$work/readonly run on_a_read_only
else
    echo 'SKIPPED: no full and no read-only file system, mounting is not allowed'
fi
POCKETMQ_FAULTS_STRIDE=$stride run a_call_that_fails without_descriptors | grep -v ', call [0-9]'
echo "passed, $((SECONDS - begin)) s"
