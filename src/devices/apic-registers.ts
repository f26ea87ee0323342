/**
 * Registers of a local APIC: numbers, what can be written to the local vector table, which of them x2APIC mode has.
 * Sources: SDM 3A Table 10-1 (address map), Figure 10-8 (LVT), Table 10-6 (x2APIC map).
 */

/** Register numbers: offset in the page >> 4, and MSR 0x800 + number. */
export const ApicRegister = {
  ID: 0x02,
  VERSION: 0x03,
  TASK_PRIORITY: 0x08,
  ARBITRATION: 0x09,
  PROCESSOR_PRIORITY: 0x0a,
  EOI: 0x0b,
  REMOTE_READ: 0x0c,
  LOGICAL_DESTINATION: 0x0d,
  DESTINATION_FORMAT: 0x0e,
  SPURIOUS: 0x0f,
  IN_SERVICE: 0x10,
  TRIGGER_MODE: 0x18,
  REQUEST: 0x20,
  ERROR_STATUS: 0x28,
  CMCI: 0x2f,
  COMMAND: 0x30,
  COMMAND_HIGH: 0x31,
  TIMER: 0x32,
  THERMAL: 0x33,
  PERFORMANCE: 0x34,
  LINT0: 0x35,
  LINT1: 0x36,
  ERROR: 0x37,
  INITIAL_COUNT: 0x38,
  CURRENT_COUNT: 0x39,
  DIVIDE: 0x3e,
  SELF_IPI: 0x3f,
} as const;

/** Writable bits of each LVT entry; delivery status and remote IRR are not kept. */
export const LVT_BITS: ReadonlyMap<number, number> = new Map([
  [ApicRegister.TIMER, 0x7_00ff],
  [ApicRegister.THERMAL, 0x1_07ff],
  [ApicRegister.PERFORMANCE, 0x1_07ff],
  [ApicRegister.LINT0, 0x1_a7ff],
  [ApicRegister.LINT1, 0x1_a7ff],
  [ApicRegister.ERROR, 0x1_00ff],
]);

const X2APIC_REGISTERS: ReadonlySet<number> = new Set([
  ApicRegister.ID,
  ApicRegister.VERSION,
  ApicRegister.TASK_PRIORITY,
  ApicRegister.PROCESSOR_PRIORITY,
  ApicRegister.LOGICAL_DESTINATION,
  ApicRegister.SPURIOUS,
  ApicRegister.ERROR_STATUS,
  ...LVT_BITS.keys(),
  ApicRegister.INITIAL_COUNT,
  ApicRegister.CURRENT_COUNT,
  ApicRegister.DIVIDE,
]);

/** Whether x2APIC mode has such a register. */
export function inX2apicMode(register: number): boolean {
  return register >= ApicRegister.IN_SERVICE && register < ApicRegister.ERROR_STATUS ? true : X2APIC_REGISTERS.has(register);
}
