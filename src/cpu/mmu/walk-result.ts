/**
 * The result of one page walk, in an object that its processor reuses. Also the kinds of access, in the order of the
 * tags of a lookup entry (state.ts).
 */

/** Kind of access: the index of its tag in a lookup entry. */
export const Access = { READ: 0, WRITE: 1, FETCH: 2 } as const;
export type Access = (typeof Access)[keyof typeof Access];

export interface Walk {
  /** Guest-physical address of the byte; the machine address when there is no second stage. */
  guestPhysical: number;
  /** Machine address of the byte, or -1 when a second stage does not map it for this access. */
  machine: number;
  /** The privilege of the access may write here (U/S, R/W, CR0.WP), whatever the second stage says. */
  writable: boolean;
  /** A second stage lets it be written. */
  stageWritable: boolean;
  /** The leaf is dirty, so that further writes change no table. */
  dirty: boolean;
  executable: boolean;
  /** A user page (every level has U/S set). */
  userPage: boolean;
  global: boolean;
  /** Log2 size of the first-stage leaf. */
  leafShift: number;
  /** Log2 size of the smallest second-stage leaf over the page; 52 without second stages. */
  stageShift: number;
  levels: number;
  readonly guestEntries: Float64Array;
  readonly entries: Float64Array;
  readonly entryShifts: Uint8Array;
  /** Error code of the #PF when the walk failed. */
  errorCode: number;
}

export function newWalk(): Walk {
  return {
    guestPhysical: 0,
    machine: 0,
    writable: false,
    stageWritable: true,
    dirty: false,
    executable: false,
    userPage: false,
    global: false,
    leafShift: 12,
    stageShift: 52,
    levels: 0,
    guestEntries: new Float64Array(4),
    entries: new Float64Array(4),
    entryShifts: new Uint8Array(4),
    errorCode: 0,
  };
}
