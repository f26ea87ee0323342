/** The four mapped regions of a vector's machine, as bytes that are expected in RAM. */
import { ConfigError } from '../../base/errors.ts';
import { PAGE_SIZE, type PhysicalMemory } from '../../memory/physical-memory.ts';
import { type MappedRegion, USER_REGIONS } from './user-machine.ts';
import { hexBytes, type VectorState } from './vector.ts';

interface Region {
  readonly start: number;
  readonly background: number;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

function region({ start, length, background }: MappedRegion): Region {
  const bytes = new Uint8Array(length);
  return { start, background, bytes, words: new Uint32Array(bytes.buffer) };
}

export class MemoryImage {
  private readonly regions: readonly Region[] = USER_REGIONS.map(region);

  reset(): void {
    for (const { bytes, background } of this.regions) bytes.fill(background);
  }

  put(address: number, values: Uint8Array): void {
    // A run of bytes may go from one page to the next, but not out of its region.
    const target = this.regions.find(({ start, bytes }) => address >= start && address + values.length <= start + bytes.length);
    if (target === undefined) throw new ConfigError(`a vector uses memory at 0x${address.toString(16)}, which is not mapped`);
    target.bytes.set(values, address - target.start);
  }

  apply(state: VectorState): void {
    for (const [address, bytes] of Object.entries(state.mem ?? {})) this.put(Number.parseInt(address, 16), hexBytes(bytes));
  }

  writeTo(memory: PhysicalMemory): void {
    for (const { start, bytes } of this.regions) memory.writeBytes(start, bytes);
  }

  /** Addresses of bytes in which RAM is different, ascending. */
  differences(memory: PhysicalMemory): number[] {
    const found: number[] = [];
    for (const { start, bytes, words } of this.regions) {
      for (let page = 0; page < bytes.length; page += PAGE_SIZE) {
        const actual = memory.frameView((start + page) / PAGE_SIZE);
        const actualWords = new Uint32Array(actual.buffer, actual.byteOffset, PAGE_SIZE / 4);
        for (let n = 0; n < PAGE_SIZE / 4; n++) {
          if (actualWords[n] === words[page / 4 + n]) continue;
          for (let at = n * 4; at < n * 4 + 4; at++) if (actual[at] !== bytes[page + at]) found.push(start + page + at);
        }
      }
    }
    return found;
  }

  byte(address: number): number {
    const holder = this.regions.find(({ start, bytes }) => address >= start && address < start + bytes.length);
    return holder?.bytes[address - holder.start] ?? 0;
  }
}
