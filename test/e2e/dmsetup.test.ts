/** `daxkit dmsetup`, as people run it: devices that stay between two runs, and are exports. */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { NbdConnection } from "../../src/node/nbd/client-media.ts";
import { noise } from "../support/bytes.ts";
import { MAIN, daxkit } from "../support/daxkit.ts";
import { DISK_BYTES, MapperPlace } from "../support/mapper-place.ts";

const golden = readFileSync(join(import.meta.dirname, "../golden/dmsetup.txt"), "utf8");

/** Commands of the golden file from `from` on, with what they print; numbers of disks by order. */
function* recorded(from: string, count: number): Generator<readonly [string[], string, number]> {
  const text = golden.slice(golden.indexOf(from)).replaceAll("254:16", "240:0");
  const commands = [...text.matchAll(/^\$ dmsetup (.*)\n([\s\S]*?)^= (\d+)\n/gmu)];
  for (const [, line = "", body = "", status] of commands.slice(0, count)) {
    const [before = "", table] = line.split(" --table ");
    const words = before.split(" ");
    if (table !== undefined) words.push("--table", table);
    yield [words, body, Number(status)];
  }
}

describe("daxkit dmsetup", () => {
  test("prints what dmsetup prints, run after run", async () => {
    const place = new MapperPlace();
    place.ok("create", "lin", "--table", "0 100 linear A 8\n100 50 linear B 0");
    place.ok("load", "lin", "--table", "0 200 linear A 0");
    place.ok("resume", "lin");
    const from = "$ dmsetup resume lin\n= 0\n$ dmsetup info lin";
    for (const [words, output, status] of recorded(from, 9)) {
      const ours = place.run(...words);
      const said = status === 0 ? ours.stdout : ours.stderr.split("\n")[0];
      expect([words, said, ours.status]).toEqual([
        words,
        status === 0 ? output : output.split("\n")[0],
        status,
      ]);
    }
    place.ok("remove", "lin2");
    await expect.poll(() => place.left()).toEqual([]);
    expect(place.ok("ls")).toBe("No devices found\n");
  });

  test("a place where a file is that is no socket is refused, and the file stays", () => {
    const place = new MapperPlace();
    const image = join(place.folder, "image");
    writeFileSync(image, "somebody's image");
    const machine = join(place.folder, "machine.yaml");
    writeFileSync(machine, "pmem: [{ size: 16M }]\n");
    for (const words of [
      ["dmsetup", "--mapper", image, "create", "x", "--notable"],
      ["up", machine, "--mapper", image],
    ]) {
      const { status, stderr } = daxkit(words);
      expect([words, status]).toEqual([words, 2]);
      expect(stderr).toContain("a file that is no socket is there");
      expect(readFileSync(image, "utf8")).toBe("somebody's image");
    }
  });

  test("tables come by files and standard input, too", () => {
    const place = new MapperPlace();
    writeFileSync(join(place.folder, "table"), "# two disks\n0 8 linear A 0\n8 8 linear B 0\n");
    place.ok("create", "file", "table");
    const input = "0 16 linear /dev/mapper/file 0\n";
    const env = { ...process.env, DAXKIT_MAPPER: place.mapper };
    const words = [MAIN, "dmsetup", "create", "pipe"];
    const child = spawnSync(process.execPath, words, { input, env, cwd: place.folder });
    expect([child.status, String(child.stderr)]).toEqual([0, ""]);
    expect(place.ok("table")).toBe(
      "file: 0 8 linear 240:0 0\nfile: 8 8 linear 240:1 0\npipe: 0 16 linear 253:0 0\n",
    );
    const { devices } = JSON.parse(place.ok("info", "pipe", "--json")) as { devices: unknown[] };
    expect(devices).toMatchObject([{ name: "pipe", dax: true, openCount: 0, size: 8192 }]);
  });

  test("what is refused says why, and the old table stays", () => {
    const place = new MapperPlace();
    place.ok("create", "d", "--table", "0 100 linear A 0");
    const bad: readonly (readonly [string, string])[] = [
      ["0 8 linear A 0\n16 8 linear A 0", "linear: Gap in table (-EINVAL)"],
      ["0 8 linear nowhere 0", 'there is no device "nowhere"'],
      ["0 8 linear /dev/mapper/d 0", "d would stand on itself"],
      ["0 64 striped 3 8 A 0 B 0 C 0", "striped: Target length not divisible by number of stripes"],
      ["0 65536 linear A 0", "too small for target: start=0, len=65536, dev_size=32768"],
    ];
    for (const [table, why] of bad) {
      const said = place.refused("load", "d", "--table", table);
      expect(said).toMatch(/^device-mapper: reload ioctl on d {2}failed: .*\n/u);
      expect(said).toContain(why);
    }
    expect(place.refused("message", "d", "0", "x")).toContain("does not support messages");
    expect(place.refused("remove", "nobody")).toContain("No such device or address");
    expect(place.refused("create", "e", "--table", "0 8 linear")).toContain("Invalid argument");
    expect(place.ok("table")).toBe("d: 0 100 linear 240:0 0\n");
    expect(place.run("frobnicate").status).toBe(1);
    const { status: odd, stderr: told } = place.run("ls", "--nonsense");
    expect([odd, told.split("\n")[0]]).toEqual([1, "dmsetup: unrecognized option '--nonsense'"]);
    expect(place.refused("deps", "-o", "bogus", "d")).toContain("Option not recognised: bogus.");
    expect(place.refused("create", "f", "missing")).toMatch(/^Couldn't open 'missing'.*\nENOENT/u);
    // Another writer is told who has the disk.
    const { status, stderr } = daxkit(["mkfs.ext4", "-F", join(place.folder, "A")]);
    expect([status, stderr]).toEqual([2, expect.stringContaining(`pid ${place.pid}`)]);
  });

  test("a device is an export, and held while it has clients", async () => {
    const place = new MapperPlace();
    place.ok("create", "s", "--table", "0 65536 striped 2 8 A 0 B 0");
    const uri = place.ok("uri", "s").trimEnd();
    const client = NbdConnection.open(uri);
    expect(place.refused("remove", "s")).toContain("open count 1");
    expect(client.size).toBe(2 * DISK_BYTES);
    client.close();
    await expect.poll(() => place.ok("info", "-c", "--noheadings", "-o", "open", "s")).toBe("0\n");
    place.ok("remove", "s");
    await expect.poll(() => place.left()).toEqual([]);
    expect(place.refused("uri", "s")).toContain("Device does not exist.");
  });

  test("clients of a suspended device wait until it is resumed", async () => {
    const place = new MapperPlace();
    expect(daxkit(["mkfs.ext4", "-q", join(place.folder, "A")]).status).toBe(0);
    place.ok("create", "s", "--table", "0 32768 linear A 0");
    const uri = place.ok("uri", "s").trimEnd();
    place.ok("suspend", "s");
    const reader = spawn(process.execPath, [MAIN, "ls", uri], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const stream of [reader.stdout, reader.stderr]) {
      stream.on("data", (chunk) => (said += String(chunk)));
    }
    const ended = new Promise((resolve) => {
      reader.once("exit", resolve);
    });
    // It is there, and waits.
    const opened = (): string => place.ok("info", "-c", "--noheadings", "-o", "open", "s");
    await expect.poll(() => [opened(), said, reader.exitCode]).toEqual(["1\n", "", null]);
    place.ok("resume", "s");
    expect([await ended, said]).toEqual([0, "lost+found\n"]);
  });

  test("a client that hangs up does not hold a suspended device", async () => {
    const place = new MapperPlace();
    place.ok("create", "s", "--table", "0 32768 linear A 0", "-u", "U");
    const uri = place.ok("uri", "-u", "U").trimEnd();
    expect(uri).toBe(place.ok("uri", "-j", "253", "-m", "0").trimEnd());
    const polite = NbdConnection.open(uri);
    const other = NbdConnection.open(uri);
    const opened = (): string => place.ok("info", "-c", "--noheadings", "-o", "open", "s");
    place.ok("suspend", "s");
    const waiting = spawn(process.execPath, [MAIN, "ls", uri], { stdio: "ignore" });
    await expect.poll(opened).toBe("3\n");
    polite.close();
    await expect.poll(opened).toBe("2\n");
    // With a request on its way.
    waiting.kill("SIGKILL");
    await expect.poll(opened).toBe("1\n");
    expect(place.refused("remove", "s")).toMatch(/busy\n.*in use by an NBD client/u);
    other.close();
    await expect.poll(opened).toBe("0\n");
    place.ok("remove", "s");
  });

  test("wait ends with the next event", async () => {
    const place = new MapperPlace();
    place.ok("create", "w", "--table", "0 8 linear A 0");
    const env = { ...process.env, DAXKIT_MAPPER: place.mapper };
    const waiting = spawn(process.execPath, [MAIN, "dmsetup", "wait", "w"], { env });
    const ended = new Promise((resolve) => {
      waiting.once("exit", resolve);
    });
    place.ok("rename", "w", "v");
    // It may have begun to wait after the name was changed: then there is no such device.
    expect([0, 1]).toContain(await ended);
    expect(place.ok("wait", "v", "0")).toBe("");
  });

  test("a killed mapper loses nothing that was flushed, and is told of", async () => {
    const place = new MapperPlace();
    const table = "0 32768 writecache s A B 4096 0";
    place.ok("create", "top", "--uuid", "U", "--notable");
    place.ok("create", "cache", "--table", table);
    place.ok("load", "--uuid", "U", "--readonly", "--table", "0 8 linear /dev/mapper/cache 0");
    place.ok("resume", "top");
    const bytes = noise(3, 65536);
    const client = NbdConnection.open(place.ok("uri", "cache").trimEnd());
    client.hold(client.client.write(0, bytes));
    client.hold(client.client.flush());
    const { pid } = place;
    process.kill(pid, "SIGKILL");
    // At once: neither it nor its socket need be gone by now.
    const said = place.run("ls");
    client.close();
    expect(said.stdout).toBe("No devices found\n");
    expect(said.stderr).toContain(`the mapper, process ${pid}, was killed`);
    const cache = "daxkit dmsetup create cache --major 253 --minor 1 --table ";
    const again = `${cache}'0 32768 writecache s ${place.folder}/A`;
    expect(said.stderr).toContain(again);
    const top = "daxkit dmsetup create top --major 253 --minor 0 --uuid U --readonly --table ";
    expect(said.stderr).toMatch(new RegExp(`${top}'0 8 linear /dev/mapper/cache 0'\n$`, "u"));
    expect(place.run("ls").stderr).toBe("");
    place.ok("create", "cache", "--table", table);
    const found = new Uint8Array(bytes.length);
    const second = NbdConnection.open(place.ok("uri", "cache").trimEnd());
    second.hold(second.client.read(0, found));
    second.close();
    expect(Buffer.compare(found, bytes)).toBe(0);
  });

  test("several that start at once have one mapper", async () => {
    const place = new MapperPlace();
    const env = { ...process.env, DAXKIT_MAPPER: place.mapper };
    const names = ["A", "B", "C"];
    const ends = names.map((name) => {
      const words = ["dmsetup", "create", `on${name}`, "--table", `0 8 linear ${name} 0`];
      const child = spawn(process.execPath, [MAIN, ...words], { env, cwd: place.folder });
      return new Promise((resolve) => {
        child.once("exit", resolve);
      });
    });
    expect(await Promise.all(ends)).toEqual([0, 0, 0]);
    const listed = place.ok("info", "-c", "--noheadings", "-o", "name");
    expect(listed.split("\n").map((line) => line.trim())).toEqual(["onA", "onB", "onC", ""]);
    // Who says nonsense is hung up on; the others do not notice.
    for (const nonsense of ["{}", '{"words":[1],"folder":"/"}', "null", "\0\xff["]) {
      const socket = connect({ path: place.mapper });
      const closed = new Promise((resolve) => {
        socket.once("close", resolve);
      });
      socket.resume();
      socket.write(`${nonsense}\n`);
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await closed;
    }
    expect(place.ok("ls")).toContain("onB");
    process.kill(place.pid, "SIGTERM");
    await expect.poll(() => place.left()).toEqual([]);
  });
});
