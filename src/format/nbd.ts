/**
 * NBD: what goes over the wire, from the specification's `proto.md` and its extended-headers
 * branch. Big-endian throughout. Names are the specification's.
 *
 * A cookie is eight opaque bytes, read here as two words and given back as they came.
 *
 * @module
 */
import { struct } from "../lib/struct.ts";

/** The port that IANA gave to NBD. */
export const NBD_DEFAULT_PORT = 10809;

/** "NBDMAGIC", the high word. */
export const NBD_MAGIC_HI = 0x4e42444d;
/** "NBDMAGIC", the low word. */
export const NBD_MAGIC_LO = 0x41474943;
/** "IHAVEOPT", the high word. */
export const NBD_OPTS_MAGIC_HI = 0x49484156;
/** "IHAVEOPT", the low word. */
export const NBD_OPTS_MAGIC_LO = 0x454f5054;
/** Opens every reply to an option: the high word. */
export const NBD_REP_MAGIC_HI = 0x0003e889;
/** Opens every reply to an option: the low word. */
export const NBD_REP_MAGIC_LO = 0x045565a9;
/** Opens the oldstyle handshake after "NBDMAGIC": the high word. */
export const NBD_OLDSTYLE_MAGIC_HI = 0x00004202;
/** Opens the oldstyle handshake after "NBDMAGIC": the low word. */
export const NBD_OLDSTYLE_MAGIC_LO = 0x81861253;
/** Opens a request of 28 bytes. */
export const NBD_REQUEST_MAGIC = 0x25609513;
/** Opens a simple reply. */
export const NBD_SIMPLE_REPLY_MAGIC = 0x67446698;
/** Opens a chunk of a structured reply. */
export const NBD_STRUCTURED_REPLY_MAGIC = 0x668e33ef;
/** Opens a request of 32 bytes. */
export const NBD_EXTENDED_REQUEST_MAGIC = 0x21e41c71;
/** Opens a chunk of a reply to such a request. */
export const NBD_EXTENDED_REPLY_MAGIC = 0x6e8a278c;

/** Handshake flag: the server speaks the fixed newstyle. */
export const NBD_FLAG_FIXED_NEWSTYLE = 1;
/** Handshake flag: the 124 zeros after EXPORT_NAME can be left out. */
export const NBD_FLAG_NO_ZEROES = 2;
/** Client flag: the answer to NBD_FLAG_FIXED_NEWSTYLE. */
export const NBD_FLAG_C_FIXED_NEWSTYLE = 1;
/** Client flag: the answer to NBD_FLAG_NO_ZEROES. */
export const NBD_FLAG_C_NO_ZEROES = 2;

/** Transmission flag: the others mean something. */
export const NBD_FLAG_HAS_FLAGS = 0x1;
/** Transmission flag. */
export const NBD_FLAG_READ_ONLY = 0x2;
/** Transmission flag: NBD_CMD_FLUSH is known. */
export const NBD_FLAG_SEND_FLUSH = 0x4;
/** Transmission flag: NBD_CMD_FLAG_FUA is known. */
export const NBD_FLAG_SEND_FUA = 0x8;
/** Transmission flag: a client should reckon with seeks. */
export const NBD_FLAG_ROTATIONAL = 0x10;
/** Transmission flag: NBD_CMD_TRIM is known. */
export const NBD_FLAG_SEND_TRIM = 0x20;
/** Transmission flag: NBD_CMD_WRITE_ZEROES is known. */
export const NBD_FLAG_SEND_WRITE_ZEROES = 0x40;
/** Transmission flag: NBD_CMD_FLAG_DF is known; with structured replies only. */
export const NBD_FLAG_SEND_DF = 0x80;
/** Transmission flag: a flush on one connection covers the writes of all. */
export const NBD_FLAG_CAN_MULTI_CONN = 0x100;
/** Transmission flag: NBD_CMD_RESIZE is known (an extension). */
export const NBD_FLAG_SEND_RESIZE = 0x200;
/** Transmission flag: NBD_CMD_CACHE is known. */
export const NBD_FLAG_SEND_CACHE = 0x400;
/** Transmission flag: NBD_CMD_FLAG_FAST_ZERO is known. */
export const NBD_FLAG_SEND_FAST_ZERO = 0x800;
/** Transmission flag: NBD_CMD_BLOCK_STATUS takes a payload (extended headers). */
export const NBD_FLAG_BLOCK_STATUS_PAYLOAD = 0x1000;

