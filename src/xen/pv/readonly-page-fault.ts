/**
 * vm_assist writable_pagetables: a guest kernel writes to a page table as if it could. The table is mapped read-only, so
 * the write faults; the instruction is decoded, and what it would have stored goes through the checks of mmu_update.
 * Only L1 tables, and only one naturally aligned value of 1, 2, 4 or 8 bytes: everything else is the guest's #PF.
 * The hardware domain has it whether it asked for it or not (Xen 4.17; there it serves read-only MMIO, too).
 * Sources: Xen public/xen.h VMASST_TYPE_writable_pagetables; SDM 2 (MOV, XCHG, CMPXCHG, CMPXCHG8B, XADD, BTS ...).
 */
import type { PlatformCpu } from '../../platform/cpu.ts';
import { Flag } from '../../x86/eflags.ts';
import type { Instruction } from '../../x86/instruction.ts';
import { VMASST_TYPE_writable_pagetables } from '../../xen-abi/xen.ts';
import { isHardwareDomain } from '../domain.ts';
import { FrameFlag, PageType } from '../frame-table.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { Cost } from './cost-rows.ts';
import { FRAME_BYTES, P, RW, entryFrame } from './guest-entry.ts';
import { effectiveAddress, fetchInstruction, operandValue, writeRegister } from './guest-instruction.ts';
import { findL1Entry } from './guest-walk.ts';
import type { Pv } from './pv.ts';
import { type ModifyResult, modify, subtract } from './read-modify-write.ts';
import { finishInstruction } from './deliver-trap.ts';
import { updateL1 } from './update-entry.ts';

const RAX = 0;

/** What an instruction does with the value in memory: undefined for none that is emulated here. */
interface Effect {
  /** Value to store; undefined: nothing is stored (a CMPXCHG that found another value). */
  readonly store: bigint | undefined;
  readonly flags: number;
  readonly changed: number;
  /** Registers that change once the store is done. */
  commit(): void;
}

/** True when the fault at `address` was such a write and has been carried out. */
export function emulateTableWrite(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, address: bigint): boolean {
  const state = vcpu.pv as PvVcpu;
  const { memory, frames } = pv.hypervisor;
  const { domain } = vcpu;
  const assisted = isHardwareDomain(domain) || (domain.vmAssist & (1n << BigInt(VMASST_TYPE_writable_pagetables))) !== 0n;
  if (!assisted || !state.kernelMode) return false;
  // 1. The address has a present read-only mapping of a frame that is the domain's, and an L1 table now.
  const position = findL1Entry(memory, state.guestTable, address);
  if (position === undefined) return false;
  const at = position.frame * FRAME_BYTES + position.index * 8;
  const mapping = memory.readU32(at);
  if ((mapping & (P | RW)) !== P) return false;
  const table = entryFrame(mapping, memory.readU32(at + 4));
  const isL1 =
    frames.exists(table) &&
    frames.owner[table] === vcpu.domain.id &&
    frames.type[table] === PageType.l1 &&
    (frames.typeReferences[table] as number) > 0 &&
    frames.has(table, FrameFlag.validated);
  if (!isL1) return false;
  // 2. The instruction writes one aligned value there.
  const instruction = fetchInstruction(cpu, pv.decoder);
  if (instruction === 'invalid' || !('row' in instruction)) return false;
  const operand = instruction.operands.find((candidate) => candidate.kind === 'memory');
  const width = operand?.width ?? 0;
  if ((width !== 8 && width !== 16 && width !== 32 && width !== 64) || instruction.repeat !== '') return false;
  if (writtenAddress(cpu, instruction, width) !== address || (address & BigInt(width / 8 - 1)) !== 0n) return false;
  // 3. Its effect on the value, as part of the 8-byte entry.
  const entryAddress = table * FRAME_BYTES + Number(address & 0xff8n);
  const entry = memory.readU64(entryAddress);
  const shift = (address & 7n) * 8n;
  const mask = ((1n << BigInt(width)) - 1n) << shift;
  const effect = effectOf(cpu, instruction, (entry & mask) >> shift, width);
  if (effect === undefined) return false;
  cpu.charge(Cost.trappedStore);
  cpu.touch('page-table', table);
  if (effect.store !== undefined) {
    const value = (entry & ~mask) | ((effect.store << shift) & mask);
    const index = (entryAddress % FRAME_BYTES) / 8;
    const low = Number(value & 0xffff_ffffn);
    const high = Number(value >> 32n);
    if (updateL1(pv.tables, table, index, low, high, vcpu.domain, vcpu.domain.id, false) < 0) return false;
  }
  // 4. Registers and flags, and on behind the instruction.
  effect.commit();
  cpu.rflags = (cpu.rflags & ~BigInt(effect.changed)) | BigInt(effect.flags & effect.changed);
  pv.hypervisor.operation(vcpu, 'emulated page-table write');
  finishInstruction(pv, vcpu, cpu, instruction.length);
  return true;
}

