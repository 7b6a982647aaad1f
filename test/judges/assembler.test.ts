/**
 * Every emitted routine against what an assembler makes of its source.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  arm64BusHandler,
  arm64Drain,
  arm64Flush,
  arm64LineInstructions,
  FAULT_TABLE,
  lineInstructions,
  x86BusHandler,
  x86Copy,
  x86Cpuid,
  x86Drain,
  x86Flush,
} from "../../src/node/instructions.ts";
import { COPY_PAGE, copyPage } from "../../src/node/nbd/copy-instructions.ts";
import { scratch } from "../support/scratch.ts";
import { programs } from "./judge.ts";

const x86 = programs(["as", "objcopy"], "apt-get install binutils");
const arm64 = programs(
  ["aarch64-linux-gnu-as", "aarch64-linux-gnu-objcopy"],
  "apt-get install binutils-aarch64-linux-gnu",
);
const ADDRESS = 0x7f1234567000;
const HEX = `0x${ADDRESS.toString(16)}`;

function assembled(prefix: string, flags: readonly string[], source: string): string {
  const path = scratch(undefined, "code.s");
  writeFileSync(path, `${source}\n`);
  const run = (program: string, ...args: string[]) => {
    const { status, stderr } = spawnSync(`${prefix}${program}`, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${program}: ${stderr}`);
  };
  run("as", ...flags, "-o", `${path}.o`, path);
  run("objcopy", "-O", "binary", "-j", ".text", `${path}.o`, `${path}.bin`);
  return readFileSync(`${path}.bin`).toString("hex");
}

const hex = (code: readonly number[]) => Buffer.from(code).toString("hex");
const intel = (body: string) => assembled("", ["--64"], `.intel_syntax noprefix\n${body}`);
const arm = (body: string) => assembled("aarch64-linux-gnu-", ["-march=armv8.2-a"], body);

const loop = (op: string, after: string) => `
  add rsi, rdi
  and rdi, -64
1: cmp rdi, rsi
  jae ${after}
  ${op} [rdi]
  add rdi, 64
  jmp 1b`;

for (const name of ["clwb", "clflushopt", "clflush"] as const) {
  test.skipIf(x86.missing)(`x86-64 ${name}: flush, drain and copy${x86.hint}`, () => {
    const instruction = lineInstructions[name];
    expect(hex(x86Flush(instruction))).toBe(intel(`${loop(name, "2f")}\n2: ret`));
    const drain = `
      movabs r8, ${HEX}
      cvttsd2si rcx, [r8]
    3: dec rcx
      js 4f
      add r8, 16
      cvttsd2si rdi, [r8]
      cvttsd2si rsi, [r8 + 8]
      ${loop(name, "3b")}
    4: sfence
      ret`;
    expect(hex(x86Drain(instruction, ADDRESS))).toBe(intel(drain));
    const copy = `
      mov rcx, rdi
      neg rcx
      and ecx, 63
      cmp rcx, rdx
      cmova rcx, rdx
      sub rdx, rcx
      test rcx, rcx
      jz 1f
      mov r8, rdi
      rep movsb
      ${name} [r8]
    1: mov rcx, rdx
      shr rcx, 6
      jz 3f
    2: movdqu xmm0, [rsi]
      movdqu xmm1, [rsi + 16]
      movdqu xmm2, [rsi + 32]
      movdqu xmm3, [rsi + 48]
      movntdq [rdi], xmm0
      movntdq [rdi + 16], xmm1
      movntdq [rdi + 32], xmm2
      movntdq [rdi + 48], xmm3
      add rsi, 64
      add rdi, 64
      dec rcx
      jnz 2b
    3: mov ecx, edx
      and ecx, 63
      jz 4f
      mov r8, rdi
      rep movsb
      ${name} [r8]
    4: ret`;
    expect(hex(x86Copy(instruction))).toBe(intel(copy));
  });
}

test.skipIf(x86.missing)(`x86-64: copies that survive faults${x86.hint}`, () => {
  const { flush, fault, handler } = COPY_PAGE;
  const page = `
  page: cmp rdx, 64
    jb 1f
    movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + 32], xmm2
    movups [rdi + 48], xmm3
    add rsi, 64
    add rdi, 64
    sub rdx, 64
    jmp page
  1: mov rcx, rdx
    rep movsb
    xor eax, eax
    ret
    .org ${flush}, 0xcc
    ${loop("clwb", "2f")}
  2: sfence
    xor eax, eax
    ret
    .org ${fault}, 0xcc
  fault: mov eax, 1
    ret
    .org ${handler}, 0xcc
    lea r8, [rip + page]
    mov rax, [rdx + 168]
    sub rax, r8
    cmp rax, 0x11223344
    jae 3f
    lea r8, [rip + fault]
    mov [rdx + 168], r8
    ret
  3: movabs rax, ${HEX}
    test rax, rax
    je 4f
    jmp rax
  4: sub rsp, 40
    xor eax, eax
    mov [rsp], rax
    mov [rsp + 8], rax
    mov [rsp + 16], rax
    mov [rsp + 24], rax
    mov edi, 7
    mov rsi, rsp
    xor edx, edx
    mov r10d, 8
    mov eax, 13
    syscall
    add rsp, 40
    ret`;
  // The assembler would take the short form of this comparison, whose length differs.
  const guarded = COPY_PAGE.guarded.toString(16).padStart(2, "0");
  const expected = intel(page).replace("44332211", `${guarded}000000`);
  expect(hex(copyPage("clwb", ADDRESS))).toBe(expected);
});

test.skipIf(x86.missing)(`x86-64: cpuid and the handler of faults${x86.hint}`, () => {
  const cpuid = `
    push rbx
    mov r8, rdx
    mov eax, edi
    mov ecx, esi
    cpuid
    mov [r8], eax
    mov [r8 + 4], ebx
    mov [r8 + 8], ecx
    mov [r8 + 12], edx
    pop rbx
    ret`;
  expect(hex(x86Cpuid())).toBe(intel(cpuid));
  const handler = `
    movabs r8, ${HEX}
    cmp dword ptr [rsi + 8], 0
    jle 5f
    mov rax, [rsi + 16]
    mov rcx, [r8 + ${FAULT_TABLE.slots}]
    lea r9, [r8 + ${FAULT_TABLE.firstSlot}]
  1: dec rcx
    js 5f
    cmp rax, [r9]
    jb 2f
    cmp rax, [r9 + 8]
    jb 3f
  2: add r9, ${FAULT_TABLE.slotBytes}
    jmp 1b
  3: mov r11d, 1
    lock xadd [r8], r11
    and r11d, ${FAULT_TABLE.logCount - 1}
    mov [r8 + r11 * 8 + ${FAULT_TABLE.log}], rax
    mov rsi, [r9 + 16]
    mov rdi, rsi
    neg rdi
    and rdi, rax
    mov edx, 3
    mov r10d, 0x4032
    mov r8, -1
    xor r9d, r9d
    mov eax, 9
    syscall
    cmp rax, rdi
    jne 6f
    ret
  5: mov rax, [r8 + ${FAULT_TABLE.previous}]
    test rax, rax
    jz 6f
    jmp rax
  6: movabs rsi, ${HEX} + ${FAULT_TABLE.defaultAction}
    mov edi, 7
    xor edx, edx
    mov r10d, 8
    mov eax, 13
    syscall
    mov eax, 39
    syscall
    mov edi, eax
    mov esi, 7
    mov eax, 62
    syscall
    ret`;
  expect(hex(x86BusHandler(ADDRESS))).toBe(intel(handler));
});

const constant = (x: number) =>
  [0, 1, 2, 3]
    .map((i) => {
      const part = Math.floor(ADDRESS / 2 ** (16 * i)) % 65536;
      return i === 0 ? `movz x${x}, #${part}` : `movk x${x}, #${part}, lsl #${16 * i}`;
    })
    .join("\n");
const lineSize = `
  mrs x2, ctr_el0
  ubfx x2, x2, #16, #4
  mov x3, #4
  lsl x3, x3, x2
  sub x4, x3, #1`;
const arm64Loop = (op: string, after: string) => `
  add x1, x1, x0
  bic x0, x0, x4
1: cmp x0, x1
  b.hs ${after}
  ${op}, x0
  add x0, x0, x3
  b 1b`;

for (const name of ["dc cvap", "dc cvac"] as const) {
  test.skipIf(arm64.missing)(`arm64 ${name}: flush and drain${arm64.hint}`, () => {
    const instruction = arm64LineInstructions[name];
    const flush = `${lineSize}\n${arm64Loop(name, "2f")}\n2: ret`;
    expect(hex(arm64Flush(instruction))).toBe(arm(flush));
    const drain = `
      ${constant(8)}
      ${lineSize}
      ldr d0, [x8]
      fcvtzu x5, d0
    3: subs x5, x5, #1
      b.mi 4f
      ldr d0, [x8, #16]!
      fcvtzu x0, d0
      ldr d1, [x8, #8]
      fcvtzu x1, d1
      ${arm64Loop(name, "3b")}
    4: dsb sy
      ret`;
    expect(hex(arm64Drain(instruction, ADDRESS))).toBe(arm(drain));
  });
}

test.skipIf(arm64.missing)(`arm64: the handler of faults${arm64.hint}`, () => {
  const handler = `
    ${constant(4)}
    ldr w3, [x1, #8]
    cmp w3, #0
    b.le 5f
    ldr x3, [x1, #16]
    ldr x5, [x4, #${FAULT_TABLE.slots}]
    add x6, x4, #${FAULT_TABLE.firstSlot}
  1: subs x5, x5, #1
    b.mi 5f
    ldr x7, [x6]
    cmp x3, x7
    b.lo 2f
    ldr x7, [x6, #8]
    cmp x3, x7
    b.lo 3f
  2: add x6, x6, #${FAULT_TABLE.slotBytes}
    b 1b
  3: ldaxr x10, [x4]
    add x11, x10, #1
    stlxr w12, x11, [x4]
    cbnz w12, 3b
    and x10, x10, #${FAULT_TABLE.logCount - 1}
    mov x11, #${FAULT_TABLE.log % 65536}
    movk x11, #${Math.floor(FAULT_TABLE.log / 65536)}, lsl #16
    add x11, x11, x4
    str x3, [x11, x10, lsl #3]
    ldr x1, [x6, #16]
    neg x0, x1
    and x0, x0, x3
    mov x13, x0
    mov x14, x4
    mov x2, #3
    mov x3, #0x4032
    mov x4, #-1
    mov x5, #0
    mov x8, #222
    svc #0
    mov x4, x14
    cmp x0, x13
    b.ne 6f
    ret
  5: ldr x9, [x4, #${FAULT_TABLE.previous}]
    cbz x9, 6f
    br x9
  6: add x1, x4, #${FAULT_TABLE.defaultAction}
    mov x0, #7
    mov x2, #0
    mov x3, #8
    mov x8, #134
    svc #0
    mov x8, #172
    svc #0
    mov x1, #7
    mov x8, #129
    svc #0
    ret`;
  expect(hex(arm64BusHandler(ADDRESS))).toBe(arm(handler));
});
