/**
 * A descriptor that another process hands over: a pair of sockets, and what comes through it beside
 * the bytes (SCM_RIGHTS, unix(7)).
 *
 * @module
 */
import { addressOf, foreign, libc } from "../libc.unsafe.ts";
import { systemError } from "../system-error.ts";
import { fuseCalls } from "./fuse-calls.unsafe.ts";

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0o2000001;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_CMSG_CLOEXEC = 0x40000000;

/** `struct msghdr` of 64-bit Linux, and behind it an iovec, its byte, and a message of control. */
const LAYOUT = {
  pieces: 16,
  count: 24,
  control: 32,
  controlLength: 40,
  iovec: 64,
  byte: 80,
  cmsg: 96,
  bytes: 128,
} as const;
/** `struct cmsghdr` and one descriptor, padded. */
const CMSG_SPACE = 24;
const CMSG_LEN = 20;

/** Two connected sockets: one to be given away, one to receive by. */
export class DescriptorGate {
  readonly theirs: number;
  readonly #ours: number;

  /** @throws EMFILE, ENOTSUP where foreign calls cannot be made */
  constructor() {
    const pair = new Int32Array(2);
    const bytes = new Uint8Array(pair.buffer);
    const made = foreign("socketpair", "int", ["int", "int", "int", "void *"]);
    if (made(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, bytes) !== 0) {
      throw systemError(libc()?.errno() ?? 0, { syscall: "socketpair" });
    }
    [this.#ours, this.theirs] = pair as unknown as [number, number];
  }

  /** What has come, closed on exec; undefined where nothing did. */
  receive(): number | undefined {
    const memory = new DataView(new ArrayBuffer(LAYOUT.bytes));
    const at = addressOf(new Uint8Array(memory.buffer));
    const put = (offset: number, value: number) => memory.setBigUint64(offset, BigInt(value), true);
    put(LAYOUT.pieces, at + LAYOUT.iovec);
    put(LAYOUT.count, 1);
    put(LAYOUT.control, at + LAYOUT.cmsg);
    put(LAYOUT.controlLength, CMSG_SPACE);
    put(LAYOUT.iovec, at + LAYOUT.byte);
    put(LAYOUT.iovec + 8, 1);
    const recvmsg = foreign("recvmsg", "intptr_t", ["int", "uintptr_t", "int"]);
    if (recvmsg(this.#ours, at, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 1) return undefined;
    const { cmsg } = LAYOUT;
    const given =
      memory.getUint32(LAYOUT.controlLength, true) >= CMSG_LEN &&
      memory.getUint32(cmsg + 8, true) === SOL_SOCKET &&
      memory.getUint32(cmsg + 12, true) === SCM_RIGHTS;
    return given ? memory.getInt32(cmsg + 16, true) : undefined;
  }

  close(): void {
    fuseCalls().close(this.#ours);
    fuseCalls().close(this.theirs);
  }
}
