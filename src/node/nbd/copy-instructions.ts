/**
 * Machine code that touches memory which may vanish: a copy and a write-back of cache lines whose
 * faults are answers, and the SIGBUS handler that makes them so. x86-64, System V; free of
 * absolute addresses but for one.
 *
 * The handler knows the routines by where they lie, as a kernel's exception table does: a fault
 * inside goes on at `fault`, which returns 1. Nothing is mapped over the page that is gone, so the
 * next call finds it gone as well.
 *
 * @module
 */
import { assemble, immediate64, lineInstructions, x86Flush } from "../instructions.ts";

/** Where each routine starts on the page. The first `guarded` bytes are those that may fault. */
export const COPY_PAGE = { copy: 0, flush: 128, guarded: 192, fault: 192, handler: 208 } as const;

const RETURN_0 = [0x31, 0xc0, 0xc3]; // xor eax, eax; ret
/** `ucontext_t.uc_mcontext.gregs[REG_RIP]`. */
const SAVED_RIP = 168;

/** `int copy(to, from, length)`: 0, or 1 when a page of either was gone; then part is copied. */
function copyRoutine(): number[] {
  return assemble([
    { label: "lines" },
    [0x48, 0x83, 0xfa, 0x40], // cmp rdx, 64
    { jump: 0x72, to: "rest" }, // jb
    [0x0f, 0x10, 0x06], // movups xmm0, [rsi]
    [0x0f, 0x10, 0x4e, 0x10],
    [0x0f, 0x10, 0x56, 0x20],
    [0x0f, 0x10, 0x5e, 0x30],
    [0x0f, 0x11, 0x07], // movups [rdi], xmm0
    [0x0f, 0x11, 0x4f, 0x10],
    [0x0f, 0x11, 0x57, 0x20],
    [0x0f, 0x11, 0x5f, 0x30],
    [0x48, 0x83, 0xc6, 0x40], // add rsi, 64
    [0x48, 0x83, 0xc7, 0x40], // add rdi, 64
    [0x48, 0x83, 0xea, 0x40], // sub rdx, 64
    { jump: 0xeb, to: "lines" },
    { label: "rest" },
    [0x48, 0x89, 0xd1], // mov rcx, rdx
    [0xf3, 0xa4], // rep movsb
    RETURN_0,
  ]);
}

/** `int flush(start, length)`: writes the lines back and fences; 1 when a page was gone. */
function flushRoutine(line: keyof typeof lineInstructions): number[] {
  return [...x86Flush(lineInstructions[line]).slice(0, -1), 0x0f, 0xae, 0xf8, ...RETURN_0];
}

/** `void handler(signal, information, context)`; what is not ours goes to `previous`, if not 0. */
function handlerRoutine(previous: number): number[] {
  const relative = (after: number, to: number) => {
    const bytes = new DataView(new ArrayBuffer(4));
    bytes.setInt32(0, to - (COPY_PAGE.handler + after), true);
    return [0, 1, 2, 3].map((i) => bytes.getUint8(i));
  };
  return assemble([
    [0x4c, 0x8d, 0x05, ...relative(7, 0)], // lea r8, [rip + page]
    [0x48, 0x8b, 0x82, SAVED_RIP, 0, 0, 0], // mov rax, [rdx + SAVED_RIP]
    [0x4c, 0x29, 0xc0], // sub rax, r8
    [0x48, 0x3d, COPY_PAGE.guarded, 0, 0, 0], // cmp rax, guarded
    { jump: 0x73, to: "other" }, // jae
    [0x4c, 0x8d, 0x05, ...relative(32, COPY_PAGE.fault)], // lea r8, [rip + fault]
    [0x4c, 0x89, 0x82, SAVED_RIP, 0, 0, 0], // mov [rdx + SAVED_RIP], r8
    [0xc3],
    { label: "other" },
    [0x48, 0xb8, ...immediate64(previous)], // mov rax, previous
    [0x48, 0x85, 0xc0], // test rax, rax
    { jump: 0x74, to: "default" }, // je
    [0xff, 0xe0], // jmp rax
    { label: "default" },
    // rt_sigaction(SIGBUS, {0}, 0, 8): the access is made again, and ends the process.
    [0x48, 0x83, 0xec, 0x28], // sub rsp, 40
    [0x31, 0xc0, 0x48, 0x89, 0x04, 0x24, 0x48, 0x89, 0x44, 0x24, 0x08],
    [0x48, 0x89, 0x44, 0x24, 0x10, 0x48, 0x89, 0x44, 0x24, 0x18],
    [0xbf, 0x07, 0x00, 0x00, 0x00, 0x48, 0x89, 0xe6, 0x31, 0xd2], // mov edi, 7; mov rsi, rsp
    [0x41, 0xba, 0x08, 0x00, 0x00, 0x00], // mov r10d, 8
    [0xb8, 0x0d, 0x00, 0x00, 0x00, 0x0f, 0x05], // mov eax, 13; syscall
    [0x48, 0x83, 0xc4, 0x28, 0xc3], // add rsp, 40; ret
  ]);
}

/** The whole page, for `emit`. `previous` is the SIGBUS handler so far, 0 for the default. */
export function copyPage(line: keyof typeof lineInstructions, previous: number): number[] {
  const page: number[] = [];
  const place = (at: number, code: readonly number[]) => {
    while (page.length < at) page.push(0xcc); // int3
    page.push(...code);
  };
  place(COPY_PAGE.copy, copyRoutine());
  place(COPY_PAGE.flush, flushRoutine(line));
  place(COPY_PAGE.fault, [0xb8, 0x01, 0x00, 0x00, 0x00, 0xc3]); // mov eax, 1; ret
  place(COPY_PAGE.handler, handlerRoutine(previous));
  return page;
}
