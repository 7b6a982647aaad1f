/**
 * The info block of fsdax and devdax: written from a plan, and read with libnvdimm's checks in its
 * order (`nd_pfn_validate`), since the code of the refusal says what may be done next: ENODEV is
 * "nothing of this kind here", EOPNOTSUPP is "something is here; leave it alone".
 *
 * @module
 */
import {
  DAX_SIG,
  PFN_INFO_RESERVE,
  PFN_MODE_PMEM,
  PFN_MODE_RAM,
  PFN_SIG,
  PFN_VERSION,
  PfnSuperblock,
} from "../format/pfn.ts";
import { DaxError } from "../lib/errno.ts";
import { fletcher64 } from "../lib/fletcher64.ts";
import { decodeUtf8, encodeUtf8 } from "../lib/utf8.ts";
import { NIL_UUID, formatUuid, parseUuid } from "../lib/uuid.ts";
import { DESCRIBED_PAGE, PAGE_DESCRIPTOR, PFN_ALIGNS, type PageMapPlan } from "./pfn-layout.ts";

const BLOCK = 4096;
const SUBSECTION = 2 << 20;
const CHECKSUM_AT = BLOCK - 8;

/** Who the block belongs to. */
export interface PfnIdentity {
  readonly uuid: string;
  /** Of the namespace; none where that has no label. */
  readonly parent?: string;
  /** `fsdax` unless given. */
  readonly personality?: "fsdax" | "devdax";
}

/** What a valid block says; sizes in bytes. */
export interface PfnInfo {
  readonly personality: "fsdax" | "devdax";
  readonly uuid: string;
  readonly map: "mem" | "dev";
  readonly align: number;
  readonly startPad: number;
  readonly endTrunc: number;
  /** From the start of the namespace and `startPad`. */
  readonly dataOffset: number;
  /** Pages that fit, however many the block claims. */
  readonly npfns: number;
  /** Pages that the block claims beyond those that fit: Linux notes it and goes on. */
  readonly truncated: number;
}

/** The namespace that a block is read for. */
export interface PfnNamespace {
  readonly size: number;
  /** Physical address. */
  readonly base: number;
  readonly uuid?: string;
}

/** The 4096 bytes for a plan with descriptors. @throws EINVAL for a plan without, or a bad uuid */
export function encodePfnSuperblock(
  plan: PageMapPlan,
  { uuid, parent = NIL_UUID, personality = "fsdax" }: PfnIdentity,
): Uint8Array<ArrayBuffer> {
  if (plan.map === "none") {
    throw new DaxError("EINVAL", { detail: "a namespace without descriptors has no info block" });
  }
  const bytes = new Uint8Array(BLOCK);
  const view = new DataView(bytes.buffer);
  const sb = PfnSuperblock;
  sb.signature.set(view, 0, encodeUtf8(personality === "fsdax" ? PFN_SIG : DAX_SIG));
  sb.uuid.set(view, 0, parseUuid(uuid));
  sb.parentUuid.set(view, 0, parseUuid(parent));
  sb.versionMajor.set(view, 0, PFN_VERSION.major);
  sb.versionMinor.set(view, 0, PFN_VERSION.minor);
  sb.dataOffset.set(view, 0, plan.dataOffset);
  sb.npfns.set(view, 0, plan.npfns);
  sb.mode.set(view, 0, plan.map === "mem" ? PFN_MODE_RAM : PFN_MODE_PMEM);
  sb.endTrunc.set(view, 0, plan.endTrunc);
  sb.align.set(view, 0, plan.align);
  sb.pageSize.set(view, 0, DESCRIBED_PAGE);
  sb.pageStructSize.set(view, 0, PAGE_DESCRIPTOR);
  sb.checksum.set(view, 0, fletcher64(bytes));
  return bytes;
}

/**
 * Reads a block.
 * @throws ENODEV where there is none for this namespace, ENXIO for a mode that is not known,
 *   EOPNOTSUPP for geometry and sizes that cannot be served
 */
