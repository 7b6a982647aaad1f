/**
 * Machine code for what JavaScript cannot say: cache-line write-back, non-temporal copies and a
 * signal handler. Pure functions from operands to bytes; `*.unsafe.ts` makes them executable.
 *
 * Calling conventions: System V on x86-64, AAPCS64 on arm64. Only registers that a callee may
 * change are touched. Encodings are those of the Intel SDM and the Arm ARM; tests compare them
 * with an assembler's, where one is installed.
 *
 * @module
 */

/** One part of a routine: bytes, a label, or a short jump to a label. */
type Part =
  | readonly number[]
  | { readonly label: string }
  | { readonly jump: number; readonly to: string };

const JB = 0x72;
const JAE = 0x73;
const JE = 0x74;
const JNE = 0x75;
const JS = 0x78;
const JLE = 0x7e;
const JMP = 0xeb;

/** Joins parts, with short jumps resolved. */
export function assemble(parts: readonly Part[]): number[] {
  const labels = new Map<string, number>();
  let at = 0;
  for (const part of parts) {
    if ("label" in part) labels.set(part.label, at);
    else at += "jump" in part ? 2 : part.length;
  }
  const code: number[] = [];
  for (const part of parts) {
    if ("label" in part) continue;
    if ("jump" in part) {
      const distance = labels.get(part.to)! - (code.length + 2);
      code.push(part.jump, distance & 0xff);
    } else code.push(...part);
  }
  return code;
}

/** Eight bytes, little-endian, of an address below 2^53. */
export function immediate64(value: number): number[] {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setBigUint64(0, BigInt(value), true);
  return Array.from({ length: 8 }, (_, i) => bytes.getUint8(i));
}

/** An x86-64 instruction that writes a cache line back, with `[rdi]` and with `[r8]`. */
export interface LineInstruction {
  readonly atRdi: readonly number[];
  readonly atR8: readonly number[];
}

/** Best first: clwb keeps the line cached, clflushopt runs in parallel, clflush always exists. */
export const lineInstructions = {
  clwb: { atRdi: [0x66, 0x0f, 0xae, 0x37], atR8: [0x66, 0x41, 0x0f, 0xae, 0x30] },
  clflushopt: { atRdi: [0x66, 0x0f, 0xae, 0x3f], atR8: [0x66, 0x41, 0x0f, 0xae, 0x38] },
  clflush: { atRdi: [0x0f, 0xae, 0x3f], atR8: [0x41, 0x0f, 0xae, 0x38] },
} as const satisfies Record<string, LineInstruction>;

const SFENCE = [0x0f, 0xae, 0xf8];
const RET = [0xc3];

/** rdi = start, rsi = length; visits each line touched, then falls to label `after`. */
function lineLoop(instruction: LineInstruction, after: string): Part[] {
  return [
    [0x48, 0x01, 0xfe], // add rsi, rdi
    [0x48, 0x83, 0xe7, 0xc0], // and rdi, -64
    { label: "line" },
    [0x48, 0x39, 0xf7], // cmp rdi, rsi
    { jump: JAE, to: after },
    instruction.atRdi,
    [0x48, 0x83, 0xc7, 0x40], // add rdi, 64
    { jump: JMP, to: "line" },
  ];
}

/** `void flush(start, length)`: writes back every line touched, without a fence. Length above 0. */
export function x86Flush(instruction: LineInstruction): number[] {
  return assemble([...lineLoop(instruction, "done"), { label: "done" }, RET]);
}

/**
 * `void drain(void)`: writes back every line of the ranges in `block`, then fences. The block holds
 * doubles, which JavaScript stores in one instruction: a count, eight bytes unused, then a start
 * and a length for each range.
 */
export function x86Drain(instruction: LineInstruction, block: number): number[] {
  return assemble([
    [0x49, 0xb8, ...immediate64(block)], // mov r8, block
    [0xf2, 0x49, 0x0f, 0x2c, 0x08], // cvttsd2si rcx, [r8]
    { label: "range" },
    [0x48, 0xff, 0xc9], // dec rcx
    { jump: JS, to: "done" },
    [0x49, 0x83, 0xc0, 0x10], // add r8, 16
    [0xf2, 0x49, 0x0f, 0x2c, 0x38], // cvttsd2si rdi, [r8]
    [0xf2, 0x49, 0x0f, 0x2c, 0x70, 0x08], // cvttsd2si rsi, [r8 + 8]
    ...lineLoop(instruction, "range"),
    { label: "done" },
    SFENCE,
    RET,
  ]);
}

