/**
 * Privileged instructions of a paravirtual guest: each raises #GP(0) in ring 3; those that the ABI gives a meaning are
 * carried out here, for the others the guest gets its #GP.
 * CLI and STI do nothing at all where IOPL allows them: the guest's interrupt flag is its upcall mask.
 * Sources: SDM 2 (each instruction), Xen public/xen.h. Left out: XSETBV (XSAVE is hidden), call gates (32-bit only).
 */
import type { PlatformCpu, VirtualFault } from '../../platform/cpu.ts';
import { Cr4 } from '../../x86/control-registers.ts';
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import type { Instruction, Operand } from '../../x86/instruction.ts';
import { Msr } from '../../x86/msr-index.ts';
import { ENODEV } from '../../xen-abi/errno.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { readControlRegister, writeControlRegister, setTaskSwitched } from './control-registers.ts';
import { Cost } from './cost-rows.ts';
import { getDebugRegister, setDebugRegister } from './debug-registers.ts';
import { executeCpuid } from './forced-cpuid.ts';
import { effectiveAddress, fetchInstruction, writeRegister } from './guest-instruction.ts';
import { ioplAllows, portAllowed, readPort, writePort } from './io-ports.ts';
import { readGuestMsr, writeGuestMsr } from './msr.ts';
import type { Pv } from './pv.ts';
import { deliverPageFault, deliverTrap, finishInstruction } from './deliver-trap.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RSI = 6;
const RDI = 7;
const PF_FETCH = 0x10;

/** done: go on behind it; again: RIP stays (REP); delivered: something else was delivered; gp: the guest's #GP(0). */
type Outcome = 'done' | 'again' | 'delivered' | 'gp';

/** True when the instruction behind a #GP(0) has been dealt with, one way or another. */
export function emulatePrivilegedOp(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu): boolean {
  const instruction = fetchInstruction(cpu, pv.decoder);
  if (instruction === 'invalid') return false;
  if (!('row' in instruction)) {
    deliverPageFault(pv, vcpu, cpu, instruction.address, instruction.errorCode | PF_FETCH);
    return true;
  }
  const outcome = execute(pv, vcpu, cpu, instruction);
  if (outcome === 'gp') return false;
  cpu.charge(Cost.emulate);
  pv.hypervisor.operation(vcpu, `emulated instruction: ${instruction.row.mnemonic}`);
  if (outcome === 'done') finishInstruction(pv, vcpu, cpu, instruction.length);
  return true;
}

function execute(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, instruction: Instruction): Outcome {
  const state = vcpu.pv as PvVcpu;
  const kernel = state.kernelMode;
  const low32 = (register: number): bigint => cpu.gpr(register) & 0xffff_ffffn;
  const setPair = (value: bigint): void => {
    cpu.setGpr(RAX, value & 0xffff_ffffn);
    cpu.setGpr(RDX, (value >> 32n) & 0xffff_ffffn);
  };
  switch (instruction.row.mnemonic) {
    case 'CLI':
    case 'STI':
      return ioplAllows(vcpu) ? 'done' : 'gp';
    case 'IN':
    case 'OUT':
    case 'INS':
    case 'OUTS':
      return portInstruction(pv, vcpu, cpu, instruction);
    case 'CPUID':
      executeCpuid(pv, vcpu, cpu);
      return 'done';
    case 'RDTSC':
    case 'RDTSCP':
      // In user mode it faulted because the guest set CR4.TSD, and is meant to.
      if (!kernel && (state.cr4 & BigInt(Cr4.TSD)) !== 0n) return 'gp';
      setPair(cpu.cycles);
      if (instruction.row.mnemonic === 'RDTSCP') cpu.setGpr(RCX, cpu.readMsr(Msr.IA32_TSC_AUX) ?? 0n);
      return 'done';
    default:
      if (!kernel) return 'gp';
  }
  switch (instruction.row.mnemonic) {
    case 'CLTS':
      setTaskSwitched(vcpu, cpu, false);
      return 'done';
    case 'WBINVD':
    case 'WBNOINVD':
      return 'done';
    case 'RDMSR': {
      const value = readGuestMsr(pv, vcpu, cpu, Number(low32(RCX)));
      if (value === undefined) return 'gp';
      setPair(value);
      return 'done';
    }
    case 'WRMSR':
      return writeGuestMsr(pv, vcpu, cpu, Number(low32(RCX)), (low32(RDX) << 32n) | low32(RAX)) ? 'done' : 'gp';
    case 'MOV':
      return moveSpecial(pv, vcpu, cpu, instruction);
    default:
      pv.hypervisor.unknown(vcpu.domain, 'instruction', instruction.row.mnemonic);
      return 'gp';
  }
}

