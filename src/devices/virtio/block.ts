/**
 * virtio block: a disk of 512-byte sectors. Requests are done one after the other, each after a time that depends on its
 * size; the data move when the time is over.
 * Source: VIRTIO 1.1 §5.2 (block device).
 */
import type { VirtioDevice, VirtioPort } from './device.ts';
import { type Chain, gather, lengthOf, scatter } from './queue.ts';

/** What a disk stands on here: sectors that answer at once. */
export interface SectorImage {
  readonly sectorCount: number;
  readonly readOnly: boolean;
  /** Bytes of whole sectors. */
  read(firstSector: number, sectors: number): Uint8Array;
  write(firstSector: number, bytes: Uint8Array): void;
  flush(): void;
  /** What was written since the beginning, for snapshots and hashes. */
  save(): unknown;
  restore(data: unknown): void;
}

export const SECTOR_BYTES = 512;
const REQUEST_NANOSECONDS = 60_000n;
const SECTOR_NANOSECONDS = 250n;
const QUEUE_SIZE = 128;
const SEGMENTS = QUEUE_SIZE - 2;
const HEADER_BYTES = 16;

const FEATURE_SEGMENTS = 1n << 2n;
const FEATURE_READ_ONLY = 1n << 5n;
const FEATURE_BLOCK_SIZE = 1n << 6n;
const FEATURE_FLUSH = 1n << 9n;

const Request = { READ: 0, WRITE: 1, FLUSH: 4, GET_ID: 8 } as const;
const Status = { OK: 0, ERROR: 1, UNSUPPORTED: 2 } as const;
const ID_BYTES = 20;

interface Pending {
  readonly due: bigint;
  readonly head: number;
}

export class VirtioBlock implements VirtioDevice {
  readonly type = 2;
  readonly classCode = 0x010000;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE];
  readonly configuration = new Uint8Array(0x40);
  private readonly image: SectorImage;
  private readonly name: string;
  private readonly tscKhz: bigint;
  private pending: Pending[] = [];

  /** @param name shows as the disk's serial number. */
  constructor(image: SectorImage, name: string, tscKhz: number) {
    this.image = image;
    this.name = name;
    this.tscKhz = BigInt(tscKhz);
    this.features = FEATURE_SEGMENTS | FEATURE_BLOCK_SIZE | FEATURE_FLUSH | (image.readOnly ? FEATURE_READ_ONLY : 0n);
    const view = new DataView(this.configuration.buffer);
    view.setBigUint64(0, BigInt(image.sectorCount), true);
    view.setUint32(12, SEGMENTS, true);
    view.setUint32(20, SECTOR_BYTES, true);
  }

  notified(port: VirtioPort, queue: number, now: bigint): void {
    for (let chain = port.take(queue); chain !== undefined; chain = port.take(queue)) {
      const bytes = BigInt(lengthOf(chain.readable) + lengthOf(chain.writable));
      const nanoseconds = REQUEST_NANOSECONDS + (bytes * SECTOR_NANOSECONDS) / BigInt(SECTOR_BYTES);
      const begins = this.pending.at(-1)?.due ?? now;
      const due = (begins > now ? begins : now) + (nanoseconds * this.tscKhz) / 1_000_000n;
      this.pending.push({ due, head: chain.head });
    }
  }

  nextEvent(): bigint | undefined {
    return this.pending[0]?.due;
  }

  advance(port: VirtioPort, now: bigint): void {
    while (this.pending.length > 0 && this.pending[0].due <= now) {
      const { head } = this.pending.shift() as Pending;
      const chain = port.follow(0, head);
      port.give(0, head, this.execute(port, chain));
    }
  }

  reset(): void {
    this.pending = [];
  }

  save(): unknown {
    return { pending: this.pending.map((request) => ({ ...request })), image: this.image.save() };
  }
  restore(data: unknown): void {
    const saved = data as { pending: Pending[]; image: unknown };
    this.pending = saved.pending.map((request) => ({ ...request }));
    this.image.restore(saved.image);
  }

  /** Bytes written to the chain: data, then the status in the last byte. */
  private execute(port: VirtioPort, chain: Chain): number {
    const request = gather(port.memory, chain.readable);
    const room = lengthOf(chain.writable);
    if (request.length < HEADER_BYTES || room === 0) return 0; // nowhere to say so
    const view = new DataView(request.buffer, request.byteOffset);
    const sector = view.getBigUint64(8, true);
    const answer = this.answer(view.getUint32(0, true), sector, request.subarray(HEADER_BYTES), room - 1);
    const data = answer.data ?? new Uint8Array(0);
    const bytes = new Uint8Array(room);
    bytes.set(data);
    bytes[room - 1] = answer.status;
    scatter(port.memory, chain.writable, bytes);
    return answer.status === Status.OK ? data.length + 1 : 1;
  }

  private answer(type: number, sector: bigint, data: Uint8Array, room: number): { status: number; data?: Uint8Array } {
    const bytes = type === Request.WRITE ? data.length : room;
    const fits = bytes % SECTOR_BYTES === 0 && sector + BigInt(bytes / SECTOR_BYTES) <= BigInt(this.image.sectorCount);
    switch (type) {
      case Request.READ:
        if (!fits) return { status: Status.ERROR };
        return { status: Status.OK, data: this.image.read(Number(sector), room / SECTOR_BYTES) };
      case Request.WRITE:
        if (!fits || this.image.readOnly) return { status: Status.ERROR };
        this.image.write(Number(sector), data);
        return { status: Status.OK };
      case Request.FLUSH:
        this.image.flush();
        return { status: Status.OK };
      case Request.GET_ID: {
        const id = new Uint8Array(Math.min(ID_BYTES, room));
        for (let n = 0; n < id.length && n < this.name.length; n++) id[n] = this.name.charCodeAt(n);
        return { status: Status.OK, data: id };
      }
      default:
        return { status: Status.UNSUPPORTED };
    }
  }
}