/** BTS, BTR and BTC with a register reach beyond their operand: the bit number moves the address. */
function writtenAddress(cpu: PlatformCpu, instruction: Instruction, width: number): bigint {
  const address = effectiveAddress(cpu, instruction);
  const bit = instruction.operands[1];
  if (!/^BT[SRC]$/.test(instruction.row.mnemonic) || bit?.kind !== 'register') return address;
  const number = BigInt.asIntN(width, operandValue(cpu, instruction, bit, width));
  return BigInt.asUintN(64, address + (number >> BigInt(Math.log2(width))) * BigInt(width / 8));
}

function effectOf(cpu: PlatformCpu, instruction: Instruction, memory: bigint, width: number): Effect | undefined {
  const { mnemonic } = instruction.row;
  const [first, second] = instruction.operands;
  const nothing = (): void => {};
  const other = first?.kind === 'memory' ? second : first;
  const value = other === undefined ? 0n : operandValue(cpu, instruction, other, width);
  switch (mnemonic) {
    case 'MOV':
      return first?.kind === 'memory' ? { store: value, flags: 0, changed: 0, commit: nothing } : undefined;
    case 'XCHG': {
      if (other === undefined) return undefined;
      const commit = (): void => writeRegister(cpu, other.index, width, memory, other.high);
      return { store: value, flags: 0, changed: 0, commit };
    }
    case 'XADD': {
      if (other === undefined) return undefined;
      const sum = modify('XADD', memory, value, width, false) as ModifyResult;
      const commit = (): void => writeRegister(cpu, other.index, width, memory, other.high);
      return { store: sum.value, flags: sum.flags, changed: sum.changed, commit };
    }
    case 'CMPXCHG': {
      const expected = BigInt.asUintN(width, cpu.gpr(RAX));
      const compared = subtract(expected, memory, 0n, width);
      const equal = expected === memory;
      const commit = equal ? nothing : (): void => writeRegister(cpu, RAX, width, memory);
      return { store: equal ? value : undefined, flags: compared.flags, changed: compared.changed, commit };
    }
    case 'CMPXCHG8B': {
      const low = (register: number): bigint => cpu.gpr(register) & 0xffff_ffffn;
      const equal = ((low(2) << 32n) | low(0)) === memory; // EDX:EAX
      const commit = (): void => {
        if (equal) return;
        cpu.setGpr(0, memory & 0xffff_ffffn);
        cpu.setGpr(2, memory >> 32n);
      };
      const store = equal ? (low(1) << 32n) | low(3) : undefined; // ECX:EBX
      return { store, flags: equal ? Flag.ZF : 0, changed: Flag.ZF, commit };
    }
    default: {
      // The memory operand comes first in all the others; where it is the second it is only read.
      if (first?.kind !== 'memory') return undefined;
      const result = modify(mnemonic, memory, value, width, (cpu.rflags & BigInt(Flag.CF)) !== 0n);
      return result && { store: result.value, flags: result.flags, changed: result.changed, commit: nothing };
    }
  }
}
