# ext4 at work on d0, a virtio disk that QEMU serves over NBD from a server that records it.
. /lib/guest.sh
modprobe ext4
device=$(disk d0)
cat "/sys/block/${device##*/}/queue/write_cache" >/out/cache
mkdir -p /mnt/d0
run mount -o noatime "$device" /mnt/d0
cd /mnt/d0
for name in a b c d; do
  dd if=/dev/zero bs=10000 count=1 2>/dev/null | tr '\0' "$name" >"$name.new"
  sync "$name.new"
  mv "$name.new" "$name"
  sync .
done
mkdir sub
mv a b sub
rm c
sync -f .
echo more >>d
cd /
run umount /mnt/d0
