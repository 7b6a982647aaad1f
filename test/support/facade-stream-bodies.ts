/** What programs do with streams. */
import { once } from "node:events";
import type * as nodeFs from "node:fs";
import { text } from "node:stream/consumers";
import { finished, pipeline } from "node:stream/promises";
import { type FolderBody, later, tried } from "./facade-body.ts";

export const streamBodies: Readonly<Record<string, FolderBody>> = {
  "streams of a handle": async (fs, folder) => {
    const handle = await fs.promises.open(`${folder}/streamed`, "w+");
    const stream = handle.createWriteStream({ start: 2, flush: true });
    stream.write("one ");
    stream.end("two");
    await finished(stream);
    const again = await fs.promises.open(`${folder}/streamed`);
    const lines: string[] = [];
    for await (const line of again.readLines()) lines.push(line);
    return [stream.bytesWritten, handle.fd, lines, again.fd];
  },
  "write streams": async (fs, folder) => {
    const path = `${folder}/stream`;
    const note: unknown[] = [];
    const stream = fs.createWriteStream(path, { mode: 0o640, highWaterMark: 4 });
    for (const name of ["open", "ready", "finish", "close"]) {
      stream.on(name, (...args: unknown[]) => note.push([name, args.length]));
    }
    note.push([stream.pending, stream.path === path, stream.bytesWritten]);
    note.push(stream.write("first "), stream.write("second"));
    stream.cork();
    stream.write(" third");
    stream.write(Buffer.from(" fourth"));
    stream.uncork();
    stream.end(" last");
    await once(stream, "close");
    note.push(stream.bytesWritten, stream.closed, fs.readFileSync(path, "utf8"));
    return note;
  },
  "write streams with options": async (fs, folder) => {
    const path = `${folder}/stream`;
    const put = async (options: object | string, data: string): Promise<unknown> =>
      later(async () => {
        const stream = fs.createWriteStream(path, options as never);
        stream.end(data);
        await finished(stream);
        return [stream.bytesWritten, fs.readFileSync(path, "latin1")];
      });
    const fd = fs.openSync(path, "w");
    const came = [
      await put({ fd, autoClose: false }, "by descriptor"),
      tried(() => fs.closeSync(fd)),
      await put({ flags: "r+", start: 3 }, "XYZ"),
      await put({ flags: "a" }, "!"),
      await put("latin1", "ÄÖ"),
      await put({ encoding: "hex" }, "414243"),
      await put({ flags: "wx" }, "x"),
      await put({ flags: "r" }, "x"),
      await put({ flush: true }, "flushed"),
      await put({ emitClose: false }, "silent"),
      tried(() => fs.createWriteStream(path, { flush: 1 } as never)),
      tried(() => fs.createWriteStream(path, { start: "x" } as never)),
      tried(() => fs.createWriteStream(path, { start: -1 })),
      tried(() => fs.createWriteStream(path, { fd: "x" } as never)),
      tried(() => fs.createWriteStream(5 as never)),
      tried(() => fs.createWriteStream(path, 5 as never)),
      await later(() => finished(fs.createWriteStream(`${folder}/none/x`))),
      await later(() => finished(fs.createWriteStream(`${folder}/dir`))),
    ];
    return came;
  },
  "streams into streams": async (fs, folder) => {
    await pipeline(
      fs.createReadStream(`${folder}/dir/deep/big`, { highWaterMark: 1000 }),
      fs.createWriteStream(`${folder}/big-copy`),
    );
    const part = fs.createReadStream(`${folder}/big-copy`, { start: 5, end: 11 });
    return [fs.statSync(`${folder}/big-copy`).size, await text(part)];
  },
  "streams that are made with new, called, and subclassed": async (fs, folder) => {
    const path = `${folder}/made`;
    class Sub extends fs.WriteStream {}
    const made = [
      new (fs.WriteStream as never as new (path: string) => nodeFs.WriteStream)(path),
      (fs.WriteStream as never as (path: string) => nodeFs.WriteStream)(path),
      new (Sub as never as new (path: string) => nodeFs.WriteStream)(path),
    ];
    const came: unknown[] = [];
    for (const stream of made) {
      stream.end("by class");
      // oxlint-disable-next-line no-await-in-loop -- all write the same file
      await finished(stream);
      came.push(stream instanceof fs.WriteStream, fs.readFileSync(path, "utf8"));
    }
    return [came, made[2] instanceof Sub];
  },
};
