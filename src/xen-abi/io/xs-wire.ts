/**
 * The xenstore protocol as data: message types, header, error names, and the ring page that a domain shares with
 * xenstored. Source: Xen public/io/xs_wire.h.
 *
 *     message   type@0 req_id@4 tx_id@8 len@12 | payload (at most 4096 bytes)
 *     page      req[1024]@0 rsp[1024]@1024 req_cons@2048 req_prod@2052 rsp_cons@2056 rsp_prod@2060
 *               server_features@2064 connection@2068 error@2072
 */

export const XS = {
  CONTROL: 0,
  DIRECTORY: 1,
  READ: 2,
  GET_PERMS: 3,
  WATCH: 4,
  UNWATCH: 5,
  TRANSACTION_START: 6,
  TRANSACTION_END: 7,
  INTRODUCE: 8,
  RELEASE: 9,
  GET_DOMAIN_PATH: 10,
  WRITE: 11,
  MKDIR: 12,
  RM: 13,
  SET_PERMS: 14,
  WATCH_EVENT: 15,
  ERROR: 16,
  IS_DOMAIN_INTRODUCED: 17,
  RESUME: 18,
  SET_TARGET: 19,
  RESET_WATCHES: 21,
  DIRECTORY_PART: 22,
} as const;

export const XENSTORE_HEADER_BYTES = 16;
export const XENSTORE_PAYLOAD_MAX = 4096;
/** Bytes of a path with its NUL. */
export const XENSTORE_ABS_PATH_MAX = 3072;
export const XENSTORE_REL_PATH_MAX = 2048;

/** Names that an ERROR message may carry (xsd_errors). */
export type XsErrorName =
  | 'EINVAL'
  | 'EACCES'
  | 'EEXIST'
  | 'EISDIR'
  | 'ENOENT'
  | 'ENOMEM'
  | 'ENOSPC'
  | 'EIO'
  | 'ENOTEMPTY'
  | 'ENOSYS'
  | 'EROFS'
  | 'EBUSY'
  | 'EAGAIN'
  | 'EISCONN'
  | 'E2BIG'
  | 'EPERM';

export const XENSTORE_RING_SIZE = 1024;
/** The two rings of the page as {@link ByteRingLayout}s: `req` is written by the guest, `rsp` by xenstored. */
export const xenstoreRing = {
  req: { data: 0, size: XENSTORE_RING_SIZE, consumer: 2048, producer: 2052 },
  rsp: { data: 1024, size: XENSTORE_RING_SIZE, consumer: 2056, producer: 2060 },
} as const;

export const XENSTORE_SERVER_FEATURES = 2064;
export const XENSTORE_CONNECTION = 2068;
export const XENSTORE_ERROR = 2072;
export const XENSTORE_SERVER_FEATURE_ERROR = 2;
export const XENSTORE_ERROR_NONE = 0;
export const XENSTORE_ERROR_COMM = 1;
export const XENSTORE_ERROR_RINGIDX = 2;
export const XENSTORE_ERROR_PROTO = 3;
