# Runs each scenario of /job/scenarios on a file of its own, on ext4 with DAX: a line is a file and
# commands of xfs_io. Afterwards /out/seen has what was printed, and /out/sums the files.
. /lib/guest.sh
pmem_modules
modprobe ext4
mkdir -p /mnt/dax
run mount -o noatime,dax=always /dev/pmem0 /mnt/dax
grep pmem0 /proc/mounts >/out/mounts
cd /mnt/dax
while read -r name commands; do
  echo "= $name" >>/out/seen
  status=0
  # shellcheck disable=SC2086
  eval "xfs_io -f $commands $name" >>/out/seen 2>&1 || status=$?
  echo "status $status" >>/out/seen
  echo "$name $(stat -c '%s' "$name") $(md5sum <"$name")" >>/out/sums
done </job/scenarios
cd /
umount /mnt/dax
