/** What programs do with descriptors: calls with many arguments, positions, ways to open. */
import { abc, type FolderBody, type Fs, tried } from "./facade-body.ts";
import { outcome } from "./fs-outcome.ts";

function onDescriptor(flags: string | number, body: (fs: Fs, fd: number) => unknown): FolderBody {
  return (fs, folder) => {
    const fd = fs.openSync(`${folder}/tiny`, flags);
    try {
      return [body(fs, fd), fs.readFileSync(`${folder}/tiny`, "utf8")];
    } finally {
      fs.closeSync(fd);
    }
  };
}

/** One call with many arguments, each outcome noted. */
function many(name: string, flags: string, lists: readonly (readonly unknown[])[]): FolderBody {
  return async (fs, folder) => {
    const came: unknown[] = [];
    for (const flavour of ["sync", "callback"] as const) {
      for (const list of lists) {
        const fd = fs.openSync(`${folder}/tiny`, flags);
        // oxlint-disable-next-line no-await-in-loop -- each starts from what the last one left
        came.push(await outcome(fs, flavour, name, [fd, ...list]));
        fs.closeSync(fd);
      }
    }
    return [came, fs.readFileSync(`${folder}/tiny`, "latin1")];
  };
}

const writes: readonly (readonly unknown[])[] = [
  ["text"],
  ["text", 3],
  ["text", 3, "latin1"],
  ["ab", 1, "hex"],
  ["abc", 1, "hex"],
  ["text", null, "nonsense"],
  [abc],
  [abc, 1],
  [abc, 1, 1],
  [abc, 1, 1, 9],
  [abc, 0, 3, null],
  [abc, null, null, 12],
  [abc, 9],
  [abc, 1, 9],
  [abc, 1, -1],
  [abc, 1.5],
  [abc, 0, 1.5],
  [abc, { offset: 1, length: 1, position: 4 }],
  [abc, { offset: 1 }],
  [abc, {}],
  [abc, 0, 3, -7],
  [abc, 0, 3, 2n],
  [Buffer.alloc(0)],
  [new Uint16Array([0x4142, 0x4344])],
  [new DataView(new ArrayBuffer(2))],
  [{}],
  [null],
  [undefined],
  [5],
];

const vectors: readonly (readonly unknown[])[] = [
  [[]],
  [[abc]],
  [[abc, Buffer.from("de"), new Uint16Array(1)]],
  [[abc, abc], 2],
  [[abc], null],
  [[abc], "x"],
  [[1]],
  [5],
  [null],
];

