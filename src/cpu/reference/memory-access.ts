/**
 * The reference engine's way to guest memory: the lookup table first, then the shared slow path, exactly as generated
 * code does it. Addresses handed out are positions in the machine's WebAssembly memory; 0 means that a fault is recorded.
 */
import type { SegmentIndex } from '../../x86/instruction.ts';
import { commitStore, prepareStore, slowLoad } from '../mmu/access.ts';
import { checkSegment } from '../mmu/segmentation.ts';
import type { Processor } from '../processor.ts';
import { LOOKUP_ENTRIES, LOOKUP_ENTRY_BYTES, OFFSET } from '../state.ts';

const READ_TAG = 0;
const WRITE_TAG = 8;
const ADDEND = 24;
const PAGE_MASK = ~0xfffn;

export class MemoryAccess {
  private processor!: Processor;
  private view!: DataView;

  attach(processor: Processor): void {
    if (this.processor === processor) return;
    this.processor = processor;
    this.view = new DataView(processor.memory.memory.buffer);
  }

  loadAddress(linear: bigint, size: number, stack: boolean): number {
    return this.lookup(linear, size, READ_TAG) || slowLoad(this.processor, linear, size, stack);
  }

  /** Address to write an operand to before {@link commit}; nothing is written yet. */
  storeAddress(linear: bigint, size: number, stack: boolean): number {
    return this.lookup(linear, size, WRITE_TAG) || prepareStore(this.processor, linear, size, stack);
  }

  /** Ends a store: one that went to the scratch operand goes to its destination now. */
  commit(address: number): void {
    if (this.isPending(address)) commitStore(this.processor);
  }

  /** The address is that of the scratch operand. */
  isPending(address: number): boolean {
    return address === this.processor.state.base + OFFSET.storeScratch;
  }

  checkSegment(segment: SegmentIndex, offset: bigint, size: number, write: boolean): boolean {
    return checkSegment(this.processor, segment, Number(offset), size, write);
  }

  read(address: number, size: number): bigint {
    switch (size) {
      case 1:
        return BigInt(this.view.getUint8(address));
      case 2:
        return BigInt(this.view.getUint16(address, true));
      case 4:
        return BigInt(this.view.getUint32(address, true));
      default:
        return this.view.getBigUint64(address, true);
    }
  }

  write(address: number, size: number, value: bigint): void {
    switch (size) {
      case 1:
        this.view.setUint8(address, Number(value & 0xffn));
        break;
      case 2:
        this.view.setUint16(address, Number(value & 0xffffn), true);
        break;
      case 4:
        this.view.setUint32(address, Number(value & 0xffff_ffffn), true);
        break;
      default:
        this.view.setBigUint64(address, value, true);
    }
  }

  private lookup(linear: bigint, size: number, tag: number): number {
    const { state } = this.processor;
    const index = Number((linear >> 12n) & BigInt(LOOKUP_ENTRIES - 1));
    const entry = state.get32('lookupTable') + index * LOOKUP_ENTRY_BYTES;
    const wanted = BigInt.asUintN(64, ((linear + BigInt(size - 1)) & PAGE_MASK) | state.get('tlbGeneration'));
    if (this.view.getBigUint64(entry + tag, true) !== wanted) return 0;
    return Number(BigInt.asUintN(32, linear + this.view.getBigUint64(entry + ADDEND, true)));
  }
}
