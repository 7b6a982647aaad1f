#!/bin/sh
# The guest's first process: runs /job/job.sh, hands /out to the host, powers off.
export PATH=/sbin:/bin HOME=/root TERM=dumb
# Without udev, device mapper has to make its nodes itself.
export DM_DISABLE_UDEV=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t debugfs debug /sys/kernel/debug
mkdir -p /dev/shm /dev/mapper /out
mount -t tmpfs shm /dev/shm
ip link set lo up
modprobe -a virtio_pci virtio_blk
. /lib/guest.sh
cd /job
status=0
sh /job/job.sh >/out/log 2>&1 </dev/null || status=$?
echo $status >/out/status
dmesg >/out/dmesg
save_out
echo "guest: done" >/dev/console
poweroff -f
