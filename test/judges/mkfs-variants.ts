/**
 * Filesystems to make: what mke2fs and daxkit are both told, and where they differ on purpose.
 */

/** One filesystem. */
export interface MadeVariant {
  /** Size and options as one types them. */
  readonly line: string;
  /** The bytes differ from mke2fs's, and why; the fields of dumpe2fs never do. */
  readonly differs?: string;
  /** Tested on a developer's machine too. */
  readonly short?: true;
}

/** Fields of `dumpe2fs -h` that are not compared. */
export const UNCOMPARED: Readonly<Record<string, string>> = {
  "Lifetime writes": "mke2fs counts the KiB that it wrote itself; daxkit says 1",
  Checksum: "covers the lifetime writes",
};

const QUOTA = "blocks of the quota files come in another order";
const INLINE = "mke2fs leaves parts of an attribute behind the fields of lost+found's inode";
const STALE = "mke2fs leaves old extents behind the index of the journal's tree";
const MMP = "mke2fs notes host and file in the block of multi-mount protection";

const SHORT = [
  "64M",
  "64M -b 4096",
  "64M -t ext3",
  "64M -t ext2",
  "200K -t ext2",
  "48M -O bigalloc -C 16384",
  "48M -O ^metadata_csum,uninit_bg,^64bit",
  "48M -O meta_bg,^resize_inode,^flex_bg -g 2048",
  "64M -b 4096 -O orphan_file,metadata_csum_seed,stable_inodes -I 512 -L name -m 0",
];

const LONG = [
  "360K -t ext2",
  "1440K -t ext2",
  "2M",
  "3M",
  "8M -t ext3",
  "7M -b 4096",
  "20M -b 4096",
  "8200K -b 1024",
  "8250K -b 1024",
  "32800K -b 1024 -O ^flex_bg",
  "129M -b 4096",
  "130M -b 1024",
  "64M -b 2048",
  "64M -b -2048",
  "100M -b 65536",
  "200M -b 16384",
  "100M -I 128",
  "100M -I 512",
  "100M -I 1024 -b 4096",
  "100M -N 100",
  "100M -N 50000",
  "100M -i 65536",
  "100M -i 1024",
  "100M -m 0",
  "100M -m 12.5",
  "100M -m 50",
  "100M -M /mnt/x",
  "100M -e panic",
  "100M -e remount-ro",
  "100M -o FreeBSD",
  "100M -t ext2 -r 0",
  "100M -t ext2 -j",
  "100M -t ext2 -O none",
  "100M -O none,extent",
  "100M -t ext2 -O ^sparse_super,^resize_inode",
  "100M -O ^metadata_csum",
  "100M -O ^64bit",
  "100M -O ^flex_bg",
  "100M -O ^extent,^64bit",
  "100M -O ^has_journal",
  "100M -O ^resize_inode",
  "100M -O ^resize_inode,meta_bg",
  "100M -O sparse_super2,^resize_inode",
  "200M -O sparse_super2,^resize_inode -g 8192 -E num_backup_sb=1",
  "200M -O sparse_super2,^resize_inode -E num_backup_sb=0,packed_meta_blocks=1",
  "200M -E packed_meta_blocks=1",
  "100M -O bigalloc",
  "100M -O bigalloc -C 64K -b 4096",
  "100M -O bigalloc -C 4096 -b 1024",
  "256M -O bigalloc -C 2M -b 4096",
  "100M -J size=16",
  "100M -J size=8,location=20000",
  "100M -O fast_commit",
  "100M -O fast_commit -J fast_commit_size=1024",
  "100M -O orphan_file -E orphan_file_size=200K",
  "100M -O casefold",
  "100M -E encoding=utf8,encoding_flags=strict",
  "100M -O encrypt",
  "100M -O verity,ea_inode,large_dir",
  "100M -O project",
  "100M -E stride=16,stripe_width=64",
  "100M -E stride=16,stripe_width=64 -O ^flex_bg",
  "100M -E lazy_itable_init=0,lazy_journal_init=1",
  "100M -E root_owner=1000:70000",
  "100M -E test_fs",
  "100M -E resize=10G",
  "100M -E desc_size=128",
  "100M -g 2048",
  "100M -g 8000",
  "100M -G 4 -g 2048",
  "100M -G 64 -g 1024",
  "10M -b 1024 -g 256",
  "100M -T news",
  "100M -T largefile4",
  "100M -T floppy",
  "100M -T small,largefile",
  "300M -b 4096 -g 256",
  "600M",
  "513M",
  "511M",
];

const DIFFERENT: readonly (readonly [line: string, differs: string])[] = [
  ["100M -O quota", QUOTA],
  ["100M -O quota,project -E root_owner=1000:1001", QUOTA],
  ["100M -O quota -E quotatype=usrquota", QUOTA],
  ["64M -O inline_data", INLINE],
  ["64M -O inline_data -I 512 -b 4096", INLINE],
  ["100M -O mmp -E mmp_update_interval=20", MMP],
  ["100M -O ^resize_inode,meta_bg,^flex_bg -g 1024", STALE],
];

/** All of them; lines are unique. */
export const MADE: readonly MadeVariant[] = [
  ...SHORT.map((line) => ({ line, short: true as const })),
  ...LONG.map((line) => ({ line })),
  ...DIFFERENT.map(([line, differs]) => ({ line, differs })),
];

/** Profiles of Debian 12, which are ours, in the words of mke2fs.conf(5). */
export const PROFILES = `
[defaults]
base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
default_mntopts = acl,user_xattr
enable_periodic_fsck = 0
blocksize = 4096
inode_size = 256
inode_ratio = 16384
[fs_types]
ext3 = {
features = has_journal
}
ext4 = {
features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
}
small = {
blocksize = 1024
inode_ratio = 4096
}
floppy = {
blocksize = 1024
inode_ratio = 8192
}
big = {
inode_ratio = 32768
}
huge = {
inode_ratio = 65536
}
news = {
inode_ratio = 4096
}
largefile = {
inode_ratio = 1048576
blocksize = -1
}
largefile4 = {
inode_ratio = 4194304
blocksize = -1
}
`;
