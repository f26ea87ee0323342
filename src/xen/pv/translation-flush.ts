/**
 * Flushing of translations, and the clock that saves most flushes (R12). Each full flush of a processor gets the next
 * value of the clock; a frame remembers the clock when its last use ended (FrameTable.flushStamp). When the frame is
 * put to another use, only processors whose last flush is not later than that can hold a stale translation of it.
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import type { Platform } from '../../platform/platform.ts';
import type { FrameTable } from '../frame-table.ts';

export class TranslationFlush {
  readonly #platform: Platform;
  readonly #frames: FrameTable;
  /** Per platform cpu: clock value of its last full flush. */
  readonly lastFlush: Uint32Array;

  constructor(platform: Platform, frames: FrameTable) {
    this.#platform = platform;
    this.#frames = frames;
    this.lastFlush = new Uint32Array(platform.cpus.length);
  }

  /** Drops all translations of `cpu`, global ones too. */
  flush(cpu: PlatformCpu): void {
    cpu.flushTranslations();
    this.#flushed(cpu);
  }

  /** MOV CR3 to a root of the guest, dropping global translations too: user pages are global, and they change. */
  loadRoot(cpu: PlatformCpu, rootFrame: number): void {
    cpu.writeCr3(BigInt(rootFrame) << 12n);
    cpu.flushTranslations();
    this.#flushed(cpu);
  }

  flushAll(): void {
    for (const cpu of this.#platform.cpus) this.flush(cpu);
  }

  /** Flushes the processors that may still translate to `frame` as it was used until {@link FrameTable.flushStamp}. */
  flushUsersOf(frame: number): void {
    const stamp = this.#frames.flushStamp[frame] as number;
    if (stamp === 0) return; // never in use before
    for (const cpu of this.#platform.cpus) if ((this.lastFlush[cpu.index] as number) <= stamp) this.flush(cpu);
  }

  #flushed(cpu: PlatformCpu): void {
    this.#frames.flushClock++;
    this.lastFlush[cpu.index] = this.#frames.flushClock;
  }
}