export const descriptorBodies: Readonly<Record<string, FolderBody>> = {
  "write, open for both": many("write", "r+", writes),
  "write, appending": many("write", "a", writes),
  "write, open for reading": many("write", "r", writes.slice(0, 8)),
  "writev, open for both": many("writev", "r+", vectors),
  "writev, appending": many("writev", "a", vectors),
  "writev, open for reading": many("writev", "r", vectors),
  ftruncate: many("ftruncate", "r+", [[], [2], [9], ["a"], [null], [1.5], [-3], [2 ** 60]]),
  "ftruncate, open for reading": many("ftruncate", "r", [[], [2]]),
  fchmod: many("fchmod", "r", [[0o640], ["604"], ["9"], [undefined], [-1], [1.5], [0o7777]]),
  fchown: many("fchown", "r", [
    [5, 6],
    [-1, 7],
    ["x", 1],
    [2 ** 33, 1],
    [-1, -1],
  ]),
  futimes: many("futimes", "r", [
    [5, 6],
    ["7", new Date(8000)],
    [NaN, 1],
    [1e9 + 0.5, 1],
  ]),
  fsync: many("fsync", "r+", [[]]),
  fdatasync: many("fdatasync", "r", [[]]),
  "positions are shared by reads and writes": onDescriptor("r+", (fs, fd) => {
    const bytes = Buffer.alloc(2);
    return [
      fs.readSync(fd, bytes),
      fs.writeSync(fd, "XY"),
      fs.readSync(fd, bytes),
      bytes.toString(),
      fs.writeSync(fd, "past the end", 20),
      fs.fstatSync(fd).size,
    ];
  }),
  "what is appended goes to the end, wherever it is told to": onDescriptor("a+", (fs, fd) => [
    fs.writeSync(fd, "one", 0),
    fs.writeSync(fd, abc, 0, 3, 1),
    fs.readSync(fd, Buffer.alloc(20), 0, 20, 0),
    fs.writeFileSync(fd, "two"),
    fs.appendFileSync(fd, "three"),
  ]),
  "reading what is open for writing": onDescriptor("w", (fs, fd) => [
    tried(() => fs.readSync(fd, Buffer.alloc(3))),
    tried(() => fs.readFileSync(fd)),
    fs.writeSync(fd, "now"),
  ]),
  "a file without a name is still a file": (fs, folder) => {
    const fd = fs.openSync(`${folder}/tiny`, "r+");
    fs.unlinkSync(`${folder}/tiny`);
    const came = [
      fs.writeSync(fd, "still", 2),
      fs.fstatSync(fd).nlink,
      fs.readFileSync(fd, "utf8"),
    ];
    fs.closeSync(fd);
    return [came, tried(() => fs.closeSync(fd)), tried(() => fs.writeSync(fd, "x"))];
  },
  "a file is replaced under its reader": (fs, folder) => {
    const fd = fs.openSync(`${folder}/tiny`, "r");
    fs.writeFileSync(`${folder}/other`, "other");
    fs.renameSync(`${folder}/other`, `${folder}/tiny`);
    const came = [fs.readFileSync(fd, "utf8"), fs.readFileSync(`${folder}/tiny`, "utf8")];
    fs.closeSync(fd);
    return came;
  },
  "open by numbers": (fs, folder) => {
    const { O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_DIRECTORY } = fs.constants;
    const { O_NOFOLLOW, O_SYNC, O_DSYNC, O_NOATIME } = fs.constants;
    const kinds = [O_WRONLY, O_RDWR, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_WRONLY | O_TRUNC].concat(
      [O_APPEND | O_WRONLY, O_DIRECTORY, O_DIRECTORY | O_RDWR, O_NOFOLLOW, O_RDWR | O_SYNC],
      [O_RDWR | O_DSYNC, O_NOATIME, O_CREAT | O_DIRECTORY, 0o10000000, 0o20200002],
    );
    const paths = ["tiny", "dir", "link", "dangling", "dir-link", "none/x", "tiny/", "dir/"];
    return kinds.flatMap((kind) =>
      paths.map((path) =>
        tried(() => {
          fs.closeSync(fs.openSync(`${folder}/${path}`, kind, 0o640));
          return "opened";
        }),
      ),
    );
  },
  "modes and the mask of the process": (fs, folder) => {
    const before = process.umask(0o027);
    try {
      fs.writeFileSync(`${folder}/masked`, "x");
      fs.mkdirSync(`${folder}/masked-dir`);
      fs.closeSync(fs.openSync(`${folder}/masked-open`, "w", 0o777));
      fs.mkdtempSync(`${folder}/temp-`).replace(/.{6}$/u, "");
    } finally {
      process.umask(before);
    }
    const temporary = fs.readdirSync(folder).find((name) => name.startsWith("temp-"));
    const { mode } = fs.statSync(`${folder}/${temporary}`);
    fs.rmdirSync(`${folder}/${temporary}`);
    return [temporary?.length, mode.toString(8)];
  },
  mkdtemp: async (fs, folder) => {
    const came: unknown[] = [];
    for (const prefix of [`${folder}/x`, `${folder}/none/x`, `${folder}/tiny/x`]) {
      for (const flavour of ["sync", "callback", "promise"] as const) {
        // oxlint-disable-next-line no-await-in-loop
        came.push(await outcome(fs, flavour, "mkdtemp", [prefix]));
        // oxlint-disable-next-line no-await-in-loop
        came.push(await outcome(fs, flavour, "mkdtemp", [prefix, "nonsense"]));
      }
    }
    for (const name of fs.readdirSync(folder)) {
      if (/^x.{6}$/u.test(name)) fs.rmdirSync(`${folder}/${name}`);
    }
    return JSON.stringify(came).replaceAll(/\/x\w{6}/gu, "/x");
  },
};
