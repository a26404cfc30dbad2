#!/usr/bin/env bash
# The long forms, one line each at the end, to be pasted into docs/TESTING.md.
#
#   tools/long-campaign.sh kills [1000]      kill cycles in each of two kinds of store
#   tools/long-campaign.sh disk [4000]       random histories on the simulated disk, fifty disks after each crash; every operation
#                                            failing, and crashing
#   tools/long-campaign.sh model [20000]     the whole queue against a model
#   tools/long-campaign.sh faults [1]        every n-th system call failing
#   tools/long-campaign.sh schedules [20000] schedules of each kind for each model
#   tools/long-campaign.sh fuzz [600]        seconds for each target
#   tools/long-campaign.sh power [300]       power cuts for each file system
#   tools/long-campaign.sh planted           every planted bug
#   tools/long-campaign.sh brokers           stores to brokers and back, two versions
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The command as it can be typed, and a pattern for what it says about its counts.
run() {
    local command=$1 counts=$2 begin=$SECONDS outcome=passes
    echo "$(date '+%F %T') $command" >&2
    bash -c "$command" >"$log" 2>&1 || outcome='**FAILS**'
    local said
    said=$(grep -oE "$counts" "$log" | tr '\n' ';' | sed 's/|/\\|/g; s/;$//; s/;/; /g') || said=
    if [ "$outcome" != passes ]; then
        local kept=${CARGO_TARGET_DIR:-target}/long-$what.log
        cp "$log" "$kept"
        tail -n 60 "$log" >&2
        echo "all of it is in $kept" >&2
    fi
    echo "| $(date +%F) | \`$command\` | $outcome, $((SECONDS - begin)) s${said:+; $said} |"
    [ "$outcome" = passes ]
}

what=${1:-}
case $what in
kills) run "POCKETMQ_KILLS=${2:-1000} cargo test --release --test kill -- --nocapture" '[0-9]+ kills, .*|POCKETMQ_SEED=[0-9]+' ;;
disk) run "POCKETMQ_SIM_SEEDS=${2:-4000} POCKETMQ_SIM_IMAGES=50 POCKETMQ_SIM_STRIDE=1 cargo test --release --lib store::tests -- --nocapture" '^test result: .*|[0-9]+ histories, .*' ;;
model) run "PROPTEST_CASES=${2:-20000} cargo test --release --test model" '^test result: .*' ;;
faults) run "tools/faults-by-syscall.sh --stride ${2:-1}" '[0-9]+ calls failed.*|[A-Z][a-z]+: [0-9]+ descriptors.*|[0-9]+ messages, then no space.*|^SKIPPED.*' ;;
schedules) run "tools/schedules.sh --count ${2:-20000} --seed $RANDOM" '^test result: .*|^seed .*' ;;
fuzz) run "tools/fuzz.sh --seconds ${2:-600}" '.*changed ones.*|SKIPPED.*' ;;
power) run "tools/power-cuts.sh --cuts ${2:-300}" '[0-9]+ power cuts on .*|[a-z0-9]+: [0-9]+ messages shown.*|SKIPPED.*' ;;
planted) run tools/planted-bugs.sh '^(GREEN|STALE|NO-BUILD).*|[0-9]+ bugs planted' ;;
brokers) run tools/handover.sh '^test result: .*|^SKIPPED.*' ;;
*)
    sed -n '2,14s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
