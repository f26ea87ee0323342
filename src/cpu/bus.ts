/** What a processor asks of the machine around it. Implemented by machine/, by tests, and by nothing else. */
export interface Bus {
  readPort(port: number, size: 1 | 2 | 4): number;
  writePort(port: number, size: 1 | 2 | 4, value: number): void;
  /** Memory outside RAM: device registers. Reads of nothing are all ones. */
  readMemory(address: number, size: 1 | 2 | 4 | 8): bigint;
  writeMemory(address: number, size: 1 | 2 | 4 | 8, value: bigint): void;
  /** Vector of the highest pending unmasked external interrupt, acknowledging it; undefined when it went away. */
  acknowledgeInterrupt(cpuIndex: number): number | undefined;
  /**
   * Whether another processor that can run is behind a time (in cycles) of this one's clock, and the machine's clocks must look like one:
   * a time stamp is read again when that one has caught up, so that no processor sees time run back. Absent: never.
   */
  isAhead?(cpuIndex: number, cycles: bigint): boolean;
  /** Registers of the processor's local APIC: IA32_APIC_BASE, IA32_TSC_DEADLINE, 0x800 to 0x8FF. Absent: it has none. */
  readonly apic?: ApicRegisters;
}

export interface ApicRegisters {
  /** Undefined: #GP(0). */
  readMsr(cpuIndex: number, index: number): bigint | undefined;
  /** False: #GP(0). */
  writeMsr(cpuIndex: number, index: number, value: bigint): boolean;
  /** CR8 was written: the upper half of the task priority. */
  setTaskPriority(cpuIndex: number, value: number): void;
}
