/** The identity of a disk, 16 bytes of chance in hexadecimal, and the names of its objects. */

import { hexOfBytes } from '../../base/integer.ts';
import type { Chance } from '../object-store.ts';

export function newDiskId(chance: Chance): string {
  return hexOfBytes(chance.bytes(16));
}

export function bytesOfHex(text: string): Uint8Array {
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

/** Everything that belongs to a disk. */
export function diskPrefix(disk: string): string {
  return `disks/${disk}/`;
}

/** An epoch has one owner, so a name is written by one owner only. */
export function segmentName(disk: string, epoch: number, number: number): string {
  return `${diskPrefix(disk)}segments/${padded(number)}-${padded(epoch)}`;
}

export function checkpointName(disk: string, epoch: number, number: number): string {
  return `${diskPrefix(disk)}checkpoints/${padded(number)}-${padded(epoch)}`;
}

/** What {@link segmentName} and {@link checkpointName} put into a name, or null for another name. */
export function parseObjectName(name: string): { kind: 'segments' | 'checkpoints'; epoch: number; number: number } | null {
  const match = /\/(segments|checkpoints)\/(\d{10})-(\d{10})$/.exec(name);
  if (!match) return null;
  return { kind: match[1] as 'segments' | 'checkpoints', number: Number(match[2]), epoch: Number(match[3]) };
}

function padded(value: number): string {
  return String(value).padStart(10, '0');
}
