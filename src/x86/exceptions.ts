/**
 * Exceptions and their error codes.
 * Sources: SDM 3A §6.3.1 Table 6-1 (vectors), §6.13 (error code), §4.7 (page-fault error code), Table 6-4 and 6-5 (double fault).
 */

export const Vector = {
  /** Divide error. */
  DE: 0,
  /** Debug. */
  DB: 1,
  NMI: 2,
  /** Breakpoint. */
  BP: 3,
  /** Overflow. */
  OF: 4,
  /** BOUND range exceeded. */
  BR: 5,
  /** Invalid opcode. */
  UD: 6,
  /** Device not available. */
  NM: 7,
  /** Double fault. */
  DF: 8,
  /** Invalid TSS. */
  TS: 10,
  /** Segment not present. */
  NP: 11,
  /** Stack-segment fault. */
  SS: 12,
  /** General protection. */
  GP: 13,
  /** Page fault. */
  PF: 14,
  /** x87 floating-point error. */
  MF: 16,
  /** Alignment check. */
  AC: 17,
  /** Machine check. */
  MC: 18,
  /** SIMD floating-point error. */
  XM: 19,
  /** Virtualization exception. */
  VE: 20,
  /** Control protection. */
  CP: 21,
} as const;

const VECTOR_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(Vector).map(([name, vector]) => [vector, name === 'NMI' ? name : `#${name}`]),
);

/** `#GP`, `NMI`, or the number of a vector without a name. */
export function vectorName(vector: number): string {
  return VECTOR_NAMES.get(vector) ?? `vector ${vector}`;
}

const ERROR_CODE_VECTORS =
  (1 << Vector.DF) |
  (1 << Vector.TS) |
  (1 << Vector.NP) |
  (1 << Vector.SS) |
  (1 << Vector.GP) |
  (1 << Vector.PF) |
  (1 << Vector.AC) |
  (1 << Vector.CP);

/** Whether the exception pushes an error code. */
export function pushesErrorCode(vector: number): boolean {
  return vector < 32 && ((ERROR_CODE_VECTORS >>> vector) & 1) !== 0;
}

/** Error code of #PF. */
export const PageFaultError = {
  /** Set: protection violation; clear: not present. */
  P: 1 << 0,
  /** Write. */
  W: 1 << 1,
  /** User-mode access. */
  U: 1 << 2,
  /** A reserved bit was set in a paging structure. */
  RSVD: 1 << 3,
  /** Instruction fetch. */
  I: 1 << 4,
  /** Protection key. */
  PK: 1 << 5,
} as const;

/** Error code that names a selector: its upper 13 bits and these. */
export const SelectorError = {
  /** Event external to the program. */
  EXT: 1 << 0,
  /** The index is of the IDT. */
  IDT: 1 << 1,
  /** The index is of the LDT. */
  TI: 1 << 2,
} as const;

export type ExceptionClass = 'benign' | 'contributory' | 'page-fault' | 'double-fault';

/** Class of an exception for {@link escalation}. */
export function exceptionClass(vector: number): ExceptionClass {
  switch (vector) {
    case Vector.DE:
    case Vector.TS:
    case Vector.NP:
    case Vector.SS:
    case Vector.GP:
    case Vector.CP:
      return 'contributory';
    case Vector.PF:
    case Vector.VE:
      return 'page-fault';
    case Vector.DF:
      return 'double-fault';
    default:
      return 'benign';
  }
}

/** What becomes of an exception `second` that is raised while `first` is being delivered. */
export function escalation(first: number, second: number): 'handle' | 'double-fault' | 'shutdown' {
  const firstClass = exceptionClass(first);
  const secondClass = exceptionClass(second);
  if (secondClass === 'benign' || firstClass === 'benign') return 'handle';
  if (firstClass === 'double-fault') return 'shutdown';
  if (firstClass === 'contributory' && secondClass === 'page-fault') return 'handle';
  return 'double-fault';
}