/** Option: take this export and begin; fails by closing the connection. */
export const NBD_OPT_EXPORT_NAME = 1;
/** Option: the client leaves. */
export const NBD_OPT_ABORT = 2;
/** Option: which exports there are. */
export const NBD_OPT_LIST = 3;
/** Option, withdrawn. */
export const NBD_OPT_PEEK_EXPORT = 4;
/** Option: go on with TLS. */
export const NBD_OPT_STARTTLS = 5;
/** Option: what this export is like. */
export const NBD_OPT_INFO = 6;
/** Option: take this export and begin. */
export const NBD_OPT_GO = 7;
/** Option: replies in chunks. */
export const NBD_OPT_STRUCTURED_REPLY = 8;
/** Option: which metadata contexts there are. */
export const NBD_OPT_LIST_META_CONTEXT = 9;
/** Option: which metadata contexts NBD_CMD_BLOCK_STATUS is to tell. */
export const NBD_OPT_SET_META_CONTEXT = 10;
/** Option: lengths of 64 bits (an extension). */
export const NBD_OPT_EXTENDED_HEADERS = 11;

/** Option reply: done. */
export const NBD_REP_ACK = 1;
/** Option reply: an export. */
export const NBD_REP_SERVER = 2;
/** Option reply: something about an export. */
export const NBD_REP_INFO = 3;
/** Option reply: a metadata context. */
export const NBD_REP_META_CONTEXT = 4;
/** Option reply: set in all that are errors; text follows. */
export const NBD_REP_FLAG_ERROR = 0x80000000;
/** Option reply: not known. */
export const NBD_REP_ERR_UNSUP = 0x80000001;
/** Option reply: forbidden here. */
export const NBD_REP_ERR_POLICY = 0x80000002;
/** Option reply: malformed, or out of turn. */
export const NBD_REP_ERR_INVALID = 0x80000003;
/** Option reply: not known on this platform. */
export const NBD_REP_ERR_PLATFORM = 0x80000004;
/** Option reply: after STARTTLS only. */
export const NBD_REP_ERR_TLS_REQD = 0x80000005;
/** Option reply: no such export. */
export const NBD_REP_ERR_UNKNOWN = 0x80000006;
/** Option reply: the server is about to end. */
export const NBD_REP_ERR_SHUTDOWN = 0x80000007;
/** Option reply: the client must first ask for NBD_INFO_BLOCK_SIZE. */
export const NBD_REP_ERR_BLOCK_SIZE_REQD = 0x80000008;
/** Option reply: the request is too large to be looked at. */
export const NBD_REP_ERR_TOO_BIG = 0x80000009;
/** Option reply: the client must first ask for extended headers. */
export const NBD_REP_ERR_EXT_HEADER_REQD = 0x8000000a;

/** Information: size and transmission flags. */
export const NBD_INFO_EXPORT = 0;
/** Information: the export's own name. */
export const NBD_INFO_NAME = 1;
/** Information: text for people. */
export const NBD_INFO_DESCRIPTION = 2;
/** Information: what requests must be multiples of. */
export const NBD_INFO_BLOCK_SIZE = 3;

/** Command. */
export const NBD_CMD_READ = 0;
/** Command; its payload follows it. */
export const NBD_CMD_WRITE = 1;
/** Command: the client leaves; it has no reply. */
export const NBD_CMD_DISC = 2;
/** Command: what was answered is to be durable. */
export const NBD_CMD_FLUSH = 3;
/** Command: the range is not needed. */
export const NBD_CMD_TRIM = 4;
/** Command: the range will be read soon. */
export const NBD_CMD_CACHE = 5;
/** Command. */
export const NBD_CMD_WRITE_ZEROES = 6;
/** Command: what the contexts agreed on say of the range. */
export const NBD_CMD_BLOCK_STATUS = 7;
/** Command (an extension). */
export const NBD_CMD_RESIZE = 8;

/** Command flag: durable before it is answered. */
export const NBD_CMD_FLAG_FUA = 0x1;
/** Command flag: zeroes must keep their space. */
export const NBD_CMD_FLAG_NO_HOLE = 0x2;
/** Command flag: a read is answered in one chunk of data. */
export const NBD_CMD_FLAG_DF = 0x4;
/** Command flag: one extent for each context. */
export const NBD_CMD_FLAG_REQ_ONE = 0x8;
/** Command flag: zeroes are quicker than a write, or fail. */
export const NBD_CMD_FLAG_FAST_ZERO = 0x10;
/** Command flag: the length is that of a payload (extended headers). */
export const NBD_CMD_FLAG_PAYLOAD_LEN = 0x20;

