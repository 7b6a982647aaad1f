/**
 * Commands of debugfs that damage what spans structures: entries without counts, inodes that are
 * cleared while they are listed, directories inside themselves, features that come and go.
 */

/** Paths that every image of the sweep has, and numbers of inodes with a role. */
const FILES = ["large", "d1/f3", "d1/f7", "holes", "many/entry-mmm-3"];
const DIRECTORIES = ["d1", "d0/inner", "many", "lost+found"];
const OTHERS = ["fast", "slow", "fifo", "null"];
const ALL = [...FILES, ...DIRECTORIES, ...OTHERS];
const RESERVED = ["<1>", "<2>", "<3>", "<4>", "<5>", "<6>", "<7>", "<8>", "<9>", "<10>", "<11>"];

const FEATURES = [
  ..."dir_index,ext_attr,resize_inode,has_journal,sparse_super2,orphan_file".split(","),
  ..."filetype,extent,64bit,flex_bg,meta_bg,ea_inode,inline_data,large_dir".split(","),
  ..."sparse_super,large_file,huge_file,uninit_bg,dir_nlink,extra_isize,quota".split(","),
  ..."bigalloc,metadata_csum,project,needs_recovery,metadata_csum_seed,verity".split(","),
  ..."stable_inodes,fast_commit,read-only,shared_blocks,orphan_present".split(","),
];

const FIELDS: readonly (readonly [string, readonly (string | number)[]])[] = [
  ["links_count", [0, 1, 2, 3, 7, 65_000]],
  ["size", [0, 1, 59, 60, 61, 4096, 100_000, 5_000_000, 2 ** 31, 2 ** 33]],
  [
    "mode",
    ["0100644", "040755", "0120777", "010644", "020644", "060644", "0140644", "0", "0170000"],
  ],
  ["flags", [0, 0x10, 0x20, 0x800, 0x1000, 0x80000, 0x40000, 0x200000, 0x10000000, 0x40000000]],
  ["blocks", [0, 1, 2, 8, 16, 1000]],
  ["dtime", [1, 100, 1_700_000_000]],
  ["generation", [1, 12_345]],
  ["file_acl", [1, 5, 300, 700, 100_000_000]],
  ["extra_isize", [0, 4, 28, 31, 32, 60, 200]],
  ["faddr", [1]],
  ["uid", [5]],
  ["projid", [3]],
  ["block[0]", [0, 1, 5, 300, 100_000_000]],
  ["block[1]", [0, 1, 300]],
  ["block[12]", [0, 300, 100_000_000]],
  ["block[13]", [0, 300, 100_000_000]],
];

const SUPER: readonly (readonly [string, readonly (string | number)[]])[] = [
  ["free_blocks_count", [0, 5, 10_000_000]],
  ["free_inodes_count", [0, 5, 10_000_000]],
  ["state", [0, 1, 2, 3, 4, 5]],
  ["last_orphan", [1, 12, 40, 1_000_000]],
  ["first_ino", [0, 10, 11, 12, 40, 1_000_000]],
  ["inode_size", [0, 128, 256, 512, 1000]],
  ["block_group_nr", [1, 5]],
  ["journal_inum", [0, 7, 8, 12, 1_000_000]],
  ["journal_dev", [5]],
  ["usr_quota_inum", [0, 3, 4, 5, 12]],
  ["grp_quota_inum", [0, 3, 4, 12]],
  ["prj_quota_inum", [0, 12]],
  ["want_extra_isize", [0, 28, 32, 33, 200]],
  ["min_extra_isize", [0, 28, 33, 200]],
  ["rev_level", [0, 1, 2]],
  ["r_blocks_count", [0, 100, 100_000]],
  ["first_meta_bg", [0, 1, 50]],
  ["reserved_gdt_blocks", [0, 1, 100, 5000]],
  ["overhead_clusters", [0, 1, 5000]],
  ["errors", [0, 1, 9]],
  ["creator_os", [0, 1, 4]],
  ["def_hash_version", [0, 2, 3, 9]],
  ["hash_seed", ["11111111-2222-3333-4444-555555555555"]],
  ["uuid", ["11111111-2222-3333-4444-555555555555"]],
  ["checksum_type", [0, 1, 2]],
  ["encryption_level", [1]],
  ["lpf_ino", [12]],
  ["checksum_seed", [1]],
  ["jnl_backup_type", [0, 1, 2]],
  ["jnl_blocks[0]", [5]],
  ["prealloc_dir_blocks", [1, 4]],
  ["flags", [0, 1, 2, 4]],
  ["mnt_count", [500]],
  ["orphan_file_inum", [0, 5, 12, 1_000_000]],
  ["backup_bgs[0]", [0, 1, 2]],
  ["backup_bgs[1]", [0, 1, 2]],
];

