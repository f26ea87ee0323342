/**
 * RFLAGS as instructions may change them: which bits a POPF or IRET at some privilege reaches.
 * Sources: SDM 2B POPF Table 4-21, SDM 2A IRET (operation), SDM 3A §2.3.
 */
import { Flag, IOPL_SHIFT, STATUS_FLAGS } from '../../x86/eflags.ts';
import type { Processor } from '../processor.ts';

const ALWAYS = STATUS_FLAGS | Flag.TF | Flag.DF | Flag.NT | Flag.AC | Flag.ID;

export function ioPrivilegeLevel(processor: Processor): number {
  return (processor.state.get32('rflags') >> IOPL_SHIFT) & 3;
}

/**
 * Writes RFLAGS as POPF with an operand of `size` bits does: IF only when CPL <= IOPL, IOPL only at CPL 0, VM, VIF and VIP
 * never; RF is cleared. 16-bit operands leave the upper half. Ends the engine's run when TF or IF became set.
 */
export function writeFlags(processor: Processor, value: bigint, size: 16 | 32 | 64): void {
  writeFlagsMasked(processor, value, size, 0);
  const { state } = processor;
  state.set('rflags', state.get('rflags') & ~BigInt(Flag.RF));
}

/** As {@link writeFlags}, with `extra` bits (RF) written too: IRET. */
export function writeFlagsMasked(processor: Processor, value: bigint, size: 16 | 32 | 64, extra: number): void {
  const { state } = processor;
  const cpl = state.get32('cpl');
  let mask: number = ALWAYS | extra;
  if (cpl <= ioPrivilegeLevel(processor)) mask |= Flag.IF;
  if (cpl === 0) mask |= Flag.IOPL;
  if (size === 16) mask &= 0xffff;
  const old = state.get32('rflags');
  const flags = (old & ~mask) | (Number(value & 0xffff_ffffn) & mask) | Flag.RESERVED_ONE;
  state.set('rflags', BigInt(flags >>> 0));
  // The run loop looks at these, and chooses the lookup table by AC.
  if ((flags & (Flag.TF | Flag.IF | Flag.RF)) !== 0 || ((flags ^ old) & Flag.AC) !== 0) processor.breakRun();
}
