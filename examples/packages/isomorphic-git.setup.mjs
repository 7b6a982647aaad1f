// A repository with one commit, durable.
import fs from "node:fs";
import git from "isomorphic-git";

const dir = "/data/repository";
const author = { name: "A", email: "a@example.org", timestamp: 1e9, timezoneOffset: 0 };
fs.mkdirSync(dir);
await git.init({ fs, dir, defaultBranch: "main" });
fs.writeFileSync(`${dir}/file`, "first\n");
await git.add({ fs, dir, filepath: "file" });
await git.commit({ fs, dir, message: "first", author });