const GROUP: readonly (readonly [string, readonly (string | number)[]])[] = [
  ["flags", [0, 1, 2, 3, 4, 5, 7]],
  ["itable_unused", [0, 1, 20, 5000]],
  ["free_blocks_count", [0, 1, 100, 60_000]],
  ["free_inodes_count", [0, 1, 60_000]],
  ["used_dirs_count", [0, 1, 60_000]],
  ["block_bitmap", [0, 1, 5, 200, 1_000_000]],
  ["inode_bitmap", [0, 1, 5, 200, 1_000_000]],
  ["inode_table", [0, 1, 5, 200, 1_000_000]],
];

/** All commands. */
export function checkCommands(): string[] {
  const commands: string[] = [];
  for (const path of ALL) {
    commands.push(`clri ${path}`, `freei ${path}`, `unlink ${path}`, `kill_file ${path}`);
    commands.push(`ln ${path} d2/new-name`, `ln ${path} d0/inner/deep/new-name`);
  }
  for (const path of RESERVED) {
    commands.push(`ln ${path} d2/new-name`, `freei ${path}`, `clri ${path}`);
  }
  for (const path of [...ALL, ...RESERVED]) {
    for (const [field, values] of FIELDS) {
      for (const value of values) commands.push(`sif ${path} ${field} ${value}`);
    }
  }
  for (const [field, values] of SUPER) {
    for (const value of values) commands.push(`ssv ${field} ${value}`);
  }
  for (const group of [0, 1]) {
    for (const [field, values] of GROUP) {
      for (const value of values) commands.push(`set_bg ${group} ${field} ${value}`);
    }
  }
  for (const feature of FEATURES) commands.push(`feature ${feature}`, `feature ^${feature}`);
  for (const number of [0, 1, 2, 5, 30, 100, 300, 500, 900, 1500]) {
    commands.push(`freeb ${number}`, `setb ${number}`, `freeb ${number} 10`, `setb ${number} 10`);
    commands.push(`zap_block ${number}`, `zap_block -p 0xff ${number}`);
  }
  for (const path of ["large", "d1/f7", "many", "d1", "holes", "<8>", "<7>", "/"]) {
    for (const block of [0, 1, 5, 12, 20]) {
      commands.push(`zap_block -f ${path} ${block}`, `zap_block -f ${path} -p 0xff ${block}`);
      commands.push(`bmap -a ${path} ${block}`, `bmap ${path} ${block} 900`);
      commands.push(`punch ${path} ${block} ${block + 1}`);
    }
  }
  for (const number of [1, 12, 40, 60, 100]) commands.push(`seti <${number}>`, `freei <${number}>`);
  commands.push("unlink d0/inner/deep", "rmdir d0/inner/deep", "rm d1/f3", "expand_dir d1");
  commands.push("mkdir d1/made", "symlink d1/link target", "mknod d1/pipe p", "undel <30> d1/back");
  commands.push("ea_rm d1/f3 user.short", "ea_set d1/f5 user.some thing", "fallocate d1/f7 0 9");
  commands.push("ln d0 d0/inner/deep/up", "ln / d1/root", "ln d1 d1/self", "set_current_time 5");
  return commands;
}