/**
 * `void copy(target, source, length)`: non-temporal stores for the whole lines of the target; the
 * ragged edges, each inside one line, are stored through the cache and written back. Durable after
 * the next fence.
 */
export function x86Copy(instruction: LineInstruction): number[] {
  const edge = [
    [0x49, 0x89, 0xf8], // mov r8, rdi
    [0xf3, 0xa4], // rep movsb
    instruction.atR8,
  ];
  return assemble([
    [0x48, 0x89, 0xf9], // mov rcx, rdi
    [0x48, 0xf7, 0xd9], // neg rcx
    [0x83, 0xe1, 0x3f], // and ecx, 63: bytes to the next line
    [0x48, 0x39, 0xd1], // cmp rcx, rdx
    [0x48, 0x0f, 0x47, 0xca], // cmova rcx, rdx
    [0x48, 0x29, 0xca], // sub rdx, rcx
    [0x48, 0x85, 0xc9], // test rcx, rcx
    { jump: JE, to: "body" },
    ...edge,
    { label: "body" },
    [0x48, 0x89, 0xd1], // mov rcx, rdx
    [0x48, 0xc1, 0xe9, 0x06], // shr rcx, 6
    { jump: JE, to: "tail" },
    { label: "line" },
    [0xf3, 0x0f, 0x6f, 0x06], // movdqu xmm0, [rsi]
    [0xf3, 0x0f, 0x6f, 0x4e, 0x10], // movdqu xmm1, [rsi + 16]
    [0xf3, 0x0f, 0x6f, 0x56, 0x20], // movdqu xmm2, [rsi + 32]
    [0xf3, 0x0f, 0x6f, 0x5e, 0x30], // movdqu xmm3, [rsi + 48]
    [0x66, 0x0f, 0xe7, 0x07], // movntdq [rdi], xmm0
    [0x66, 0x0f, 0xe7, 0x4f, 0x10], // movntdq [rdi + 16], xmm1
    [0x66, 0x0f, 0xe7, 0x57, 0x20], // movntdq [rdi + 32], xmm2
    [0x66, 0x0f, 0xe7, 0x5f, 0x30], // movntdq [rdi + 48], xmm3
    [0x48, 0x83, 0xc6, 0x40], // add rsi, 64
    [0x48, 0x83, 0xc7, 0x40], // add rdi, 64
    [0x48, 0xff, 0xc9], // dec rcx
    { jump: JNE, to: "line" },
    { label: "tail" },
    [0x89, 0xd1], // mov ecx, edx
    [0x83, 0xe1, 0x3f], // and ecx, 63
    { jump: JE, to: "done" },
    ...edge,
    { label: "done" },
    RET,
  ]);
}

/** `void cpuid(leaf, subleaf, uint32 out[4])`: eax, ebx, ecx, edx. */
export function x86Cpuid(): number[] {
  return assemble([
    [0x53, 0x49, 0x89, 0xd0, 0x89, 0xf8, 0x89, 0xf1], // push rbx; r8 = out; eax, ecx = leaves
    [0x0f, 0xa2, 0x41, 0x89, 0x00, 0x41, 0x89, 0x58, 0x04], // cpuid; out[0], out[1]
    [0x41, 0x89, 0x48, 0x08, 0x41, 0x89, 0x50, 0x0c, 0x5b, 0xc3], // out[2], out[3]; pop; ret
  ]);
}

/**
 * Where the signal handler and JavaScript meet. Offsets into one block of memory; words of 8 bytes.
 */
export const FAULT_TABLE = {
  /** Faults answered so far. */
  hits: 0,
  /** Slots to look at. */
  slots: 8,
  /** The handler that was there before, 0 for none. */
  previous: 16,
  /** 32 zero bytes: the kernel's sigaction of SIG_DFL. */
  defaultAction: 24,
  /** Slots of 32 bytes: start, end (past the last byte), bytes to map at once, unused. */
  firstSlot: 64,
  slotBytes: 32,
  slotCount: 4096,
  /** The addresses of the last faults, by number of the fault. */
  log: 64 + 32 * 4096,
  logCount: 4096,
  bytes: 64 + 32 * 4096 + 8 * 4096,
} as const;

