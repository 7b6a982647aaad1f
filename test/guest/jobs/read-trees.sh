# Mounts each device, which replays its journal, and sums the archive of its tree.
. /lib/guest.sh
pmem_modules
modprobe ext4
modprobe xfs
for name in $(cat /job/devices); do
  mkdir -p "/mnt/$name"
  run mount -o noatime "$(node "$name")" "/mnt/$name"
  tree_sum "/mnt/$name" >"/out/$name.sum"
  run umount "/mnt/$name"
done
dmesg | grep -iE 'ext4|xfs' >/out/messages || :