/** MOV to and from control and debug registers. */
function moveSpecial(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, instruction: Instruction): Outcome {
  const [target, source] = instruction.operands as [Operand, Operand];
  if (source.kind === 'control') {
    const value = readControlRegister(vcpu, cpu, source.index);
    if (value === undefined) return 'gp';
    writeRegister(cpu, target.index, target.width, value);
    return 'done';
  }
  if (target.kind === 'control') return writeControlRegister(pv, vcpu, cpu, target.index, cpu.gpr(source.index)) ? 'done' : 'gp';
  if (source.kind === 'debug') {
    const value = getDebugRegister(vcpu, source.index);
    if (value < 0n) return undefinedOpcode(pv, vcpu, cpu);
    writeRegister(cpu, target.index, target.width, value);
    return 'done';
  }
  if (target.kind === 'debug') {
    const result = setDebugRegister(pv.hypervisor, vcpu, target.index, cpu.gpr(source.index));
    if (result === -ENODEV) return undefinedOpcode(pv, vcpu, cpu);
    return result < 0 ? 'gp' : 'done';
  }
  return 'gp';
}

function undefinedOpcode(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu): Outcome {
  deliverTrap(pv, vcpu, cpu, Vector.UD, undefined);
  return 'delivered';
}

function portInstruction(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, instruction: Instruction): Outcome {
  const { mnemonic } = instruction.row;
  const input = mnemonic === 'IN' || mnemonic === 'INS';
  const portOperand = instruction.operands[input ? 1 : 0] as Operand;
  const dataOperand = instruction.operands[input ? 0 : 1] as Operand;
  const port = portOperand.kind === 'immediate' ? Number(instruction.immediate & 0xffn) : Number(cpu.gpr(RDX) & 0xffffn);
  const size = (dataOperand.width / 8) as 1 | 2 | 4;
  const allowed = portAllowed(vcpu, cpu, port, size);
  if (allowed === false) return 'gp';
  if (allowed !== true) return faulted(pv, vcpu, cpu, allowed);
  if (mnemonic === 'IN') {
    writeRegister(cpu, RAX, dataOperand.width, BigInt(readPort(pv, vcpu, port, size)));
    return 'done';
  }
  if (mnemonic === 'OUT') {
    writePort(pv, vcpu, port, size, Number(BigInt.asUintN(dataOperand.width, cpu.gpr(RAX))));
    return 'done';
  }
  return portString(pv, vcpu, cpu, instruction, port, size, input);
}

/** One element of INS or OUTS; with REP the instruction runs again until RCX is 0. */
function portString(
  pv: Pv,
  vcpu: Vcpu,
  cpu: PlatformCpu,
  instruction: Instruction,
  port: number,
  size: 1 | 2 | 4,
  input: boolean,
): Outcome {
  const width = instruction.addressSize;
  const repeated = instruction.repeat !== '';
  const count = BigInt.asUintN(width, cpu.gpr(RCX));
  if (repeated && count === 0n) return 'done';
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  const linear = effectiveAddress(cpu, instruction);
  if (input) {
    // Looks at the page before the port is read, so that nothing is lost when it faults.
    const probe = cpu.readVirtual(linear, bytes, true);
    if (probe !== undefined) return faulted(pv, vcpu, cpu, probe);
    const value = readPort(pv, vcpu, port, size);
    for (let i = 0; i < size; i++) bytes[i] = Math.floor(value / 2 ** (8 * i)) & 0xff;
    const fault = cpu.writeVirtual(linear, bytes, true);
    if (fault !== undefined) return faulted(pv, vcpu, cpu, fault);
  } else {
    const fault = cpu.readVirtual(linear, bytes, true);
    if (fault !== undefined) return faulted(pv, vcpu, cpu, fault);
    writePort(pv, vcpu, port, size, size === 1 ? view.getUint8(0) : size === 2 ? view.getUint16(0, true) : view.getUint32(0, true));
  }
  const pointer = input ? RDI : RSI;
  const step = (cpu.rflags & BigInt(Flag.DF)) === 0n ? BigInt(size) : BigInt(-size);
  writeRegister(cpu, pointer, width, cpu.gpr(pointer) + step);
  if (!repeated) return 'done';
  writeRegister(cpu, RCX, width, count - 1n);
  return count === 1n ? 'done' : 'again';
}

function faulted(pv: Pv, vcpu: Vcpu, cpu: PlatformCpu, fault: VirtualFault): Outcome {
  deliverPageFault(pv, vcpu, cpu, fault.address, fault.errorCode);
  return 'delivered';
}