const SIGBUS = 7;

/**
 * A SIGBUS handler (SA_SIGINFO): a fault inside a slot of the table is logged, a private zero page
 * is mapped over it, and the access goes on. Anything else goes to the previous handler, or dies as
 * it would have. Makes raw system calls only, so it is safe wherever a signal may strike.
 */
export function x86BusHandler(table: number): number[] {
  return assemble([
    [0x49, 0xb8, ...immediate64(table)], // mov r8, table
    [0x83, 0x7e, 0x08, 0x00], // cmp [rsi + si_code], 0: sent by a process?
    { jump: JLE, to: "miss" },
    [0x48, 0x8b, 0x46, 0x10], // mov rax, [rsi + si_addr]
    [0x49, 0x8b, 0x48, FAULT_TABLE.slots], // mov rcx, [r8 + slots]
    [0x4d, 0x8d, 0x48, FAULT_TABLE.firstSlot], // lea r9, [r8 + firstSlot]
    { label: "scan" },
    [0x48, 0xff, 0xc9], // dec rcx
    { jump: JS, to: "miss" },
    [0x49, 0x3b, 0x01], // cmp rax, [r9]
    { jump: JB, to: "next" },
    [0x49, 0x3b, 0x41, 0x08], // cmp rax, [r9 + 8]
    { jump: JB, to: "hit" },
    { label: "next" },
    [0x49, 0x83, 0xc1, FAULT_TABLE.slotBytes], // add r9, slotBytes
    { jump: JMP, to: "scan" },
    { label: "hit" },
    [0x41, 0xbb, 0x01, 0x00, 0x00, 0x00], // mov r11d, 1
    [0xf0, 0x4d, 0x0f, 0xc1, 0x18], // lock xadd [r8 + hits], r11
    [0x41, 0x81, 0xe3, 0xff, 0x0f, 0x00, 0x00], // and r11d, logCount - 1
    // mov [r8 + r11 * 8 + log], rax
    [0x4b, 0x89, 0x84, 0xd8, ...immediate64(FAULT_TABLE.log).slice(0, 4)],
    [0x49, 0x8b, 0x71, 0x10], // mov rsi, [r9 + 16]: length
    [0x48, 0x89, 0xf7, 0x48, 0xf7, 0xdf, 0x48, 0x21, 0xc7], // rdi = -rsi & rax
    [0xba, 0x03, 0x00, 0x00, 0x00], // mov edx, PROT_READ | PROT_WRITE
    [0x41, 0xba, 0x32, 0x40, 0x00, 0x00], // mov r10d, PRIVATE | FIXED | ANONYMOUS | NORESERVE
    [0x49, 0xc7, 0xc0, 0xff, 0xff, 0xff, 0xff], // mov r8, -1
    [0x45, 0x31, 0xc9], // xor r9d, r9d
    [0xb8, 0x09, 0x00, 0x00, 0x00, 0x0f, 0x05], // mmap
    [0x48, 0x39, 0xf8], // cmp rax, rdi
    { jump: JNE, to: "default" },
    RET,
    { label: "miss" },
    [0x49, 0x8b, 0x40, FAULT_TABLE.previous], // mov rax, [r8 + previous]
    [0x48, 0x85, 0xc0], // test rax, rax
    { jump: JE, to: "default" },
    [0xff, 0xe0], // jmp rax
    { label: "default" },
    [0x48, 0xbe, ...immediate64(table + FAULT_TABLE.defaultAction)], // mov rsi, defaultAction
    [0xbf, SIGBUS, 0x00, 0x00, 0x00, 0x31, 0xd2], // mov edi, SIGBUS; xor edx, edx
    [0x41, 0xba, 0x08, 0x00, 0x00, 0x00], // mov r10d, 8
    [0xb8, 0x0d, 0x00, 0x00, 0x00, 0x0f, 0x05], // rt_sigaction
    [0xb8, 0x27, 0x00, 0x00, 0x00, 0x0f, 0x05], // getpid
    [0x89, 0xc7, 0xbe, SIGBUS, 0x00, 0x00, 0x00], // mov edi, eax; mov esi, SIGBUS
    [0xb8, 0x3e, 0x00, 0x00, 0x00, 0x0f, 0x05], // kill
    RET,
  ]);
}

