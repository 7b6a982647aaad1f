#!/usr/bin/env bash
# Makes fixtures/tour/: the ext4 image of `npm start`, its manifest, and nothing else. The same
# mke2fs gives the same bytes: times, uuid and hash seed are fixed. Needs root (owners, xattrs).
set -euo pipefail
cd "$(dirname "$0")/../fixtures/tour"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree/journal" "$tree/sensors/attic" "$tree/sensors/cellar"

cat > "$tree/welcome.txt" <<'TEXT'
This file lies in an ext4 image that mke2fs made. What you read came straight out of the mapped
image: one copy, from the media into the reader's buffer, and no page cache in between.
TEXT
for day in $(seq -w 1 365); do
  printf 'day %s: pressure %d hPa, wind %d knots\n' "$day" $((960 + 10#$day % 77)) $((10#$day * 7 % 45)) \
    > "$tree/journal/day-$day"
done
# 5 MiB of numbered lines: one large file to read through DAX.
seq -f 'sample %015.0f: the tide is in' 1 131072 > "$tree/sensors/cellar/tide.log"
truncate -s 3M "$tree/sensors/attic/mostly-hole"
printf 'a needle' | dd of="$tree/sensors/attic/mostly-hole" bs=1 seek=2000000 conv=notrunc status=none
ln "$tree/welcome.txt" "$tree/sensors/same-file"
ln -s ../cellar/tide.log "$tree/sensors/attic/tide"
setfattr -n user.made.by -v 'mke2fs -d' "$tree/welcome.txt"
chown 1000:100 "$tree/journal"/*
find "$tree" -exec touch -h -d '2026-01-01 12:00:00 UTC' {} +

image=$work/tour.img
truncate -s 32M "$image"
export E2FSPROGS_FAKE_TIME=1767268800
options=(-q -F -t ext4 -b 4096 -L tour -U d4c0ffee-0000-4000-8000-000000000001
  -E "hash_seed=d4c0ffee-0000-4000-8000-000000000002,root_owner=0:0" -d "$tree")
mke2fs "${options[@]}" "$image"
e2fsck -fn "$image" > "$work/check" 2>&1

{
  echo "tour.img.gz: a 32 MiB ext4 image, made by scripts/make-tour-image.sh with"
  mke2fs -V 2>&1 | sed -n '1s/ (.*//p'
  echo "mke2fs ${options[*]//$tree/TREE} tour.img"
  echo "sha256 of the unpacked image: $(sha256sum < "$image" | cut -d' ' -f1)"
  echo
  (cd "$tree" && find . -type f -print0 | sort -z | xargs -0 sha256sum)
} > tour.manifest
gzip -9 -n < "$image" > tour.img.gz
ls -l tour.img.gz tour.manifest
