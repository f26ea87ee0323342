/** RAM in a save stream: which frames are not zero, then their bytes. Most of a guest's memory is never touched. */
import type { SaveWriter } from '../base/persist.ts';
import { PAGE_SIZE, type PhysicalMemory } from '../memory/physical-memory.ts';

export function saveMemory(writer: SaveWriter, memory: PhysicalMemory): void {
  const used = new Uint8Array(Math.ceil(memory.frameCount / 8));
  const words = new Int32Array(memory.memory.buffer, memory.base, memory.size / 4);
  const wordsPerFrame = PAGE_SIZE / 4;
  for (let frame = 0; frame < memory.frameCount; frame++) {
    if (!isZero(words, frame * wordsPerFrame, wordsPerFrame)) used[frame >> 3] |= 1 << (frame & 7);
  }
  writer.u32(memory.frameCount);
  writer.array(used);
  for (let frame = 0; frame < memory.frameCount; frame++) {
    if ((used[frame >> 3] & (1 << (frame & 7))) !== 0) writer.raw(memory.frameView(frame));
  }
}

function isZero(words: Int32Array, from: number, count: number): boolean {
  for (let at = from; at < from + count; at++) if (words[at] !== 0) return false;
  return true;
}
