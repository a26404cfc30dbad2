#!/usr/bin/env bash
# The power of real file systems is cut (tests/power.rs): ext4 and xfs in image files, as root.
#
#   tools/power-cuts.sh [--cuts N] [--seed N]
#
# N cuts for each file system (20: a minute). A cut is the file systems' own shutdown without flushing their log: what had not
# reached the disk is gone. Then disks that fail for a while: images on a full memory file system, with holes.
set -euo pipefail
cd "$(dirname "$0")/.."

cuts=20
seed=1
while [ $# -gt 0 ]; do
    case $1 in
    --cuts) cuts=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    *) echo "usage: $0 [--cuts N] [--seed N]" >&2; exit 2 ;;
    esac
done

skip() { echo "SKIPPED: no power was cut, $*"; exit 0; }
[ "$(id -u)" -eq 0 ] || skip 'that needs root'
command -v xfs_io >/dev/null 2>&1 || skip 'xfs_io (xfsprogs) is not installed'
command -v losetup >/dev/null 2>&1 && losetup -f >/dev/null 2>&1 || skip 'there are no loop devices'

begin=$SECONDS
echo "$(date +%F) tools/power-cuts.sh --cuts $cuts --seed $seed"
cargo test --release --test power --no-run

work=$(mktemp -d)
cleanup() {
    for folder in "$work"/*.mounted "$work"/*.memory; do
        mountpoint -q "$folder" && umount "$folder"
    done
    rm -rf "$work"
}
trap cleanup EXIT

# make NAME FOLDER MEGABYTES MKFS...: prints name:image:mounted, or nothing.
make() {
    local name=$1 image=$2/$1.img size=$3 mounted=$work/$1${4:-}.mounted
    shift 4
    truncate -s "${size}M" "$image"
    mkdir "$mounted"
    # All of it allocated: only what a test punches out can fail later.
    if "$@" "$image" >&2 && fallocate -l "${size}M" "$image" && mount -o loop "$image" "$mounted"; then
        touch "$mounted/pocketmq-power-cuts"
        sync -f "$mounted"
        echo "$name:$image:$mounted"
    else
        echo "SKIPPED: no $name" >&2
    fi
}

disks="$(make ext4 "$work" 128 '' mkfs.ext4 -qF) $(make xfs "$work" 320 '' mkfs.xfs -qf)"
failing=
for name in ext4 xfs; do
    mkdir "$work/$name.memory"
    mount -t tmpfs -o size=400m tmpfs "$work/$name.memory"
    case $name in
    ext4) made=$(make ext4 "$work/$name.memory" 128 -failing mkfs.ext4 -qF -b 4096 -E nodiscard) ;;
    xfs) made=$(make xfs "$work/$name.memory" 320 -failing mkfs.xfs -qfK) ;;
    esac
    failing="$failing $made"
done

POCKETMQ_POWER_CUTS=$cuts POCKETMQ_SEED=$seed POCKETMQ_POWER_DISKS=$disks POCKETMQ_FAILING_DISKS=$failing \
    cargo test --release --test power -- --nocapture --test-threads=1
echo "passed, $((SECONDS - begin)) s"
