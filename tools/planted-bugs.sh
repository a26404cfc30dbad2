#!/usr/bin/env bash
# Bugs are planted, one at a time, in a scratch copy: each has to turn the test red that claims to catch it.
#
#   tools/planted-bugs.sh [NAME...|--short]
#
# A patch in tools/planted-bugs says in its head what promise it breaks and which test must fail. --short: every eighth of them.
# The tests pass first without any bug. Ends badly if a patch does not apply or build, or if its test stays green, hangs or
# was not run. PLANTED_TARGET: where to build (a folder that goes away otherwise).
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD

names=()
if [ "${1:-}" = --short ]; then
    at=0
    for patch in tools/planted-bugs/*.patch; do
        [ $((at++ % 8)) -ne 0 ] || names+=("$(basename "$patch" .patch)")
    done
elif [ $# -gt 0 ]; then
    names=("$@")
else
    for patch in tools/planted-bugs/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi

# Whichever are run: a patch that the code has left behind shows nothing, and costs nothing to find.
stale=0
for patch in tools/planted-bugs/*.patch; do
    patch --dry-run --batch --fuzz=0 -p1 <"$patch" >/dev/null 2>&1 || { echo "STALE     $(basename "$patch" .patch)"; stale=1; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source"
git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -C "$work/source" -xf -
cd "$work/source"
# Models that fail leave their schedules in the folder for such files.
export CARGO_TARGET_DIR=${PLANTED_TARGET:-$work/target} RUST_BACKTRACE=0 TMPDIR=$work

field() { sed -n "s/^$2: //p" "$here/tools/planted-bugs/$1.patch" 2>/dev/null; }
# For the models (schedules::…) everything is built with another flag, beside the rest.
target=$CARGO_TARGET_DIR flags=${RUSTFLAGS:-}
built_for() {
    export CARGO_TARGET_DIR=$target RUSTFLAGS=$flags patience=30
    case $1 in schedules::*) export CARGO_TARGET_DIR=$target/schedules RUSTFLAGS="$flags --cfg shuttle" patience=120 ;; esac
}
# tests/FILE::NAME is one of the tests from outside, any other name one of the library's.
binary() {
    case $1 in
        tests/*) local file=${1#tests/}; kind=(--test "${file%%::*}") path=${file#*::} ;;
        *) kind=(--lib) path=$1 ;;
    esac
}
build() { built_for "$1" && binary "$1" && cargo test "${kind[@]}" --no-run >"$work/log" 2>&1; }
run() { built_for "$1" && binary "$1" && timeout "$patience" cargo test "${kind[@]}" -- --exact "$path" >"$work/log" 2>&1; }

# What cannot pass without a bug shows nothing with one.
for name in "${names[@]}"; do
    build "$(field "$name" Test)" || { tail -20 "$work/log"; echo 'the source does not build without a bug'; exit 1; }
done
wrong=0
for name in "${names[@]}"; do
    test=$(field "$name" Test)
    if [ -z "$test" ] || ! run "$test" || ! grep -q '^test result: ok. 1 passed' "$work/log"; then
        echo "$name: its test (${test:-none named}) does not pass without the bug, or does not exist"
        wrong=1
    fi
done
[ $wrong -eq 0 ] || exit 1
wrong=$stale

printf '%-9s %-32s %s\n' verdict bug test
for name in "${names[@]}"; do
    patch=$here/tools/planted-bugs/$name.patch
    test=$(field "$name" Test)
    verdict=red
    if ! patch --batch --fuzz=0 -p1 <"$patch" >"$work/log" 2>&1; then
        verdict=STALE
    elif ! build "$test"; then
        verdict=NO-BUILD
    elif run "$test"; then
        verdict=GREEN
    elif ! grep -q '^test result: FAILED. 0 passed; 1 failed' "$work/log"; then
        # Not a failed test: it hung, or the process died. Where the promise is that nobody waits for ever, that is red.
        verdict=HUNG
        [ "$(field "$name" Expect)" != hang ] || verdict=red
    fi
    [ $verdict = red ] || wrong=1
    printf '%-9s %-32s %s\n' "$verdict" "$name" "$test"
    # Back to what was: only what the patch names, so that little is built again.
    for file in $(sed -n 's|^+++ b/||p' "$patch"); do
        cp "$here/$file" "$file"
        rm -f "$file.orig" "$file.rej"
        touch "$file"
    done
done
echo "${#names[@]} bugs planted"
exit $wrong
