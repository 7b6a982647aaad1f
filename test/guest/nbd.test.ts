/**
 * Our NBD server under a kernel: as QEMU's virtio disks, and through the kernel's own client on
 * one, two and four connections; with each of the server's engines. What it wrote is then read
 * without NBD, by daxkit and by a second boot.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { createReadStream, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { MAIN, daxkit } from "../support/daxkit.ts";
import { complaintsOf } from "./check.ts";
import { type GuestRun, guestTools, runGuest } from "./guest.ts";

const MEBI = 2 ** 20;

/** What the job makes of each export. */
const FILESYSTEMS: readonly { readonly device: string; readonly type: "ext4" | "xfs" }[] = [
  { device: "d0", type: "ext4" },
  { device: "d1", type: "xfs" },
  { device: "nbd0", type: "ext4" },
  { device: "nbd1", type: "xfs" },
];
/** MiB that a filesystem of that type takes with its journal, and without the file removed. */
const ROOM = { ext4: 28, xfs: 80 };
/** The export that fio writes to. */
const RAW = "nbd2";

async function sha256(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

interface Serving {
  readonly options?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Serves the images until `stop`, which answers the server's exit status and what it said. */
async function serve(
  socket: string,
  images: readonly string[],
  { options = [], env = {} }: Serving = {},
): Promise<() => Promise<unknown>> {
  const ready = `${socket}.pid`;
  const words = ["nbd", "-U", socket, "--pid-file", ready, "--verbose", ...options, ...images];
  const child = spawn(process.execPath, [MAIN, ...words], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...env },
  });
  let said = "";
  child.stderr.on("data", (chunk) => (said += String(chunk)));
  const ended = new Promise<unknown>((done) => {
    child.once("close", (code, signal) => done([code ?? signal, said]));
  });
  process.once("exit", () => child.kill("SIGKILL"));
  await vi.waitUntil(() => existsSync(ready) || child.exitCode !== null, { timeout: 120_000 });
  return () => {
    child.kill("SIGTERM");
    return ended;
  };
}

describe.skipIf(guestTools.missing)(`a kernel on our server${guestTools.hint}`, () => {
  let folder = "";
  const image = (device: string): string => join(folder, "images", `${device}.img`);
  let served: GuestRun;
  let read: GuestRun;
  let readOnly: GuestRun;
  let ends: readonly unknown[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "daxkit-guest-"));
    mkdirSync(join(folder, "images"));
    const socket = join(folder, "nbd.sock");
    const exports = [...FILESYSTEMS, { device: RAW, type: "raw" }];
    for (const { device, type } of exports) {
      writeFileSync(image(device), "");
      truncateSync(image(device), (type === "xfs" ? 320 : 64) * MEBI);
    }
    const paths = exports.map(({ device }) => image(device));
    const virtual = paths.filter((path) => /\/d\d/u.test(path));
    const uri = (path: string): string => `nbd+unix:///${basename(path)}?socket=${socket}.virtual`;
    const stops = [
      await serve(`${socket}.virtual`, virtual, { options: ["--threads", "0"] }),
      await serve(
        socket,
        paths.filter((path) => !virtual.includes(path)),
      ),
    ];
    served = await runGuest("nbd", join(folder, "served"), {
      disks: virtual.map((path) => uri(path)),
      forward: socket,
      fio: true,
      files: { exports: "nbd0.img nbd1.img nbd2.img\n" },
    });
    ends = await Promise.all(stops.map((stop) => stop()));
    read = await runGuest("read-trees", join(folder, "read"), {
      disks: FILESYSTEMS.map(({ device }) => image(device)),
      files: { devices: FILESYSTEMS.map((_, i) => `d${i}`).join(" ") },
    });
    const stop = await serve(`${socket}.ro`, [image("nbd0")], {
      options: ["-r"],
      env: { DAXKIT_FFI: "off" },
    });
    readOnly = await runGuest("nbd-read-only", join(folder, "read-only"), {
      forward: `${socket}.ro`,
      files: { export: "nbd0.img" },
    });
    ends = [...ends, await stop()];
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("the servers end well, and no request failed", () => {
    expect(ends).toEqual([
      [0, ""],
      [0, ""],
      [0, ""],
    ]);
    expect(served.file("messages")).not.toMatch(/error|corrupt|timed out/iu);
  });

  test("the kernel was told of trims, zeroes, flushes and FUA", () => {
    const attributes = served.file("attributes");
    for (const device of ["d0", "d1", "nbd0", "nbd1", "nbd2"]) {
      expect(attributes).toMatch(new RegExp(`^${device} ro 0$`, "mu"));
      expect(attributes).toMatch(new RegExp(`^${device} queue/write_cache write back$`, "mu"));
      expect(attributes).toMatch(new RegExp(`^${device} queue/discard_max_bytes [1-9]`, "mu"));
    }
    expect(attributes).toMatch(/^nbd1 queue\/logical_block_size 4096$/mu);
    expect(attributes).toMatch(/^nbd0 queue\/fua 1$/mu);
  });

  test("each client has the connections it asked for", () => {
    expect(served.log.match(/^Negotiation: /gmu)).toHaveLength(1 + 2 + 4);
    expect(served.log).not.toMatch(/does not support multiple connections/iu);
  });

  test.each(FILESYSTEMS)("$device: what was removed takes no room", ({ device, type }) => {
    expect(served.file(`${device}.trimmed`)).toMatch(/ \d{8,} bytes trimmed/u);
    expect(statSync(image(device)).blocks * 512).toBeLessThan(ROOM[type] * MEBI);
  });

  test.each(FILESYSTEMS)("$device: a kernel reads the same $type from the file", ({ device }) => {
    const index = FILESYSTEMS.findIndex((each) => each.device === device);
    expect(read.file(`d${index}.sum`)).toBe(served.file(`${device}.sum`));
  });

  test.each(FILESYSTEMS.filter(({ type }) => type === "ext4"))(
    "$device: daxkit reads the same from the file",
    ({ device }) => {
      const { stdout, stderr } = daxkit(["tar", image(device)]);
      expect(stderr).toBe("");
      const sum = createHash("sha256").update(Buffer.from(stdout, "latin1")).digest("hex");
      expect(sum).toBe(served.file(`${device}.sum`).trim());
      expect(complaintsOf(image(device))).toEqual([]);
    },
  );

  test("fio verifies what it wrote on four connections", async () => {
    const { jobs } = JSON.parse(/\{.*/su.exec(served.file("fio.json"))![0]) as {
      jobs: { error: number }[];
    };
    expect(jobs.map(({ error }) => error)).toEqual([0, 0, 0, 0]);
    expect(await sha256(image(RAW))).toBe(served.file("nbd2.sum").trim());
  });

  test("what is discarded takes no room", () => {
    expect(statSync(image(RAW)).blocks * 512).toBeLessThan(49 * MEBI);
  });

  test("an export that nobody may write to", () => {
    expect(readOnly.file("ro").trim()).toBe("1");
    expect(readOnly.file("sum")).toBe(served.file("nbd0.sum"));
  });
});
