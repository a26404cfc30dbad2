#!/usr/bin/env bash
# Hands stores to a real RocketMQ broker and back (tests/handover.rs): closed, killed, in use; the broker ended and killed.
#
#   tools/handover.sh [--interop DIR] [--versions "5.3.3 5.5.0"] [--short]
#
# DIR (or $POCKETMQ_INTEROP) holds an executable `interop`, which starts a broker over a store directory; it needs Java.
# --short: two of the five promises, one version, about two minutes. Everything takes about ten.
set -euo pipefail
cd "$(dirname "$0")/.."

interop=${POCKETMQ_INTEROP:-}
versions='5.3.3 5.5.0'
short=
while [ $# -gt 0 ]; do
    case $1 in
    --interop) interop=$2; shift 2 ;;
    --versions) versions=$2; shift 2 ;;
    --short) short=1; shift ;;
    *) echo "usage: $0 [--interop DIR] [--versions \"V V\"] [--short]" >&2; exit 2 ;;
    esac
done

if ! command -v java >/dev/null 2>&1; then
    echo 'SKIPPED: no stores were handed to a broker, java is not installed'
    exit 0
fi
if [ -z "$interop" ] || [ ! -x "$interop/interop" ]; then
    echo "SKIPPED: no stores were handed to a broker, there is no tool to start one (POCKETMQ_INTEROP='$interop')"
    exit 0
fi
if [ -n "$short" ]; then
    versions=${versions%% *}
    set -- a_killed_store_is_refused what_a_broker_added_before_it_was_killed the_comparison
fi

begin=$SECONDS
echo "$(date +%F) tools/handover.sh${short:+ --short}, RocketMQ $versions"
cargo build --release --examples
POCKETMQ_INTEROP=$(cd "$interop" && pwd) POCKETMQ_BROKERS=$versions \
    cargo test --release --test handover -- --nocapture --test-threads=1 "$@"
echo "passed, $((SECONDS - begin)) s"
