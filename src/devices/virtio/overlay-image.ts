/**
 * A disk image whose writes stay in memory, sector by sector: the medium below is only read, so that every run begins
 * with the same disk, and what a run has written is part of its state.
 */
import { SECTOR_BYTES, type SectorImage } from './block.ts';

/** What is below: whole sectors at any place. */
export interface ReadOnlyMedium {
  readonly sectorCount: number;
  read(firstSector: number, sectors: number): Uint8Array;
}

export class OverlayImage implements SectorImage {
  readonly readOnly = false;
  private readonly medium: ReadOnlyMedium;
  private written = new Map<number, Uint8Array>();

  constructor(medium: ReadOnlyMedium) {
    this.medium = medium;
  }

  get sectorCount(): number {
    return this.medium.sectorCount;
  }

  read(firstSector: number, sectors: number): Uint8Array {
    const bytes = this.medium.read(firstSector, sectors);
    for (let n = 0; n < sectors; n++) {
      const own = this.written.get(firstSector + n);
      if (own !== undefined) bytes.set(own, n * SECTOR_BYTES);
    }
    return bytes;
  }

  write(firstSector: number, bytes: Uint8Array): void {
    for (let n = 0; n * SECTOR_BYTES < bytes.length; n++) {
      this.written.set(firstSector + n, bytes.slice(n * SECTOR_BYTES, (n + 1) * SECTOR_BYTES));
    }
  }

  flush(): void {
    // Memory has no cache.
  }

  save(): unknown {
    return [...this.written].sort(([a], [b]) => a - b).map(([sector, bytes]) => [sector, bytes.slice()]);
  }
  restore(data: unknown): void {
    this.written = new Map((data as [number, Uint8Array][]).map(([sector, bytes]) => [sector, bytes.slice()]));
  }
}