/** Arm64 words as bytes. */
function words(...lists: readonly (readonly number[])[]): number[] {
  return lists
    .flat()
    .flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24]);
}

/** movz and three movk: the constant `value` in register `x`. */
function arm64Constant(x: number, value: number): number[] {
  const parts = [0, 1, 2, 3].map((i) => Math.floor(value / 2 ** (16 * i)) % 65536);
  const opcodes = [0xd2800000, 0xf2a00000, 0xf2c00000, 0xf2e00000];
  return parts.map((part, i) => (opcodes[i]! | (part << 5) | x) >>> 0);
}

/** Arm64 instructions on the line at x0: to the point of coherency, of persistence. */
export const arm64LineInstructions = { "dc cvap": 0xd50b7c20, "dc cvac": 0xd50b7a20 } as const;

// x3 = bytes in a line, from CTR_EL0.DminLine; x4 = x3 - 1.
const ARM64_LINE_SIZE = [0xd53b0022, 0xd3504c42, 0xd2800083, 0x9ac22063, 0xd1000464];
const ARM64_RET = 0xd65f03c0;

/** As {@link x86Flush}. */
export function arm64Flush(instruction: number): number[] {
  return words(
    ARM64_LINE_SIZE,
    [0x8b000021, 0x8a240000], // x1 += x0; x0 &= ~x4
    [0xeb01001f, 0x54000082, instruction, 0x8b030000, 0x17fffffc], // the loop
    [ARM64_RET],
  );
}

/** As {@link x86Drain}. */
export function arm64Drain(instruction: number, block: number): number[] {
  return words(
    arm64Constant(8, block),
    ARM64_LINE_SIZE,
    [0xfd400100, 0x9e790005], // x5 = count
    [0xf10004a5, 0x54000184], // subs x5, x5, 1; b.mi to the barrier
    [0xfc410d00, 0x9e790000, 0xfd400501, 0x9e790021], // x0 = start, x1 = length, x8 += 16
    [0x8b000021, 0x8a240000], // x1 += x0; x0 &= ~x4
    [0xeb01001f, 0x54fffee2, instruction, 0x8b030000, 0x17fffffc], // the loop
    [0xd5033f9f, ARM64_RET], // dsb sy
  );
}

/** As {@link x86BusHandler}. */
export function arm64BusHandler(table: number): number[] {
  return words(
    arm64Constant(4, table),
    [0xb9400823, 0x7100007f, 0x540004cd], // si_code <= 0: miss
    [0xf9400823, 0xf9400485, 0x91010086], // x3 = si_addr, x5 = slots, x6 = first slot
    [0xf10004a5, 0x54000424], // none left: miss
    [0xf94000c7, 0xeb07007f, 0x54000083], // before its start: next
    [0xf94004c7, 0xeb07007f, 0x54000063], // before its end: hit
    [0x910080c6, 0x17fffff7], // next
    [0xc85ffc8a, 0x9100054b, 0xc80cfc8b, 0x35ffffac], // x10 = hits++
    [0x92402d4a, 0xd280080b, 0xf2a0004b, 0x8b04016b, 0xf82a7963], // log it
    [0xf94008c1, 0xcb0103e0, 0x8a030000, 0xaa0003ed, 0xaa0403ee], // x0 = x13 = base
    [0xd2800062, 0xd2880643, 0x92800004, 0xd2800005, 0xd2801bc8, 0xd4000001], // mmap
    [0xaa0e03e4, 0xeb0d001f, 0x540000a1, ARM64_RET], // another address: default
    [0xf9400889, 0xb4000049, 0xd61f0120], // miss: the previous handler
    [0x91006081, 0xd28000e0, 0xd2800002, 0xd2800103, 0xd28010c8, 0xd4000001], // default
    [0xd2801588, 0xd4000001], // getpid
    [0xd28000e1, 0xd2801028, 0xd4000001], // kill
    [ARM64_RET],
  );
}
