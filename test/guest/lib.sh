# What jobs have in common: . /lib/guest.sh
set -e

# disk NAME: the node of the virtio disk with that serial.
disk() {
  for block in /sys/block/vd*; do
    [ "$(cat "$block/serial")" != "$1" ] || { echo "/dev/${block##*/}"; return; }
  done
  echo "no disk $1" >&2
  return 1
}

# Hands /out to the host, as a tar on the disk called out.
save_out() { busybox tar -C /out -cf - . | dd of="$(disk out)" bs=64k conv=fsync 2>/dev/null; }

# Resets the machine: nothing that is only in memory reaches a disk.
crash() {
  echo 0 >/out/status
  save_out
  echo "guest: done" >/dev/console
  echo 1 >/proc/sys/kernel/sysrq
  echo b >/proc/sysrq-trigger
  sleep 60
}

# Says what is run.
run() {
  echo "\$ $*"
  "$@"
}

# Loads the drivers of persistent memory and waits until no more devices appear.
pmem_modules() {
  modprobe -qa nfit nd_e820 virtio_pmem nd_pmem nd_btt dax_pmem device_dax || :
  before=
  for round in 1 2 3 4 5 6 7 8 9 10; do
    now=$(ls /dev /sys/bus/nd/devices)
    [ "$now" != "$before" ] || return 0
    before=$now
    sleep 0.2
  done
}

# The kernel's NBD client, and a network on which the host's server is 10.0.2.100, port 10809.
nbd_modules() {
  modprobe virtio_net
  modprobe nbd nbds_max=3
  ip addr add 10.0.2.15/24 dev eth0
  ip link set eth0 up
}

# tree_sum FOLDER: of the archive that `daxkit tar` makes of the same tree.
tree_sum() {
  tar --sort=name --format=posix --numeric-owner --xattrs '--xattrs-include=*' \
    --pax-option=delete=atime,delete=ctime -C "$1" -cf - . |
    sha256sum | cut -d ' ' -f 1
}

# The device that a job calls dN (a disk) or by its name in /dev.
node() { case $1 in d*) disk "$1" ;; *) echo "/dev/$1" ;; esac; }

lines() { # lines TEXT COUNT: 32 bytes a line
  awk -v text="$1" -v count="$2" 'BEGIN { for (i = 0; i < count; i++) printf "%-31s\n", text " " i }'
}

# Fills the current folder, with files of many kinds, and forces all of it out.
fill() {
  mkdir -p a/b/c crowd
  for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do lines "file $i" $((i * 9)) >a/f$i; done
  ln -s b/c/deep a/fast
  ln -s "$(lines target 20 | tr ' \n' //)" a/slow
  ln a/f3 a/b/hard
  mknod a/null c 1 3
  mknod a/disk b 259 70000
  mkfifo a/fifo
  lines deep 5 >a/b/c/deep
  setfattr -n user.color -v blue a/f1
  setfattr -n trusted.big -v "$(lines value 30 | tr '\n' ' ')" a/f2
  lines big 60000 >big
  truncate -s 3M sparse
  lines hole 16 | dd of=sparse bs=512 seek=4096 conv=notrunc 2>/dev/null
  for i in $(seq 1 300); do : >crowd/a_rather_long_name_that_fills_a_directory_$i; done
  sync -f .
  rm crowd/*[13579]
  mv a/f5 a/b/moved
  rm a/f6
  # ext3 has no fallocate.
  xfs_io -f -c "falloc 0 256k" -c "pwrite -S 0x77 64k 4k" -c fsync reserved >/dev/null || :
  truncate -s 100 a/f10
  chmod 4755 a/f11
  chown 12:70000 a/f12
  touch -d @1000000000 a/f13
  for i in 1 2 3 4; do lines "late $i" $((i * 700)) >late$i; done
  xfs_io -c fsync late1 -c "open late2" -c fsync -c "open late3" -c fsync -c "open late4" -c fsync
}
