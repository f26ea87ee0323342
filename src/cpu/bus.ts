/** What a processor asks of the machine around it. Implemented by machine/, by tests, and by nothing else. */
export interface Bus {
  readPort(port: number, size: 1 | 2 | 4): number;
  writePort(port: number, size: 1 | 2 | 4, value: number): void;
  /** Memory outside RAM: device registers. Reads of nothing are all ones. */
  readMemory(address: number, size: 1 | 2 | 4 | 8): bigint;
  writeMemory(address: number, size: 1 | 2 | 4 | 8, value: bigint): void;
  /** Vector of the highest pending unmasked external interrupt, acknowledging it; undefined when it went away. */
  acknowledgeInterrupt(cpuIndex: number): number | undefined;
}
