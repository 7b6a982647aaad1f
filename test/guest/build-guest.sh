#!/usr/bin/env bash
# Makes a Linux guest of a few megabytes from Debian packages: vmlinux and an initramfs.
#
#   build-guest.sh SUITE KERNEL FOLDER
#
# SUITE is Debian's that the kernel comes from: bookworm has Linux 6.1. KERNEL is a package that
# depends on it; linux-image-cloud-amd64 is the smallest with nvdimm, DAX, device mapper, ext4, XFS
# and NBD. Programs always come from bookworm: what tar writes is not the same in every version.
# Packages are downloaded and unpacked, never installed: apt works on lists and a status of its own,
# from the mirror that this machine is set up with. FOLDER is replaced as a whole, at the end.
set -euo pipefail
[ $# = 3 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
suite=$1 kernel_package=$2 folder=$3 programs_suite=bookworm
PATH=$PATH:/usr/sbin:/sbin

packages="busybox-static dash kmod tar ndctl daxctl e2fsprogs xfsprogs dmsetup fio nbd-client mount
  util-linux attr"
programs="dash kmod tar ndctl daxctl mount umount blkid mke2fs e2fsck tune2fs dumpe2fs debugfs
  mkfs.xfs xfs_repair xfs_io xfs_db dmsetup nbd-client blkdiscard setfattr getfattr chattr lsattr filefrag"
# With all that they depend on; what a kernel has built in, or lacks, is passed over.
modules="virtio_pci virtio_blk virtio_pmem virtio_net libnvdimm nfit nd_e820 nd_pmem nd_btt dax_pmem
  device_dax kmem ext4 xfs fuse loop nbd brd null_blk dm-mod dm-snapshot dm-mirror dm-raid dm-zero
  dm-delay dm-flakey dm-writecache dm-log-writes dm-thin-pool dm-cache dm-cache-smq dm-integrity
  dm-verity dm-crypt dm-era dm-unstripe dm-switch crc32c_generic crc32c-intel libcrc32c
  sha256_generic xts aes_generic cbc"

say() { echo "build-guest: $*" >&2; }
die() { say "$*"; exit 1; }
trap 'say "failed at line $LINENO"' ERR

mkdir -p "$(dirname "$folder")"
work=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{kernel,userland,result} "$work"/apt/{lists/partial,archives/partial}

# --- packages ------------------------------------------------------------------------------------

source_line() { # source_line LABEL SUITE: the mirror whose release has that label
  apt-get indextargets --format '$(REPO_URI) $(LABEL)' 2>/dev/null |
    awk -v label="$1" -v suite="$2" -v keys="$keys" \
      '$2 == label { print "deb [signed-by=" keys "]", $1, suite, "main"; exit }'
}
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || die "no $keys: this needs Debian"
for each in $(printf '%s\n' "$programs_suite" "$suite" | sort -u); do
  source_line Debian "$each"
  case $each in sid | *-backports) ;; *) source_line Debian-Security "$each-security" ;; esac
done >"$work/apt/sources"
grep -q " $suite main" "$work/apt/sources" ||
  die "apt knows no Debian mirror: run apt-get update, then try again"
: >"$work/apt/status"
apt_options=(-qq -o "Dir::Etc::sourcelist=$work/apt/sources" -o Dir::Etc::sourceparts=/dev/null
  -o Dir::Etc::preferencesparts=/dev/null -o "Dir::State::lists=$work/apt/lists"
  -o "Dir::State::status=$work/apt/status" -o "Dir::Cache::archives=$work/apt/archives"
  -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root
  -o Acquire::Languages=none -o APT::Architecture=amd64)
from_suite() { echo "APT::Default-Release=/^$1(-security)?\$/"; }
say "lists of $suite"
apt-get "${apt_options[@]}" update >&2

