/**
 * Ways by which a program reaches files without `node:fs`: they are noticed and told, since what
 * goes that way no volume in this process sees.
 *
 * @module
 */
import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
import { fileURLToPath } from "node:url";
import workerThreads, { type WorkerOptions } from "node:worker_threads";
import { watchAddons } from "../addons.ts";
import type { Bypass } from "./record.ts";

type Noticed = (bypass: Bypass, what: string) => void;
type Call = (...args: unknown[]) => unknown;

/** Characters that are shown of a program that is a text. */
const MOST_TEXT = 60;

/** Built-in modules that open files by themselves. */
const BUILTINS: Readonly<Record<string, string>> = {
  "NativeModule sqlite": "node:sqlite",
  "NativeModule wasi": "node:wasi",
  "NativeModule internal/ffi": "node:ffi",
};

/** What threads are started with, so that they are refused the volume and do not see another. */
export interface Refusal {
  /** The module that refuses, and what it is told in a variable of the environment. */
  readonly module: string;
  readonly variable: string;
}

/** Notices them from now on; returns what tells of those that are only seen at the end. */
export function watchBypasses(noticed: Noticed, refusal: Refusal): () => void {
  watchAddons((path) => noticed("addon", path));
  watchProcesses(noticed);
  watchBindings(noticed);
  watchThreads(noticed, refusal);
  syncBuiltinESMExports();
  return () => {
    const { moduleLoadList } = process as unknown as { moduleLoadList: readonly string[] };
    for (const [loaded, name] of Object.entries(BUILTINS)) {
      if (moduleLoadList.includes(loaded)) noticed("builtin", name);
    }
  };
}

function watchBindings(noticed: Noticed): void {
  const holder = process as unknown as { binding: Call };
  const { binding } = holder;
  holder.binding = (...args) => {
    if (args[0] === "fs") noticed("builtin", "process.binding('fs')");
    return Reflect.apply(binding, process, args);
  };
}

function watchThreads(noticed: Noticed, refusal: Refusal): void {
  // The class itself is kept: programs make subclasses of it.
  workerThreads.Worker = new Proxy(workerThreads.Worker, {
    construct(made, [file, options, ...rest]: readonly unknown[], like: new () => object) {
      const given = (options ?? {}) as WorkerOptions;
      const isText = given.eval === true;
      noticed("thread", isText ? `text ${JSON.stringify(shortened(String(file)))}` : String(file));
      const body = isText ? refusedIn(String(file), refusal) : file;
      const args = [body, refusedTo(given, refusal), ...rest];
      return Reflect.construct(made, args, like) as object;
    },
  });
}

/** The same options, without the ways in which they keep our module out. */
function refusedTo(given: WorkerOptions, { module, variable }: Refusal): WorkerOptions {
  const { env, execArgv } = given;
  const own = { [variable]: process.env[variable] };
  return {
    ...given,
    ...(typeof env === "object" && env !== null ? { env: { ...env, ...own } } : {}),
    ...(!Array.isArray(execArgv) ? {} : { execArgv: [...execArgv, "--import", module] }),
  };
}

/** Node loads nothing before a text: it loads our module itself, where `require` may do that. */
function refusedIn(text: string, { module }: Refusal): string {
  const features = process.features as { readonly require_module?: boolean };
  if (features.require_module !== true) return text;
  const path = JSON.stringify(fileURLToPath(module));
  const load = `process.getBuiltinModule("node:module").createRequire(${path})(${path});`;
  return /^\s*(?:"use strict"|'use strict')/u.test(text)
    ? `"use strict";${load}${text}`
    : load + text;
}

function shortened(text: string): string {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}...` : text;
}

/** All asynchronous ways to start a program end in one method. */
function watchProcesses(noticed: Noticed): void {
  const { prototype } = childProcess.ChildProcess as unknown as { prototype: { spawn: Call } };
  const { spawn } = prototype;
  prototype.spawn = function spawned(this: unknown, ...args: unknown[]) {
    const { args: words = [], file } = (args[0] ?? {}) as { args?: string[]; file?: string };
    noticed("process", [file, ...words.slice(1)].join(" "));
    return Reflect.apply(spawn, this, args);
  };
  const calls = childProcess as unknown as Record<string, Call>;
  for (const name of ["execFileSync", "execSync", "spawnSync"]) {
    const original = calls[name] as Call;
    calls[name] = (...args) => {
      const words = Array.isArray(args[1]) ? (args[1] as unknown[]) : [];
      noticed("process", [args[0], ...words].join(" "));
      return original(...args);
    };
  }
}