export function decodePfnSuperblock(bytes: Uint8Array, namespace: PfnNamespace): PfnInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, BLOCK);
  const personality = checkIdentity(bytes, view, namespace);
  const fields = fieldsOf(view);
  const { mode, pageSize, structSize, align } = fields;
  if (mode !== PFN_MODE_RAM && mode !== PFN_MODE_PMEM) {
    throw refused("ENXIO", `mode ${mode}; 1 is memory, 2 the device`);
  }
  if (mode === PFN_MODE_PMEM && pageSize > DESCRIBED_PAGE) {
    throw refused("EOPNOTSUPP", `pages of ${pageSize} bytes; this system has ${DESCRIBED_PAGE}`);
  }
  if (mode === PFN_MODE_PMEM && structSize < PAGE_DESCRIPTOR) {
    throw refused(
      "EOPNOTSUPP",
      `room for descriptors of ${structSize} bytes; they have ${PAGE_DESCRIPTOR}`,
    );
  }
  if (personality === "devdax" && !PFN_ALIGNS.includes(align)) {
    throw refused("EOPNOTSUPP", `an alignment of ${align} bytes`);
  }
  checkGeometry(fields, namespace);
  const room = namespace.size - fields.startPad - fields.endTrunc - fields.dataOffset;
  const fits = Math.floor(room / DESCRIBED_PAGE);
  const { npfns: claimed, startPad, endTrunc, dataOffset } = fields;
  return {
    personality,
    uuid: formatUuid(PfnSuperblock.uuid.get(view, 0)),
    map: mode === PFN_MODE_RAM ? "mem" : "dev",
    align,
    startPad,
    endTrunc,
    dataOffset,
    npfns: Math.min(claimed, fits),
    truncated: Math.max(0, claimed - fits),
  };
}

function checkIdentity(
  bytes: Uint8Array,
  view: DataView,
  { uuid = NIL_UUID }: PfnNamespace,
): "fsdax" | "devdax" {
  const signature = decodeUtf8(bytes.subarray(0, 16));
  if (signature !== PFN_SIG && signature !== DAX_SIG) {
    throw refused("ENODEV", "no signature of fsdax or devdax");
  }
  const sealed = bytes.slice(0, BLOCK);
  sealed.fill(0, CHECKSUM_AT);
  const sum = fletcher64(sealed);
  const found = PfnSuperblock.checksum.get(view, 0);
  if (sum !== found) {
    const [is, should] = [found.toString(16), sum.toString(16)];
    throw refused("ENODEV", `checksum ${is}, and its bytes give ${should}`);
  }
  const parent = formatUuid(PfnSuperblock.parentUuid.get(view, 0));
  if (parent !== uuid.toLowerCase()) {
    throw refused("ENODEV", `it belongs to namespace ${parent}, this is ${uuid}`);
  }
  return signature === PFN_SIG ? "fsdax" : "devdax";
}

interface Fields {
  readonly mode: number;
  readonly startPad: number;
  readonly endTrunc: number;
  readonly align: number;
  readonly pageSize: number;
  readonly structSize: number;
  readonly dataOffset: number;
  readonly npfns: number;
}

/** What older blocks do not say has the value that it had then. */
function fieldsOf(view: DataView): Fields {
  const sb = PfnSuperblock;
  const minor = sb.versionMinor.get(view, 0);
  const dataOffset = sb.dataOffset.get(view, 0);
  const derived = dataOffset > 0 ? 2 ** Math.floor(Math.log2(dataOffset)) : 0;
  return {
    mode: sb.mode.get(view, 0),
    startPad: minor < 1 ? 0 : sb.startPad.get(view, 0),
    endTrunc: minor < 1 ? 0 : sb.endTrunc.get(view, 0),
    align: minor < 2 || sb.align.get(view, 0) === 0 ? derived : sb.align.get(view, 0),
    pageSize: minor < 4 ? DESCRIBED_PAGE : sb.pageSize.get(view, 0),
    structSize: minor < 4 ? PAGE_DESCRIPTOR : sb.pageStructSize.get(view, 0),
    dataOffset,
    npfns: sb.npfns.get(view, 0),
  };
}

function checkGeometry(fields: Fields, { size, base }: PfnNamespace): void {
  const { align, dataOffset, startPad, endTrunc } = fields;
  if (align > size) unusable(`an alignment of ${align} bytes for a namespace of ${size}`);
  if (dataOffset >= size) unusable(`data at ${dataOffset} of a namespace of ${size} bytes`);
  if (dataOffset < PFN_INFO_RESERVE || dataOffset % DESCRIBED_PAGE !== 0) {
    unusable(`data at byte ${dataOffset}, over the block itself or within a page`);
  }
  if ((base + dataOffset + startPad) % align !== 0) {
    unusable(`data at address ${base + dataOffset + startPad}, no multiple of ${align}`);
  }
  if ((base + startPad) % SUBSECTION !== 0) {
    unusable(`it starts at ${base + startPad}, no multiple of 2 MiB`);
  }
  if ((base + size - endTrunc) % SUBSECTION !== 0) {
    unusable(`it ends at ${base + size - endTrunc}, no multiple of 2 MiB`);
  }
  if (dataOffset >= size - startPad - endTrunc) {
    unusable(`nothing is left behind byte ${dataOffset}`);
  }
}

function unusable(detail: string): never {
  throw refused("EOPNOTSUPP", detail);
}

function refused(code: "ENODEV" | "ENXIO" | "EOPNOTSUPP", detail: string): DaxError {
  return new DaxError(code, { syscall: "pfn", detail });
}
