/**
 * The matrix of images: what mke2fs is told, and what a mounted kernel then does to the image.
 */

/** One image of the matrix. */
export interface Variant {
  readonly name: string;
  /** Arguments of mke2fs besides `-d` and the image. */
  readonly mke2fs: readonly string[];
  /** `clean`: as mke2fs left it; `aged`: written to by a mount; `dirty`: copied from under one. */
  readonly life: "clean" | "aged" | "dirty";
  /** Size of the image, for truncate. */
  readonly size?: string;
  /** Mount options while it ages. */
  readonly mount?: string;
  /**
   * The kernel's replay of fast commits gives directories the time of the replay, so their times
   * are not compared.
   */
  readonly replayDatesDirectories?: true;
  /** Has quota files. */
  readonly quota?: true;
  /** In the developer's short run too. */
  readonly short?: boolean;
}

function variant(
  name: string,
  mke2fs: string,
  life: Variant["life"] = "clean",
  more: Partial<Variant> = {},
): Variant {
  return { name, mke2fs: mke2fs.split(" "), life, ...more };
}

/** Every image; names are unique. */
export const VARIANTS: readonly Variant[] = [
  variant("ext2-1k", "-t ext2 -b 1024", "aged", { short: true }),
  variant("ext2-2k", "-t ext2 -b 2048"),
  variant("ext2-4k-linear", "-t ext2 -b 4096 -O ^dir_index", "aged"),
  variant("ext2-128", "-t ext2 -b 4096 -I 128"),
  variant("ext2-nofiletype", "-t ext2 -b 1024 -O ^filetype,^sparse_super,^resize_inode"),
  variant("ext3-1k", "-t ext3 -b 1024", "dirty"),
  variant("ext3-4k", "-t ext3 -b 4096", "aged"),
  variant("ext3-128", "-t ext3 -b 4096 -I 128", "dirty"),
  variant("ext4-1k", "-t ext4 -b 1024", "aged"),
  variant("ext4-1k-dirty", "-t ext4 -b 1024", "dirty", { short: true }),
  variant("ext4-2k", "-t ext4 -b 2048", "aged"),
  variant("ext4-4k", "-t ext4 -b 4096", "aged", { short: true }),
  variant("ext4-4k-dirty", "-t ext4 -b 4096", "dirty"),
  variant("ext4-journal-data", "-t ext4 -b 4096", "dirty", { mount: "data=journal" }),
  variant("ext4-fast-commit", "-t ext4 -b 4096 -O fast_commit", "dirty", {
    short: true,
    replayDatesDirectories: true,
  }),
  variant("ext4-128", "-t ext4 -b 4096 -I 128"),
  variant("ext4-1024", "-t ext4 -b 4096 -I 1024"),
  variant("ext4-nocsum", "-t ext4 -b 4096 -O ^metadata_csum,^64bit", "dirty"),
  variant("ext4-gdtcsum", "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit", "aged"),
  variant("ext4-metabg", "-t ext4 -b 1024 -g 1024 -O meta_bg,^resize_inode,^flex_bg"),
  variant("ext4-sparse2", "-t ext4 -b 4096 -O sparse_super2,^resize_inode"),
  variant("ext4-noextents", "-t ext4 -b 4096 -O ^extents,^64bit", "aged"),
  variant("ext4-nojournal", "-t ext4 -b 4096 -O ^has_journal", "aged"),
  variant("ext4-bigalloc-1k", "-t ext4 -b 1024 -C 4096 -O bigalloc -N 16384", "aged"),
  variant("ext4-bigalloc-4k", "-t ext4 -b 4096 -C 65536 -O bigalloc -N 16384", "aged", {
    size: "256M",
  }),
  variant("ext4-inline-1k", "-t ext4 -b 1024 -I 256 -O inline_data", "aged"),
  variant("ext4-inline-4k", "-t ext4 -b 4096 -I 512 -O inline_data", "dirty", { short: true }),
  variant("ext4-ea-inode", "-t ext4 -b 4096 -O ea_inode,large_dir", "aged"),
  variant("ext4-seed", "-t ext4 -b 4096 -O metadata_csum_seed,orphan_file", "dirty"),
  variant("ext4-quota", "-t ext4 -b 4096 -O quota,project", "clean", { quota: true }),
  variant("ext4-noflex", "-t ext4 -b 4096 -O ^flex_bg,^huge_file,^dir_nlink"),
  variant("ext4-uninit", "-t ext4 -b 4096 -E lazy_itable_init=1", "aged", { size: "2G" }),
];
