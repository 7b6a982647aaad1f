/**
 * Every way to damage an ext image that is known here.
 */
import { attributes } from "./attributes.ts";
import { directories } from "./directories.ts";
import { groups } from "./groups.ts";
import { inodes } from "./inodes.ts";
import { maps } from "./maps.ts";
import { superblock } from "./superblock.ts";
import type { Mutation } from "./target.ts";

export const MUTATIONS: readonly Mutation[] = [
  ...superblock,
  ...groups,
  ...inodes,
  ...maps,
  ...directories,
  ...attributes,
];
