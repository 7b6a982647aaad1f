/** What programs do with promises: iterables that are written, aborted calls, handles. */
import type { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { abc, type FolderBody, later, tried } from "./facade-body.ts";
import { outcome } from "./fs-outcome.ts";

async function* slowly(): AsyncGenerator<string> {
  yield "first ";
  await Promise.resolve();
  yield "second";
}

export const promiseBodies: Readonly<Record<string, FolderBody>> = {
  "writeFile of iterables": async (fs, folder) => {
    const { writeFile, appendFile } = fs.promises;
    const path = `${folder}/pieces`;
    const came = [
      await later(() => writeFile(path, slowly())),
      fs.readFileSync(path, "utf8"),
      await later(() => writeFile(path, ["a", "b", "c"])),
      await later(() => appendFile(path, Readable.from(["d", "e"]) as never)),
      fs.readFileSync(path, "utf8"),
      await later(() => writeFile(path, [Buffer.from("x"), new Uint8Array([65])])),
      await later(() => writeFile(path, ["ok", 5] as never)),
      fs.readFileSync(path, "utf8"),
      await later(() => writeFile(path, ["616263"], "hex")),
      await later(() => writeFile(path, slowly(), { flush: true, mode: 0o600 })),
      await later(() => writeFile(`${folder}/none/x`, slowly())),
      tried(() => fs.writeFileSync(path, ["a"] as never)),
    ];
    const controller = new AbortController();
    async function* aborting(): AsyncGenerator<string> {
      yield "before";
      controller.abort();
      yield "after";
    }
    const { signal } = controller;
    came.push(await later(() => writeFile(path, aborting(), { signal })));
    came.push(await later(() => writeFile(path, "x", { signal })), fs.readFileSync(path, "utf8"));
    return came;
  },
  "aborted callbacks": async (fs, folder) => {
    const signal = AbortSignal.abort();
    return [
      await outcome(fs, "callback", "writeFile", [`${folder}/new`, "x", { signal }]),
      await outcome(fs, "callback", "appendFile", [`${folder}/new`, "x", { signal }]),
      fs.existsSync(`${folder}/new`),
    ];
  },
  "promisified calls": async (fs, folder) => {
    const fd = fs.openSync(`${folder}/tiny`, "r+");
    const came = [
      await promisify(fs.write)(fd, "promised"),
      await promisify(fs.mkdir)(`${folder}/deep/er`, { recursive: true }),
      (await promisify(fs.mkdtemp)(`${folder}/dir/t-`)).length - folder.length,
      await later(() => promisify(fs.rename)(`${folder}/none`, `${folder}/x`)),
    ];
    for (const name of fs.readdirSync(`${folder}/dir`)) {
      if (name.startsWith("t-")) fs.rmdirSync(`${folder}/dir/${name}`);
    }
    fs.closeSync(fd);
    return [came[0], String(came[1]).slice(folder.length), ...came.slice(2)];
  },
  "a handle": async (fs, folder) => {
    const handle = await fs.promises.open(`${folder}/handled`, "w+", 0o644);
    const came = [
      await handle.write("text"),
      await handle.write(abc, 1),
      await handle.write(abc, { offset: 1, length: 1, position: 0 } as never),
      await handle.writev([abc, abc], 10),
      await handle.writev([]),
      await handle.write(Buffer.alloc(0)),
      await later(() => handle.write({} as never)),
      await later(() => handle.write(abc, 9)),
      await later(() => handle.writev([1] as never)),
      await handle.appendFile("appended"),
      await handle.datasync(),
      await handle.sync(),
      await handle.truncate(21),
      await handle.chmod(0o600),
      await handle.chown(3, 4),
      await handle.utimes(5, 6.5),
      await later(() => handle.utimes(NaN, 1)),
      await later(() => handle.truncate("x" as never)),
      (await handle.stat()).size,
      await handle.read({ buffer: Buffer.alloc(9), position: 0 }),
      await handle.writeFile("over"),
      await handle.readFile("utf8"),
      await later(() => fs.promises.writeFile(handle, "through promises")),
      await later(() => handle.writeFile(["a", "b"] as never)),
    ];
    await handle.close();
    const after = [await later(() => handle.write("x")), await later(() => handle.sync())];
    return [came, after, handle.fd, await handle.close()];
  },
  "a handle that is closed while it is written to": async (fs, folder) => {
    const path = `${folder}/closing`;
    const handle = await fs.promises.open(path, "w");
    const noted: unknown[] = [];
    (handle as unknown as EventEmitter).on("close", () => noted.push("told"));
    const writing = later(() => handle.writeFile(slowly() as never));
    const [first, second] = [handle.close(), handle.close()];
    noted.push(first === second, handle.fd === -1);
    noted.push(await writing, await first, handle.fd, await later(() => handle.sync()));
    return [noted, await handle.close(), fs.readFileSync(path, "utf8")];
  },
  "a handle that is for reading": async (fs, folder) => {
    const handle = await fs.promises.open(`${folder}/tiny`);
    const came = [
      await later(() => handle.write("x")),
      await later(() => handle.writeFile("x")),
      await later(() => handle.truncate(1)),
      await later(() => handle.appendFile("x")),
    ];
    await handle.close();
    return came;
  },
};
