/**
 * The numbers of the NBD protocol and the shapes of its messages, big-endian throughout. Only what the server speaks:
 * fixed newstyle negotiation, simple and structured replies.
 * Source: NetworkBlockDevice/nbd doc/proto.md, "Values" (names are its own).
 */

export const NBDMAGIC = 0x4e42_444d_4147_4943n;
export const IHAVEOPT = 0x4948_4156_454f_5054n;
export const NBD_OPT_REPLY_MAGIC = 0x0003_e889_0455_65a9n;
export const NBD_REQUEST_MAGIC = 0x2560_9513;
export const NBD_SIMPLE_REPLY_MAGIC = 0x6744_6698;
export const NBD_STRUCTURED_REPLY_MAGIC = 0x668e_33ef;

/** Handshake flags of the server and of the client. */
export const NBD_FLAG_FIXED_NEWSTYLE = 1 << 0;
export const NBD_FLAG_NO_ZEROES = 1 << 1;

export const NBD_OPT = { EXPORT_NAME: 1, ABORT: 2, LIST: 3, STARTTLS: 5, INFO: 6, GO: 7, STRUCTURED_REPLY: 8 } as const;

export const NBD_REP = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  ERR_UNSUP: 0x8000_0001,
  ERR_INVALID: 0x8000_0003,
  ERR_UNKNOWN: 0x8000_0006,
  ERR_TOO_BIG: 0x8000_0009,
} as const;

export const NBD_INFO = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

/** Transmission flags: what the client may send. */
export const NBD_FLAG = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_FUA: 1 << 3,
  SEND_TRIM: 1 << 5,
  SEND_WRITE_ZEROES: 1 << 6,
  SEND_DF: 1 << 7,
  CAN_MULTI_CONN: 1 << 8,
  SEND_FAST_ZERO: 1 << 11,
} as const;

export const NBD_CMD = { READ: 0, WRITE: 1, DISC: 2, FLUSH: 3, TRIM: 4, WRITE_ZEROES: 6 } as const;

/** Command flags. */
export const NBD_CMD_FLAG = { FUA: 1 << 0, NO_HOLE: 1 << 1, DF: 1 << 2, FAST_ZERO: 1 << 4 } as const;

export const NBD_REPLY_FLAG_DONE = 1;
export const NBD_REPLY_TYPE = { NONE: 0, OFFSET_DATA: 1, ERROR: 0x8001 } as const;

export const NBD_ERROR = { EPERM: 1, EIO: 5, EINVAL: 22, ENOSPC: 28, EOVERFLOW: 75, ENOTSUP: 95, ESHUTDOWN: 108 } as const;

/** The largest payload that a request may have; what the specification calls portable, and what we advertise. */
export const maxPayloadBytes = 32 * 1024 * 1024;

/** No option of ours needs more; a longer one is refused instead of being kept. */
export const maxOptionBytes = 16 * 1024;

export const requestHeaderBytes = 28;

export interface NbdRequest {
  flags: number;
  type: number;
  cookie: bigint;
  offset: bigint;
  length: number;
}

/** @returns null when the magic is wrong: the stream is lost and the connection must end. */
export function decodeRequest(bytes: Uint8Array): NbdRequest | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0) !== NBD_REQUEST_MAGIC) return null;
  return {
    flags: view.getUint16(4),
    type: view.getUint16(6),
    cookie: view.getBigUint64(8),
    offset: view.getBigUint64(16),
    length: view.getUint32(24),
  };
}

export function encodeSimpleReply(cookie: bigint, error: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, NBD_SIMPLE_REPLY_MAGIC);
  view.setUint32(4, error);
  view.setBigUint64(8, cookie);
  return bytes;
}

/** The head of the only chunk of a structured reply; the data of a read follows it. */
export function encodeReadChunk(cookie: bigint, offset: bigint, dataLength: number): Uint8Array {
  const { bytes, view } = structuredHead(cookie, NBD_REPLY_TYPE.OFFSET_DATA, 8 + dataLength, 8);
  view.setBigUint64(20, offset);
  return bytes;
}

/** An error as the only chunk of a structured reply. */
export function encodeErrorChunk(cookie: bigint, error: number): Uint8Array {
  const { bytes, view } = structuredHead(cookie, NBD_REPLY_TYPE.ERROR, 6, 6);
  view.setUint32(20, error);
  return bytes;
}

function structuredHead(cookie: bigint, type: number, length: number, extra: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(20 + extra);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, NBD_STRUCTURED_REPLY_MAGIC);
  view.setUint16(4, NBD_REPLY_FLAG_DONE);
  view.setUint16(6, type);
  view.setBigUint64(8, cookie);
  view.setUint32(16, length);
  return { bytes, view };
}

export function encodeOptionReply(option: number, type: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(20 + data.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, NBD_OPT_REPLY_MAGIC);
  view.setUint32(8, option);
  view.setUint32(12, type);
  view.setUint32(16, data.length);
  bytes.set(data, 20);
  return bytes;
}
