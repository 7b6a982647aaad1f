# Devices behind an NBD server: d0 and d1 are virtio disks that QEMU serves over NBD, nbd0 to nbd2
# are the kernel's own clients of the exports /job/exports names.
. /lib/guest.sh
modprobe ext4
modprobe xfs
nbd_modules

# What the kernel was told of the device.
attributes() {
  for name in size ro queue/logical_block_size queue/physical_block_size queue/discard_max_bytes \
    queue/write_zeroes_max_bytes queue/write_cache queue/fua; do
    echo "$1 $name $(cat "/sys/block/$2/$name")" >>/out/attributes
  done
}

# work NAME TYPE: makes a filesystem, fills it, gives back what a removed file held, reads it again.
work() {
  device=$(node "$1")
  echo "== $1: $2"
  attributes "$1" "${device##*/}"
  mkdir -p "/mnt/$1"
  case $2 in
  xfs) run mkfs.xfs -q -f "$device" ;;
  *) run mke2fs -q -F -t "$2" "$device" ;;
  esac
  run mount -o noatime "$device" "/mnt/$1"
  cd "/mnt/$1"
  fill
  dd if=/dev/urandom of=ballast bs=1M count=32 2>/dev/null
  sync -f .
  rm ballast
  sync -f .
  fstrim -v . | tee "/out/$1.trimmed"
  cd /
  before=$(tree_sum "/mnt/$1")
  run umount "/mnt/$1"
  echo 3 >/proc/sys/vm/drop_caches
  run mount -o noatime "$device" "/mnt/$1"
  tree_sum "/mnt/$1" >"/out/$1.sum"
  [ "$(cat "/out/$1.sum")" = "$before" ]
  run umount "/mnt/$1"
  case $2 in
  xfs) run xfs_repair -n "$device" ;;
  *) run e2fsck -fn "$device" ;;
  esac
}

work d0 ext4
work d1 xfs
read -r first second third </job/exports
run nbd-client -N "$first" 10.0.2.100 10809 /dev/nbd0 -b 512
run nbd-client -N "$second" 10.0.2.100 10809 /dev/nbd1 -b 4096 -C 2
run nbd-client -N "$third" 10.0.2.100 10809 /dev/nbd2 -b 512 -C 4
work nbd0 ext4
work nbd1 xfs
attributes nbd2 nbd2
run fio --name=verify --filename=/dev/nbd2 --direct=1 --ioengine=libaio --iodepth=8 --numjobs=4 \
  --offset_increment=16M --size=16M --rw=randwrite --bsrange=512-128k --verify=crc32c \
  --fsync=64 --output=/out/fio.json --output-format=json
run blkdiscard -z -o 16M -l 16M /dev/nbd2
run blkdiscard -o 32M -l 16M /dev/nbd2
sha256sum </dev/nbd2 | cut -d ' ' -f 1 >/out/nbd2.sum
for number in 0 1 2; do run nbd-client -d /dev/nbd$number; done
dmesg | grep -iE 'nbd|I/O error|ext4|xfs' >/out/messages || :
