# The kernel's client on an export that nobody may write to.
. /lib/guest.sh
modprobe ext4
nbd_modules
run nbd-client -N "$(cat /job/export)" 10.0.2.100 10809 /dev/nbd0 -b 512
cat /sys/block/nbd0/ro >/out/ro
mkdir -p /mnt/nbd0
run mount -o ro /dev/nbd0 /mnt/nbd0
tree_sum /mnt/nbd0 >/out/sum
run umount /mnt/nbd0
if run dd if=/dev/zero of=/dev/nbd0 bs=4096 count=1 conv=fsync; then exit 1; fi
if run blkdiscard -o 0 -l 1048576 /dev/nbd0; then exit 1; fi
run nbd-client -d /dev/nbd0
