/**
 * Instructions of a guest as the hypervisor looks at them when one faulted: fetch, decode, operands, effective addresses.
 * Fetch and operand reads go through the guest's own tables with its own rights.
 * Sources: SDM 1 §3.7.5 (effective addresses), SDM 2A §2.2.1.6 (RIP-relative), §3.4.1.1 (32-bit results in 64-bit mode).
 */
import type { PlatformCpu, VirtualFault } from '../../platform/cpu.ts';
import type { Decoder } from '../../x86/decode.ts';
import { MAX_INSTRUCTION_LENGTH } from '../../x86/decode.ts';
import { type CodeMode, type Instruction, NO_REGISTER, type Operand, RIP_REGISTER, Segment } from '../../x86/instruction.ts';
import { isCanonical } from './guest-walk.ts';

// Segment attributes (platform/cpu.ts).
const CODE_LONG = 1 << 13;
const CODE_DEFAULT_32 = 1 << 14;

/** Width of the code that runs on `cpu`. */
export function codeMode(cpu: PlatformCpu): CodeMode {
  const { attributes } = cpu.segment(Segment.CS);
  if ((attributes & CODE_LONG) !== 0) return 64;
  return (attributes & CODE_DEFAULT_32) !== 0 ? 32 : 16;
}

/** Address of the next instruction byte, or undefined when RIP is no address. */
export function codeAddress(cpu: PlatformCpu): bigint | undefined {
  if (codeMode(cpu) === 64) return isCanonical(cpu.rip) ? cpu.rip : undefined;
  return (cpu.segment(Segment.CS).base + cpu.rip) & 0xffff_ffffn;
}

/** Up to `length` bytes from `address`, as many as can be read, and why there are no more. */
export function readCode(cpu: PlatformCpu, address: bigint, length: number): { bytes: Uint8Array; fault: VirtualFault | undefined } {
  const bytes = new Uint8Array(length);
  const fault = cpu.readVirtual(address, bytes, true);
  if (fault === undefined) return { bytes, fault };
  const available = Number(BigInt.asUintN(64, fault.address - address));
  const part = new Uint8Array(available < length ? available : 0);
  if (part.length > 0) cpu.readVirtual(address, part, true);
  return { bytes: part, fault };
}

/** The instruction at RIP; 'invalid' when it is none; or the fault of its fetch. */
export function fetchInstruction(cpu: PlatformCpu, decoder: Decoder): Instruction | 'invalid' | VirtualFault {
  const address = codeAddress(cpu);
  if (address === undefined) return 'invalid';
  const { bytes, fault } = readCode(cpu, address, MAX_INSTRUCTION_LENGTH);
  const decoded = decoder.decode(bytes, 0, bytes.length, codeMode(cpu));
  if (typeof decoded !== 'string') return decoded;
  return decoded === 'need-more-bytes' && fault !== undefined ? fault : 'invalid';
}

/** Linear address of the memory operand. */
export function effectiveAddress(cpu: PlatformCpu, instruction: Instruction): bigint {
  const memory = instruction.memory;
  if (memory === undefined) return 0n;
  let offset = memory.displacement;
  if (memory.base === RIP_REGISTER) offset += cpu.rip + BigInt(instruction.length);
  else if (memory.base !== NO_REGISTER) offset += cpu.gpr(memory.base);
  if (memory.index !== NO_REGISTER) offset += cpu.gpr(memory.index) << BigInt(memory.scale);
  offset = BigInt.asUintN(instruction.addressSize, offset);
  const flat = instruction.mode === 64 && memory.segment !== Segment.FS && memory.segment !== Segment.GS;
  if (flat) return offset;
  const linear = offset + cpu.segment(memory.segment).base;
  return BigInt.asUintN(instruction.mode === 64 ? 64 : 32, linear);
}

/** Value of a general register operand or of the immediate, zero-extended from its width (immediates sign-extended to `width`). */
export function operandValue(cpu: PlatformCpu, instruction: Instruction, operand: Operand, width: number): bigint {
  if (operand.kind === 'immediate') return BigInt.asUintN(width, BigInt.asIntN(operand.width, instruction.immediate));
  const value = cpu.gpr(operand.index) >> (operand.high ? 8n : 0n);
  return BigInt.asUintN(operand.width, value);
}

/** Writes a general register as an instruction of that width does. */
export function writeRegister(cpu: PlatformCpu, index: number, width: number, value: bigint, high = false): void {
  if (width >= 32) {
    cpu.setGpr(index, BigInt.asUintN(width, value));
    return;
  }
  const shift = high ? 8n : 0n;
  const mask = ((1n << BigInt(width)) - 1n) << shift;
  cpu.setGpr(index, (cpu.gpr(index) & ~mask) | ((BigInt.asUintN(width, value) << shift) & mask));
}
