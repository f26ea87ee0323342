/**
 * Flushing of translations, and the clock that saves most flushes (R12). Each full flush of a processor gets the next
 * value of the clock; a frame remembers the clock when its last use ended (FrameTable.flushStamp). When the frame is
 * put to another use, only processors whose last flush is not later than that can hold a stale translation of it.
 * A vCPU is switched in with a full flush, so a processor holds translations of the vCPU loaded last and of no other.
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import type { Domain } from '../domain.ts';
import type { FrameTable } from '../frame-table.ts';
import type { Hypervisor } from '../hypervisor.ts';

export class TranslationFlush {
  readonly #hypervisor: Hypervisor;
  readonly #frames: FrameTable;
  /** Per platform cpu: clock value of its last full flush. */
  readonly lastFlush: Uint32Array;

  constructor(hypervisor: Hypervisor) {
    this.#hypervisor = hypervisor;
    this.#frames = hypervisor.frames;
    this.lastFlush = new Uint32Array(hypervisor.platform.cpus.length);
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

  /** Flushes the processors that hold translations of `domain`. */
  flushDomain(domain: Domain): void {
    for (const cpu of this.#hypervisor.platform.cpus) if (this.#loadedOn(cpu) === domain) this.flush(cpu);
  }

  /** Flushes the processors that may still translate to `frame` as it was used until {@link FrameTable.flushStamp}. */
  flushUsersOf(frame: number): void {
    const stamp = this.#frames.flushStamp[frame] as number;
    if (stamp === 0) return; // never in use before
    for (const cpu of this.#hypervisor.platform.cpus) {
      if (this.#loadedOn(cpu) !== undefined && (this.lastFlush[cpu.index] as number) <= stamp) this.flush(cpu);
    }
  }

  /** Domain of the vCPU whose registers and tables were loaded last. */
  #loadedOn(cpu: PlatformCpu): Domain | undefined {
    return this.#hypervisor.schedules[cpu.index]?.lastLoaded?.domain;
  }

  #flushed(cpu: PlatformCpu): void {
    this.#frames.flushClock++;
    this.lastFlush[cpu.index] = this.#frames.flushClock;
  }
}
