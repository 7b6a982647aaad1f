# What the kernel makes of its memory.
. /lib/guest.sh
pmem_modules
dmesg | grep -oE 'BIOS-e820: .*' >/out/e820
cat /proc/iomem >/out/iomem
run ndctl list -RNDi
ndctl list -RNDi >/out/list
ndctl list -RNBu >/out/list-human
