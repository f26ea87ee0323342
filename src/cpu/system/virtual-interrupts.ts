/**
 * The virtual interrupt flag: with CR4.VME, virtual-8086 code below IOPL 3 uses VIF where it would use IF, and INT n may go
 * to its own handlers by the redirection bitmap below the I/O map; with CR4.PVI so do CLI and STI of code at CPL 3.
 * Sources: SDM 3A §20.3.3 (methods of handling INT n, Table 20-2), §20.4 (protected-mode virtual interrupts), SDM 2A CLI,
 * INT n, IRET, SDM 2B POPF, STI.
 */
import { Cr4 } from '../../x86/control-registers.ts';
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { Segment } from '../../x86/instruction.ts';
import { Status } from '../engine.ts';
import { loadSegmentRealMode } from '../mmu/segmentation.ts';
import { IMPLICIT, readLinear, USER } from '../mmu/system-access.ts';
import { inVirtual8086Mode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { ioPrivilegeLevel, writeFlagsMasked } from './flags.ts';
import { resync } from './operand.ts';
import { pushAll, setStackPointer, stackOf } from './stack.ts';

const TSS_IO_MAP_BASE = 0x66;
const REDIRECTION_BYTES = 32;

function hasVme({ state }: Processor): boolean {
  return (state.get32('cr4') & Cr4.VME) !== 0;
}

/** How POPF and IRET of virtual-8086 code treat IF: as it is (IOPL 3), as VIF, or not at all (#GP). */
export function interruptFlagOf(processor: Processor, operandSize: 16 | 32 | 64): 'IF' | 'VIF' | 'refused' {
  if (!inVirtual8086Mode(processor.state) || ioPrivilegeLevel(processor) === 3) return 'IF';
  return hasVme(processor) && operandSize === 16 ? 'VIF' : 'refused';
}

/** CLI and STI of code above IOPL: true when it has a VIF. */
export function maskUsesVif(processor: Processor): boolean {
  const { state } = processor;
  if (inVirtual8086Mode(state)) return hasVme(processor);
  return state.get32('cpl') === 3 && (state.get32('cr4') & Cr4.PVI) !== 0;
}

export function setVif({ state }: Processor, on: boolean): void {
  const flags = state.get('rflags');
  state.set('rflags', on ? flags | BigInt(Flag.VIF) : flags & ~BigInt(Flag.VIF));
}

/** FLAGS popped by code that has VIF for IF. False: #GP(0), for an interrupt that waits, or TF. */
export function popVirtualFlags(processor: Processor, value: bigint): boolean {
  const waits = (processor.state.get32('rflags') & Flag.VIP) !== 0;
  const enables = (value & BigInt(Flag.IF)) !== 0n;
  if ((waits && enables) || (value & BigInt(Flag.TF)) !== 0n) {
    processor.faultWithCode(Vector.GP, 0);
    return false;
  }
  writeFlagsMasked(processor, value, 16, 0);
  setVif(processor, enables);
  return true;
}

/** Whether INT n of virtual-8086 code stays there; undefined: reading the bitmap faulted. */
export function isRedirected(processor: Processor, vector: number): boolean | undefined {
  const { state } = processor;
  if (!inVirtual8086Mode(state) || !hasVme(processor)) return false;
  const base = state.get('trBase');
  const mapBase = readLinear(processor, (base + BigInt(TSS_IO_MAP_BASE)) & 0xffff_ffffn, 2, IMPLICIT);
  if (mapBase === undefined) return undefined;
  const at = Number(mapBase) - REDIRECTION_BYTES + (vector >> 3);
  if (at < 0 || at > state.get32('trLimit')) {
    processor.faultWithCode(Vector.GP, 0);
    return undefined;
  }
  const bits = readLinear(processor, (base + BigInt(at)) & 0xffff_ffffn, 1, IMPLICIT);
  return bits === undefined ? undefined : ((bits >> BigInt(vector & 7)) & 1n) === 0n;
}

/** INT n as on an 8086: the handler from the table at linear 0, FLAGS with VIF as IF and IOPL 3. */
export function virtualInterrupt(processor: Processor, vector: number): Status {
  const { state } = processor;
  const target = readLinear(processor, BigInt(vector * 4), 4, USER);
  if (target === undefined) return Status.FAULT;
  const flags = state.get('rflags');
  const own = ioPrivilegeLevel(processor) === 3;
  const virtual = (flags & BigInt(Flag.VIF)) !== 0n ? BigInt(Flag.IF) : 0n;
  const image = own ? flags : (flags & ~BigInt(Flag.IF)) | virtual | BigInt(Flag.IOPL);
  const stack = stackOf(processor);
  const words = [image, BigInt(state.get32('segmentSelector', Segment.CS)), state.get('rip')];
  const pointer = pushAll(processor, stack, words, 2, 3, 0);
  if (pointer === undefined) return Status.FAULT;
  setStackPointer(processor, pointer, stack.mask);
  state.set('rflags', flags & ~BigInt(Flag.TF | (own ? Flag.IF : Flag.VIF)));
  loadSegmentRealMode(processor, Segment.CS, Number(target >> 16n));
  state.set('rip', target & 0xffffn);
  return resync(processor);
}
