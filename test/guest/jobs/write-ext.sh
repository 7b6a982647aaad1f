# Fills the filesystems that mke2fs made on the disks, through DAX on virtio-pmem, and resets the
# machine with all of them mounted: what is not in its place is in the journal.
. /lib/guest.sh
pmem_modules
modprobe ext4
# Nothing is written back behind the job's back.
echo 0 >/proc/sys/vm/dirty_writeback_centisecs
while read -r name options; do
  mkdir -p "/mnt/$name"
  run mount -o "$options" "$(node "$name")" "/mnt/$name"
  cd "/mnt/$name"
  fill
done </job/mounts
cat /proc/mounts >/out/mounts
crash
