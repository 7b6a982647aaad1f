/** What programs do with trees: copies, names that are no text, directories that change. */
import { type FolderBody, later, tried } from "./facade-body.ts";
import { outcome } from "./fs-outcome.ts";

const filter = async (from: string): Promise<boolean> => !from.endsWith("page");

export const treeBodies: Readonly<Record<string, FolderBody>> = {
  "cp with filters that answer later": async (fs, folder) => {
    const [from, to] = [`${folder}/dir`, `${folder}/filtered`];
    return [
      await later(() => fs.promises.cp(from, to, { recursive: true, filter })),
      tried(() => fs.cpSync(from, `${to}-2`, { recursive: true, filter: filter as never })),
      await outcome(fs, "callback", "cp", [from, `${to}-3`, { recursive: true, filter }]),
    ];
  },
  "names that are no text": (fs, folder) => {
    const odd = (...bytes: number[]): Buffer =>
      Buffer.concat([Buffer.from(`${folder}/odd-`), Buffer.from(bytes)]);
    const seen = (): string[] =>
      fs
        .readdirSync(folder, "buffer")
        .map((name) => name.toString("hex"))
        .toSorted();
    fs.mkdirSync(odd(0xff));
    fs.writeFileSync(Buffer.concat([odd(0xff), Buffer.from([0x2f, 0xfe])]), "inside");
    fs.renameSync(odd(0xff), odd(0xc3, 0x28));
    fs.linkSync(Buffer.concat([odd(0xc3, 0x28), Buffer.from([0x2f, 0xfe])]), odd(0xfd));
    fs.symlinkSync(Buffer.from([0xff, 0xfe]), odd(0xfc));
    fs.copyFileSync(odd(0xfd), odd(0xfb));
    const target = fs.readlinkSync(odd(0xfc), "buffer").toString("hex");
    const before = seen();
    const failed = tried(() => fs.rmdirSync(odd(0xc3, 0x28)));
    fs.rmSync(odd(0xc3, 0x28), { recursive: true });
    for (const byte of [0xfd, 0xfc, 0xfb]) fs.unlinkSync(odd(byte));
    return [before, target, failed, seen()];
  },
  "paths as URLs": async (fs, folder) => {
    const at = (name: string): URL => new URL(`file://${folder}/${name}`);
    fs.mkdirSync(at("by%20url/deep"), { recursive: true });
    await fs.promises.writeFile(at("by%20url/file"), "x");
    await fs.promises.cp(at("by%20url"), at("copied"), { recursive: true });
    fs.renameSync(at("copied/file"), at("copied/other"));
    await fs.promises.rm(at("by%20url"), { recursive: true });
    return [
      fs.readdirSync(at("copied")).toSorted(),
      tried(() => fs.mkdirSync(new URL("http://x/y"))),
      tried(() => fs.unlinkSync(at("a%00b"))),
    ];
  },
  "what a removed directory still answers": (fs, folder) => {
    const directory = fs.opendirSync(`${folder}/empty-dir`);
    fs.rmdirSync(`${folder}/empty-dir`);
    const came = directory.readSync();
    directory.closeSync();
    return came;
  },
  "a directory that grows and shrinks": (fs, folder) => {
    const path = `${folder}/many`;
    fs.mkdirSync(path);
    for (let i = 0; i < 500; i++) fs.writeFileSync(`${path}/file-${i}`, String(i));
    for (let i = 0; i < 500; i += 3) fs.unlinkSync(`${path}/file-${i}`);
    const left = fs.readdirSync(path).length;
    fs.rmSync(path, { recursive: true });
    return [left, fs.existsSync(path)];
  },
};