/** Chunk flag: the last of its reply. */
export const NBD_REPLY_FLAG_DONE = 1;
/** Chunk: nothing more. */
export const NBD_REPLY_TYPE_NONE = 0;
/** Chunk: offset and bytes. */
export const NBD_REPLY_TYPE_OFFSET_DATA = 1;
/** Chunk: offset and a number of zeros. */
export const NBD_REPLY_TYPE_OFFSET_HOLE = 2;
/** Chunk: extents of one context, lengths of 32 bits. */
export const NBD_REPLY_TYPE_BLOCK_STATUS = 5;
/** Chunk: extents of one context, lengths of 64 bits. */
export const NBD_REPLY_TYPE_BLOCK_STATUS_EXT = 6;
/** Chunk: the command failed. */
export const NBD_REPLY_TYPE_ERROR = 0x8001;
/** Chunk: the command failed at an offset. */
export const NBD_REPLY_TYPE_ERROR_OFFSET = 0x8002;

/** `base:allocation`: nothing is allocated. */
export const NBD_STATE_HOLE = 1;
/** `base:allocation`: reads as zeros. */
export const NBD_STATE_ZERO = 2;
/** A dirty bitmap, as other servers have them and `daxkit:dirty` is one: the range was written. */
export const NBD_STATE_DIRTY = 1;

/** Error on the wire. */
export const NBD_EPERM = 1;
/** Error on the wire. */
export const NBD_EIO = 5;
/** Error on the wire. */
export const NBD_ENOMEM = 12;
/** Error on the wire. */
export const NBD_EINVAL = 22;
/** Error on the wire. */
export const NBD_ENOSPC = 28;
/** Error on the wire. */
export const NBD_EOVERFLOW = 75;
/** Error on the wire. */
export const NBD_ENOTSUP = 95;
/** Error on the wire. */
export const NBD_ESHUTDOWN = 108;

/** Bytes of a string on the wire, at most. */
export const NBD_MAX_STRING = 4096;
/** Zeros after the answer to EXPORT_NAME where NO_ZEROES was not agreed on. */
export const NBD_EXPORT_NAME_ZEROES = 124;
/** Extents in one chunk, at most. */
export const NBD_MAX_EXTENTS = 2 ** 20;

/** What a newstyle server says first. */
export const NbdServerHello = /* @__PURE__ */ struct("nbd_server_hello", 18, (at) => ({
  magicHi: at.be32(),
  magicLo: at.be32(),
  optsMagicHi: at.be32(),
  optsMagicLo: at.be32(),
  handshakeFlags: at.be16(),
}));

/** What the client says first. */
export const NbdClientFlags = /* @__PURE__ */ struct("nbd_client_flags", 4, (at) => ({
  flags: at.be32(),
}));

/** An option; `length` bytes of data follow. */
export const NbdOption = /* @__PURE__ */ struct("nbd_opt", 16, (at) => ({
  magicHi: at.be32(),
  magicLo: at.be32(),
  option: at.be32(),
  length: at.be32(),
}));

/** A reply to an option; `length` bytes of data follow. */
export const NbdOptionReply = /* @__PURE__ */ struct("nbd_opt_reply", 20, (at) => ({
  magicHi: at.be32(),
  magicLo: at.be32(),
  option: at.be32(),
  type: at.be32(),
  length: at.be32(),
}));

/** The answer to EXPORT_NAME, which is no option reply; 124 zeros may follow. */
export const NbdExportNameReply = /* @__PURE__ */ struct("nbd_export_name_reply", 10, (at) => ({
  /** Bytes of the export. */
  size: at.be64(),
  transmissionFlags: at.be16(),
}));

/** NBD_REP_INFO with NBD_INFO_EXPORT. */
export const NbdInfoExport = /* @__PURE__ */ struct("nbd_info_export", 12, (at) => ({
  type: at.be16(),
  /** Bytes of the export. */
  size: at.be64(),
  transmissionFlags: at.be16(),
}));

