# What the kernel makes of its firmware's table of persistent memory.
. /lib/guest.sh
pmem_modules
od -An -v -tx1 /sys/firmware/acpi/tables/NFIT >/out/nfit
run ndctl list -RNDi
ndctl list -RNDi >/out/list
for region in /sys/bus/nd/devices/region*; do
  echo "${region##*/} $(cat "$region/resource") $(cat "$region/devtype") $(cat "$region/read_only")" \
    "$(cat "$region/mappings") $(cat "$region/nfit/range_index")"
done | sort >/out/regions
for disk in /sys/block/pmem*; do
  [ ! -e "$disk/dax/write_cache" ] || echo "${disk##*/} $(cat "$disk/dax/write_cache")"
done | sort >/out/write-caches
dmesg | grep -oE 'nd_pmem .*unable to guarantee.*' | sort >/out/said || :
