/** A file as a read-only medium of 512-byte sectors, read when it is asked for. */
import { fstatSync, openSync, readSync } from 'node:fs';
import { ConfigError } from '../base/errors.ts';
import type { ReadOnlyMedium } from '../devices/virtio/overlay-image.ts';

const SECTOR_BYTES = 512;

/** @throws {ConfigError} when the file cannot be opened or is not whole sectors. */
export function openDisk(path: string): ReadOnlyMedium {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    throw new ConfigError(`${path}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  const { size } = fstatSync(file);
  if (size === 0 || size % SECTOR_BYTES !== 0) throw new ConfigError(`${path}: ${size} bytes are not whole sectors of ${SECTOR_BYTES}`);
  return {
    sectorCount: size / SECTOR_BYTES,
    read(firstSector, sectors) {
      const bytes = new Uint8Array(sectors * SECTOR_BYTES);
      for (let done = 0; done < bytes.length; ) {
        const count = readSync(file, bytes, done, bytes.length - done, firstSector * SECTOR_BYTES + done);
        if (count === 0) throw new Error(`${path}: ends before sector ${firstSector + sectors}`);
        done += count;
      }
      return bytes;
    },
  };
}