/** NBD_REP_INFO with NBD_INFO_BLOCK_SIZE; sizes in bytes. */
export const NbdInfoBlockSize = /* @__PURE__ */ struct("nbd_info_block_size", 14, (at) => ({
  type: at.be16(),
  minimum: at.be32(),
  preferred: at.be32(),
  maximumPayload: at.be32(),
}));

/** A request; the payload of a write follows. */
export const NbdRequest = /* @__PURE__ */ struct("nbd_request", 28, (at) => ({
  magic: at.be32(),
  flags: at.be16(),
  type: at.be16(),
  cookieHi: at.be32(),
  cookieLo: at.be32(),
  /** Bytes. */
  offset: at.be64(),
  /** Bytes. */
  length: at.be32(),
}));

/** A request once extended headers are agreed on. */
export const NbdExtendedRequest = /* @__PURE__ */ struct("nbd_extended_request", 32, (at) => ({
  magic: at.be32(),
  flags: at.be16(),
  type: at.be16(),
  cookieHi: at.be32(),
  cookieLo: at.be32(),
  /** Bytes. */
  offset: at.be64(),
  /** Bytes: of the payload with NBD_CMD_FLAG_PAYLOAD_LEN, of the effect without. */
  length: at.be64(),
}));

/** A simple reply; the data of a successful read follows. */
export const NbdSimpleReply = /* @__PURE__ */ struct("nbd_simple_reply", 16, (at) => ({
  magic: at.be32(),
  error: at.be32(),
  cookieHi: at.be32(),
  cookieLo: at.be32(),
}));

/** A chunk of a structured reply; `length` bytes follow. */
export const NbdStructuredReply = /* @__PURE__ */ struct("nbd_structured_reply", 20, (at) => ({
  magic: at.be32(),
  flags: at.be16(),
  type: at.be16(),
  cookieHi: at.be32(),
  cookieLo: at.be32(),
  length: at.be32(),
}));

/** A chunk of a reply to an extended request; `length` bytes follow. */
export const NbdExtendedReply = /* @__PURE__ */ struct("nbd_extended_reply", 32, (at) => ({
  magic: at.be32(),
  flags: at.be16(),
  type: at.be16(),
  cookieHi: at.be32(),
  cookieLo: at.be32(),
  /** Of the request. */
  offset: at.be64(),
  length: at.be64(),
}));

/** Opens the payload of NBD_REPLY_TYPE_OFFSET_DATA. */
export const NbdOffsetData = /* @__PURE__ */ struct("nbd_offset_data", 8, (at) => ({
  offset: at.be64(),
}));

/** The payload of NBD_REPLY_TYPE_OFFSET_HOLE. */
export const NbdOffsetHole = /* @__PURE__ */ struct("nbd_offset_hole", 12, (at) => ({
  offset: at.be64(),
  length: at.be32(),
}));

/** Opens the payload of NBD_REPLY_TYPE_ERROR; `messageLength` bytes of UTF-8 follow. */
export const NbdError = /* @__PURE__ */ struct("nbd_error", 6, (at) => ({
  error: at.be32(),
  messageLength: at.be16(),
}));

/** An extent in NBD_REPLY_TYPE_BLOCK_STATUS, after the id of its context. */
export const NbdBlockDescriptor = /* @__PURE__ */ struct("nbd_block_descriptor", 8, (at) => ({
  length: at.be32(),
  statusFlags: at.be32(),
}));

/** Opens the payload of NBD_REPLY_TYPE_BLOCK_STATUS_EXT. */
export const NbdBlockStatusExt = /* @__PURE__ */ struct("nbd_block_status_ext", 8, (at) => ({
  contextId: at.be32(),
  count: at.be32(),
}));

/** An extent in NBD_REPLY_TYPE_BLOCK_STATUS_EXT. */
export const NbdBlockDescriptorExt = /* @__PURE__ */ struct(
  "nbd_block_descriptor_ext",
  16,
  (at) => ({
    length: at.be64(),
    statusHi: at.be32(),
    statusLo: at.be32(),
  }),
);

/** The payload of an extended NBD_CMD_BLOCK_STATUS; ids of 4 bytes follow. */
export const NbdBlockStatusPayload = /* @__PURE__ */ struct(
  "nbd_block_status_payload",
  8,
  (at) => ({
    /** Bytes of the range that is asked about. */
    effectLength: at.be64(),
  }),
);
