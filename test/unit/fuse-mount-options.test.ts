import { expect, test } from "vitest";
import { mountFuse } from "../../src/node/fuse/mount.ts";
import { fuseVolume } from "../support/fuse-volume.ts";

test("an option that there is not is told before anything is mounted", async () => {
  const { volume } = fuseVolume();
  await expect(mountFuse(volume, "/nowhere", JSON.parse(`{"writeback":true}`))).rejects.toThrow(
    /EINVAL.*no option is called "writeback".*writebackCache/u,
  );
  await expect(mountFuse(volume, "/nowhere", { maxWrite: 5 })).rejects.toThrow(/EINVAL/u);
});
