/** `daxkit prove --mount-fuse` of ordinary users, and beside what others mount and unmount. */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { probed } from "../judges/judge.ts";
import { MAIN, jsonLines } from "../support/daxkit.ts";
import { fuseMounts } from "../support/mounting.ts";

const USER = 65_534;
const IDS = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--"];
const mounts = fuseMounts();
const judge = mounts.missing
  ? mounts
  : probed(
      () => spawnSync("unshare", ["--mount", ...IDS, "true"]).status === 0,
      "run as root, with unshare and setpriv of util-linux",
    );

/** Lets everybody open the device, for who is started from here. */
const OPEN_DEVICE =
  'd=$(mktemp -d) && mknod -m 666 "$d/fuse" c 10 229 && mount --bind "$d/fuse" /dev/fuse && ' +
  'rm -r "$d" && exec "$@"';

const CHECK = `cd "$DAXKIT_MOUNT"
[ "$(id -u)" = "$WHO" ] || { echo "it is $(id -u)"; exit 1; }
grep -q "^CapEff:.*[1-9a-f]" /proc/self/status && { echo "it may more than its user"; exit 1; }
echo x >mine || exit 1
[ "$DAXKIT_ACKED" = 0 ] || grep -qx new f || { echo "f holds '$(cat f)'"; exit 1; }`;

interface Told {
  readonly kind: string;
  readonly missingCalls?: readonly { readonly what: string }[];
  readonly counterExample?: { readonly said: string };
}

describe.skipIf(judge.missing)(`commands on a mount${judge.hint}`, () => {
  let folder = "";
  let directory = "";
  /** A folder in which unshare(1) does nothing but fail. */
  let refusing = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "daxkit-users-"));
    chmodSync(folder, 0o755);
    directory = join(folder, "mount");
    mkdirSync(directory);
    chownSync(directory, USER, USER);
    refusing = join(folder, "bin");
    mkdirSync(refusing);
    writeFileSync(join(refusing, "unshare"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const words = (check: string, script: string): string[] => [
    process.execPath,
    MAIN,
    "prove",
    "--json",
    "--commits=asked",
    "--jobs=2",
    "--mount-fuse",
    directory,
    "--check",
    check,
    "--",
    "sh",
    "-c",
    script,
  ];
  const asUser = (script: string, opens: readonly string[], path: string) => {
    const home = ["env", `PATH=${path}`, `HOME=${tmpdir()}`, `WHO=${USER}`];
    const all = ["--mount", ...opens, ...IDS, ...home, ...words(CHECK, script)];
    return spawnSync("unshare", all, { encoding: "utf8", cwd: "/" });
  };
  const opens = ["sh", "-c", OPEN_DEVICE, "sh"];
  const path = process.env["PATH"] ?? "/usr/bin:/bin";

  test.each([
    ["in a user namespace, where that is granted", () => path],
    ["one at a time, where it is not", () => [refusing, path].join(delimiter)],
  ])("an ordinary user's, checked %s", (_, pathOf) => {
    const write = 'cd "$DAXKIT_MOUNT"; echo new >f; ';
    // What is missing is verified by checks that are content.
    const bad = asUser(`${write} echo ack`, opens, pathOf());
    const [lost] = jsonLines(bad.stdout) as unknown as Told[];
    expect([bad.status, lost?.missingCalls?.map(({ what }) => what)]).toEqual([1, ["file"]]);
    expect(lost?.counterExample?.said).toMatch(/f holds ''$/u);
  });

  test("without the device it is said what to do", () => {
    const { status, stderr } = asUser("echo ack", [], path);
    expect([status, stderr]).toEqual([2, expect.stringMatching(/EACCES.*chmod 666 \/dev\/fuse/u)]);
  });

  test("a mount that somebody unmounts meanwhile is let go of, though mounts are private", () => {
    const [other, started] = [join(folder, "other"), join(folder, "started")];
    mkdirSync(other);
    const held = `grep -q " ${other} " /proc/self/mountinfo`;
    const check = `i=0; echo >${started}
while ${held}; do
  [ $i -lt 300 ] || { echo "it is held"; exit 1; }
  i=$((i+1)); sleep 0.1
done
grep -qx new "$DAXKIT_MOUNT/f" || [ "$DAXKIT_ACKED" = 0 ]`;
    const unmount = `while ! [ -e ${started} ]; do sleep 0.05; done; umount ${other}`;
    const around = `mount -t tmpfs none ${other} && { { ${unmount}; } & exec "$@"; }`;
    const { status, stdout } = spawnSync(
      "unshare",
      [
        "--mount",
        "--propagation=private",
        "sh",
        "-c",
        around,
        "sh",
        ...words(check, 'cd "$DAXKIT_MOUNT"; echo new >f; sync f; echo ack'),
      ],
      { encoding: "utf8", cwd: "/" },
    );
    expect([status, stdout]).toEqual([0, expect.stringContaining('"Survived"')]);
  });
});
