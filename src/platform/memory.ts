/**
 * Machine memory as one layer sees it. On the bare machine these are physical addresses; in a full domain they are
 * guest-physical ones, translated by the layer below on each access. Addresses are byte addresses below 2^53 (numbers),
 * frames are addresses >> 12. Values of 64 bits are bigints.
 * Every write is seen by the engines (self-modifying code) and by the dirty log.
 */
export interface PlatformMemory {
  /** Frames 0..frameCount-1 may exist; see {@link isRam}. */
  readonly frameCount: number;
  isRam(frame: number): boolean;
  readU8(address: number): number;
  readU16(address: number): number;
  readU32(address: number): number;
  readU64(address: number): bigint;
  writeU8(address: number, value: number): void;
  writeU16(address: number, value: number): void;
  writeU32(address: number, value: number): void;
  writeU64(address: number, value: bigint): void;
  /** A copy; the range may cross frames. */
  readBytes(address: number, length: number): Uint8Array;
  writeBytes(address: number, bytes: Uint8Array): void;
  /** 4096 bytes of one frame for reading only; writing through it would escape the engines. Do not keep it. */
  frameView(frame: number): Uint8Array;
  /** The same frame as 512 entries of a page table, for reading only. Do not keep it. */
  frameEntries(frame: number): BigUint64Array;
  zeroFrame(frame: number): void;
  copyFrame(destination: number, source: number): void;
}
