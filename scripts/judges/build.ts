/**
 * tar, make and cc: thousands of small sources are unpacked and built, twice.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Figures, type Judge, type Place, folderIn } from "./judge.ts";
import { Failure, must } from "./processes.ts";

const PER_FOLDER = 50;

function folderOf(file: number): string {
  return `part${Math.floor(file / PER_FOLDER)}`;
}

/** Writes a project in C: each file has a function, and `main` adds up what they give. */
function makeProject(folder: string, files: number): void {
  for (let file = 0; file < files; file++) {
    const place = join(folder, folderOf(file));
    if (file % PER_FOLDER === 0) mkdirSync(place);
    writeFileSync(join(place, `f${file}.h`), `int f${file}(int);\n`);
    const include = `#include "../all.h"\n#include "f${file}.h"\n`;
    const body = `int f${file}(int x) { return x + STEP; }\n`;
    writeFileSync(join(place, `f${file}.c`), include + body);
  }
  const all = Array.from({ length: files }, (_, file) => file);
  const include = all.map((file) => `#include "${folderOf(file)}/f${file}.h"\n`).join("");
  const sum = all.map((file) => `x = f${file}(x);\n`).join("");
  const main = `int main(void) { int x = 0;\n${sum}printf("%d\\n", x); }\n`;
  writeFileSync(join(folder, "main.c"), `#include <stdio.h>\n${include}${main}`);
  writeFileSync(join(folder, "all.h"), "#define STEP 1\n");
  writeFileSync(join(folder, "Makefile"), makefileOf(files));
}

function makefileOf(files: number): string {
  const folders = Array.from({ length: Math.ceil(files / PER_FOLDER) }, (_, i) => `part${i}`);
  return [
    `SOURCES := main.c $(wildcard ${folders.map((name) => `${name}/*.c`).join(" ")})`,
    "OBJECTS := $(SOURCES:.c=.o)",
    "DEPS := $(OBJECTS:.o=.d)",
    "program: lib.a",
    "\t$(CC) -o $@ main.o lib.a",
    "lib.a: $(OBJECTS)",
    "\trm -f $@; ar rcs $@ $(filter-out main.o,$^)",
    "%.o: %.c",
    "\t$(CC) -O0 -MMD -c -o $@ $<",
    "-include $(DEPS)",
    "clean:",
    "\trm -f program lib.a $(OBJECTS) $(DEPS)",
    ".PHONY: clean",
    "",
  ].join("\n");
}

/** Builds and runs the program, which must say `expected`; gives the seconds. */
async function make(folder: string, expected: number): Promise<number> {
  const { seconds } = await must("make", ["-s", "-j2"], { cwd: folder });
  const { output } = await must("./program", [], { cwd: folder });
  if (output !== `${expected}\n`) throw new Failure(`the program says ${output}, not ${expected}`);
  const again = await must("make", ["-j2"], { cwd: folder });
  // Times that the filesystem did not keep would have it built again.
  if (/ -c -o /u.test(again.output))
    throw new Failure(`built again:\n${again.output.slice(0, 500)}`);
  return Number(seconds.toFixed(1));
}

async function build({ folder, scratch, number, say }: Place): Promise<Figures> {
  const files = number("files", 60, 2000);
  const source = folderIn(scratch, "project");
  makeProject(source, files);
  const archive = join(scratch, "project.tar");
  await must("tar", ["-C", scratch, "-cf", archive, "project"]);
  const untar = await must("tar", ["-C", folder, "-xf", archive]);
  await must("diff", ["-r", source, join(folder, "project")]);
  const project = join(folder, "project");
  const seconds = await make(project, files);
  say(`${files * 2} files unpacked in ${untar.seconds.toFixed(1)} s, built in ${seconds} s`);
  // Newer than what was built, however coarse the clock of the filesystem is.
  await must("sleep", ["1.1"]);
  writeFileSync(join(project, "all.h"), "#define STEP 2\n");
  await make(project, files * 2);
  await must("make", ["-s", "clean"], { cwd: project });
  await must("diff", ["-r", "-x", "all.h", source, project]);
  return { files: files * 2, untarSeconds: Number(untar.seconds.toFixed(2)), makeSeconds: seconds };
}

export const BUILD: Judge = {
  name: "build",
  summary: "untar and make of thousands of C sources, and again after a change",
  mib: { small: 128, full: 1024 },
  programs: ["tar", "make", "cc", "ar", "diff"],
  run: build,
};