kernel=$(apt-cache "${apt_options[@]}" -o "$(from_suite "$suite")" depends "$kernel_package" |
  sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
[ -n "$kernel" ] || die "no kernel behind $kernel_package in $suite"
release=${kernel#linux-image-}
say "downloading $kernel"
parts=$kernel
for part in "linux-binary-$release" "linux-modules-$release"; do # Debian 14 has it in pieces
  if apt-cache "${apt_options[@]}" show "$part" >/dev/null 2>&1; then parts="$parts $part"; fi
done
# shellcheck disable=SC2086
(cd "$work/kernel" && apt-get "${apt_options[@]}" download $parts >&2)
for archive in "$work"/kernel/*.deb; do
  basename "$archive" >>"$work/result/VERSIONS"
  dpkg-deb -x "$archive" "$work/kernel"
done
# Where /lib is /usr/lib, packages only have the latter.
[ -e "$work/kernel/lib" ] || ln -s usr/lib "$work/kernel/lib"
say "downloading programs"
# shellcheck disable=SC2086
apt-get "${apt_options[@]}" -o "$(from_suite "$programs_suite")" install --download-only -y \
  --no-install-recommends $packages >/dev/null
for archive in "$work"/apt/archives/*.deb; do
  basename "$archive" >>"$work/result/VERSIONS"
  dpkg-deb -x "$archive" "$work/userland"
done

# --- kernel --------------------------------------------------------------------------------------

# QEMU boots the ELF file directly, which saves seconds of decompression under emulation.
extract() { # extract BZIMAGE ELF: tries each decompressor wherever its signature stands
  local signature tool offset
  while IFS='|' read -r signature tool; do
    for offset in $(LC_ALL=C grep -aobP "$signature" "$1" | cut -d: -f1); do
      tail -c +$((offset + 1)) "$1" | $tool >"$2" 2>/dev/null || true
      [ "$(head -c 4 "$2" | od -An -tx1 | tr -d ' \n')" != 7f454c46 ] || return 0
    done
  done <<'SIGNATURES'
\xfd7zXZ\x00|xz -dc
\x28\xb5\x2f\xfd|zstd -dc
\x1f\x8b\x08|gzip -dc
\x02\x21\x4c\x18|lz4 -dc
SIGNATURES
  return 1
}
image=$(find "$work/kernel" -name 'vmlinuz*' -type f | head -1)
[ -n "$image" ] || die "no vmlinuz in $parts"
extract "$image" "$work/result/vmlinux" || die "$image is compressed in an unknown way"

# --- programs and their libraries ----------------------------------------------------------------

root=$work/root
from=$work/userland
mkdir -p "$root"/{bin,sbin,proc,sys,dev,tmp,mnt,run,etc/ndctl/keys,usr/share,lib,job,out,root}
for name in bin sbin lib; do ln -s "../$name" "$root/usr/$name"; done
ln -s lib "$root/lib64"
ln -s ../lib "$root/usr/lib64"
find_one() { find "$from" -name "$1" -path "$2" \( -type f -o -type l \) | head -1; }
loader=$(find_one ld-linux-x86-64.so.2 '*')
library_path=$(find "$from" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
needed() { "$loader" --list --library-path "$library_path" "$1" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p'; }
add() { # add PROGRAM FOLDER: with the libraries that are not there yet
  cp -L "$1" "$2/bin/"
  [ "$(head -c 4 "$1" | tail -c 3)" = ELF ] || return 0
  needed "$1" | while read -r library; do
    [ -e "$root/lib/${library##*/}" ] || cp -L "$library" "$2/lib/"
  done
}
cp "$(find_one busybox '*/bin/*')" "$root/bin/"
for applet in $("$root/bin/busybox" --list); do [ -e "$root/bin/$applet" ] || ln -s busybox "$root/bin/$applet"; done
cp -L "$loader" "$root/lib/"
for name in $programs; do
  rm -f "$root/bin/$name"
  add "$(find_one "$name" '*bin/*')" "$root"
done
# Busybox's shell would prefer its own mount and modprobe to the real ones.
ln -sf dash "$root/bin/sh"
for name in modprobe insmod rmmod lsmod; do ln -sf kmod "$root/bin/$name"; done
for name in 2 3 4; do ln -sf mke2fs "$root/bin/mkfs.ext$name"; done
ln -s ../bin/modprobe "$root/sbin/modprobe"
cp "$from/etc/mke2fs.conf" "$root/etc/"
ln -s /proc/mounts "$root/etc/mtab"
printf 'root:x:0:0::/root:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
# fio needs 67 MB of libraries: an archive of its own, for the jobs that want it.
mkdir -p "$work"/fio/{bin,lib}
add "$(find_one fio '*bin/*')" "$work/fio"

# --- modules -------------------------------------------------------------------------------------

depmod -b "$work/kernel" "$release"
tree=$work/kernel/lib/modules/$release
to=$root/lib/modules/$release
mkdir -p "$to"
for name in $modules; do
  pattern="^[^:]*/${name//[-_]/[-_]}\.ko(\.xz|\.zst)?:"
  line=$(grep -E "$pattern" "$tree/modules.dep") || continue
  for file in ${line/:/ }; do
    mkdir -p "$to/${file%/*}"
    case $file in
    *.xz) xz -dc "$tree/$file" >"$to/${file%.xz}" ;;
    *.zst) zstd -qdc "$tree/$file" >"$to/${file%.zst}" ;;
    *) cp "$tree/$file" "$to/$file" ;;
    esac
  done
done
cp "$tree"/modules.builtin* "$tree/modules.order" "$to/"
depmod -b "$root" "$release"

# --- result --------------------------------------------------------------------------------------

pack() { (cd "$1" && find . -print0 | sort -z | cpio --null -o -H newc --owner=0:0 --quiet); }
pack "$root" >"$work/result/initrd"
pack "$work/fio" >"$work/result/initrd-fio"
sha256sum "$0" | cut -d ' ' -f 1 >"$work/result/RECIPE"
rm -rf "$folder"
mv "$work/result" "$folder"
say "$folder: Linux $release, $(du -sh "$folder" | cut -f 1)"
