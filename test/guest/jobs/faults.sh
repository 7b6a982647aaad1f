# Runs each scenario of /job/scenarios on a file of its own, on ext4 with DAX: a line is a file and
# commands of xfs_io. /out/events has what the kernel's fs_dax events tell of each.
. /lib/guest.sh
pmem_modules
modprobe ext4
tracing=/sys/kernel/debug/tracing
echo nop >$tracing/current_tracer
echo 1 >$tracing/events/fs_dax/enable
# Nobody but the scenarios writes back.
echo 0 >/proc/sys/vm/dirty_writeback_centisecs
mkdir -p /mnt/dax
run mount -o noatime,dax=always /dev/pmem0 /mnt/dax
grep pmem0 /proc/mounts >/out/mounts
cd /mnt/dax
while read -r name commands; do
  : >$tracing/trace
  # shellcheck disable=SC2086
  eval "xfs_io -x -f $commands $name"
  echo "= $name" >>/out/events
  grep -o ' dax_.*' $tracing/trace >>/out/events || :
done </job/scenarios
cd /
umount /mnt/dax
