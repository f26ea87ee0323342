/**
 * VMCALL: hypercalls of a full domain, by the same table as those of paravirtual ones. Ring 0 only.
 *
 *   64-bit code   RAX; RDI RSI RDX R10 R8 R9; result in RAX
 *   other code    EAX; EBX ECX EDX ESI EDI EBP; result in EAX; structures in the 32-bit layout
 *
 * DEVIATION: Xen latches the width of shared_info when the hypercall page is written; here the layout of structures and
 * of shared_info follows the mode of the last call.
 * Source: Xen docs/guest-guide/x86/hypercall-abi.rst.
 */

import { Attribute } from '../../x86/descriptors.ts';
import { Segment } from '../../x86/instruction.ts';
import { Register } from '../../x86/registers.ts';
import { callHypercall } from '../hypercall/dispatch.ts';
import type { ExitContext } from './exit-context.ts';

/** Numbers of registers by encoding. */
const arguments64 = [7, 6, 2, 10, 8, 9];
const arguments32 = [3, 1, 2, 6, 7, 5];
const vmcallBytes = 3n;

export function vmcall({ hypervisor, profile, state, cpu }: ExitContext): void {
  const { vcpu } = state;
  const { domain } = vcpu;
  const wide = (cpu.segment(Segment.CS).attributes & Attribute.L) !== 0;
  const bits = wide ? 64 : 32;
  const answer = (value: bigint): void => cpu.setGpr(Register.RAX, BigInt.asUintN(bits, value));
  if (cpu.cpl !== 0) {
    answer(profile.callFromUser);
    return;
  }
  const word = (register: number): bigint => BigInt.asUintN(bits, cpu.gpr(register));
  const number = word(Register.RAX);
  if (!profile.xenHypercalls) {
    hypervisor.unknown(domain, 'hypercall', number.toString());
    answer(profile.unknownCall);
    return;
  }
  domain.addressSize = bits;
  const outcome = callHypercall(hypervisor, vcpu, number, (wide ? arguments64 : arguments32).map(word));
  if (outcome === 'restart') cpu.rip = BigInt.asUintN(bits, cpu.rip - vmcallBytes);
  else if (outcome !== 'no-result') answer(outcome);
}
