/**
 * The RAM of a machine: a range of its one WebAssembly memory, so that generated code reads and writes it directly.
 * Writes made here by host code (devices, hypervisors) tell the engines when they touch a frame that holds translated code.
 */
export const PAGE_SIZE = 4096;

/** Told about a write by host code to a frame that an engine has marked. */
export type CodeWriteObserver = (address: number, length: number) => void;

export class PhysicalMemory {
  readonly memory: WebAssembly.Memory;
  /** Address of physical 0 in the WebAssembly memory. */
  readonly base: number;
  readonly size: number;
  readonly frameCount: number;
  /** One byte a frame, set by an engine while it holds code translated from that frame. */
  readonly codeFrames: Uint8Array;
  onCodeWrite: CodeWriteObserver = () => {};
  private readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(memory: WebAssembly.Memory, base: number, size: number) {
    this.memory = memory;
    this.base = base;
    this.size = size;
    this.frameCount = size / PAGE_SIZE;
    this.codeFrames = new Uint8Array(this.frameCount);
    this.bytes = new Uint8Array(memory.buffer, base, size);
    this.view = new DataView(memory.buffer, base, size);
  }

  isRam(frame: number): boolean {
    return frame >= 0 && frame < this.frameCount;
  }

  readU8(address: number): number {
    return this.bytes[address];
  }
  readU16(address: number): number {
    return this.view.getUint16(address, true);
  }
  readU32(address: number): number {
    return this.view.getUint32(address, true);
  }
  readU64(address: number): bigint {
    return this.view.getBigUint64(address, true);
  }
  writeU8(address: number, value: number): void {
    this.noteWrite(address, 1);
    this.bytes[address] = value;
  }
  writeU16(address: number, value: number): void {
    this.noteWrite(address, 2);
    this.view.setUint16(address, value, true);
  }
  writeU32(address: number, value: number): void {
    this.noteWrite(address, 4);
    this.view.setUint32(address, value, true);
  }
  writeU64(address: number, value: bigint): void {
    this.noteWrite(address, 8);
    this.view.setBigUint64(address, value, true);
  }
  readBytes(address: number, length: number): Uint8Array {
    return this.bytes.slice(address, address + length);
  }
  writeBytes(address: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.noteWrite(address, bytes.length);
    this.bytes.set(bytes, address);
  }
  frameView(frame: number): Uint8Array {
    return this.bytes.subarray(frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
  }
  frameEntries(frame: number): BigUint64Array {
    return new BigUint64Array(this.memory.buffer, this.base + frame * PAGE_SIZE, PAGE_SIZE / 8);
  }
  zeroFrame(frame: number): void {
    this.noteWrite(frame * PAGE_SIZE, PAGE_SIZE);
    this.bytes.fill(0, frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE);
  }
  copyFrame(destination: number, source: number): void {
    this.noteWrite(destination * PAGE_SIZE, PAGE_SIZE);
    this.bytes.copyWithin(destination * PAGE_SIZE, source * PAGE_SIZE, (source + 1) * PAGE_SIZE);
  }

  private noteWrite(address: number, length: number): void {
    const last = (address + length - 1) >>> 12;
    for (let frame = address >>> 12; frame <= last; frame++) {
      if (this.codeFrames[frame] !== 0) {
        this.onCodeWrite(address, length);
        return;
      }
    }
  }
}
