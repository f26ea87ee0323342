/**
 * The console ring page. `in` is towards the guest, `out` comes from it. A guest that finds `out` full spins, so the
 * backend always drains. Source: Xen public/io/console.h.
 */

export const consoleRing = {
  in: { data: 0, size: 1024, consumer: 3072, producer: 3076 },
  out: { data: 1024, size: 2048, consumer: 3080, producer: 3084 },
} as const;

/** 0 connected, 1 the backend has gone or has not come yet. */
export const CONSOLE_CONNECTION = 3088;
export const XENCONSOLE_CONNECTED = 0;
export const XENCONSOLE_DISCONNECTED = 1;
