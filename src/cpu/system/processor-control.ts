/**
 * Instructions that ask or tell the processor as a whole: CPUID, MSRs, time stamps, HLT, INVLPG, caches, hypercalls,
 * undefined ones.
 * Sources: SDM 2 (operation of each); SDM 3C §25 (which of them exit).
 */
import { Cr4 } from '../../x86/control-registers.ts';
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { type Instruction, Segment } from '../../x86/instruction.ts';
import { instructionTwelfths } from '../../timing/instruction-costs.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import { Register } from '../../x86/registers.ts';
import { cpuid } from '../cpuid/model.ts';
import { Status } from '../engine.ts';
import { flushLookup } from '../mmu/lookup-table.ts';
import { isLargePage } from '../mmu/page-size.ts';
import { runExit } from '../mmu/second-stage.ts';
import { msrExits, readMsr, timestamp, writeMsr } from '../msr.ts';
import type { Processor } from '../processor.ts';
import { invalidatePage } from './control-registers.ts';
import { type Handler, effectiveAddress, operandOf, readMemory, readOperand, resync } from './operand.ts';

function setPair(processor: Processor, value: bigint): void {
  processor.state.set('gpr', value & 0xffff_ffffn, Register.RAX);
  processor.state.set('gpr', (value >> 32n) & 0xffff_ffffn, Register.RDX);
}

function getPair(processor: Processor): bigint {
  const low = processor.state.get('gpr', Register.RAX) & 0xffff_ffffn;
  return low | ((processor.state.get('gpr', Register.RDX) & 0xffff_ffffn) << 32n);
}

function low32(processor: Processor, register: number): number {
  return Number(processor.state.get('gpr', register) & 0xffff_ffffn);
}

/** What CPUID answers on this processor. */
export function processorCpuid(processor: Processor, leaf: number, subleaf: number): [number, number, number, number] {
  const { state } = processor;
  return cpuid(processor.cpuid, leaf, subleaf, {
    apicId: processor.index,
    processors: processor.peers.length,
    osxsave: (state.get32('cr4') & Cr4.OSXSAVE) !== 0,
    xcr0: state.get('xcr0'),
  });
}

const cpuidInstruction: Handler = (processor) => {
  if (processor.control !== undefined) {
    runExit(processor, { reason: 'cpuid' });
    return resync(processor);
  }
  const [eax, ebx, ecx, edx] = processorCpuid(processor, low32(processor, Register.RAX), low32(processor, Register.RCX));
  const { state } = processor;
  state.set('gpr', BigInt(eax >>> 0), Register.RAX);
  state.set('gpr', BigInt(ebx >>> 0), Register.RBX);
  state.set('gpr', BigInt(ecx >>> 0), Register.RCX);
  state.set('gpr', BigInt(edx >>> 0), Register.RDX);
  processor.charge('cpuid');
  return Status.CONTINUE;
};

const rdmsr: Handler = (processor) => {
  if (processor.state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
  const index = low32(processor, Register.RCX);
  if (msrExits(processor, index, false)) {
    const epoch = processor.contextEpoch;
    const exit: { reason: 'rdmsr'; index: number; value?: bigint; refused?: boolean } = { reason: 'rdmsr', index };
    runExit(processor, exit);
    if (epoch !== processor.contextEpoch) return resync(processor);
    if (exit.refused === true) return processor.faultWithCode(Vector.GP, 0);
    if (exit.value !== undefined) setPair(processor, exit.value);
    return resync(processor);
  }
  const value = readMsr(processor, index);
  if (value === undefined) return processor.faultWithCode(Vector.GP, 0);
  processor.charge('rdmsr');
  setPair(processor, value);
  return Status.CONTINUE;
};

const wrmsr: Handler = (processor) => {
  if (processor.state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
  const index = low32(processor, Register.RCX);
  const value = getPair(processor);
  if (msrExits(processor, index, true)) {
    const epoch = processor.contextEpoch;
    const exit: { reason: 'wrmsr'; index: number; value: bigint; refused?: boolean } = { reason: 'wrmsr', index, value };
    runExit(processor, exit);
    if (epoch === processor.contextEpoch && exit.refused === true) return processor.faultWithCode(Vector.GP, 0);
    return resync(processor);
  }
  if (!writeMsr(processor, index, value)) return processor.faultWithCode(Vector.GP, 0);
  processor.charge('wrmsr');
  return resync(processor);
};

/** False, with #GP(0) recorded, when CR4.TSD keeps the time stamp from this code. */
function timeStampAllowed(processor: Processor): boolean {
  const { state } = processor;
  if ((state.get32('cr4') & Cr4.TSD) === 0 || state.get32('cpl') === 0) return true;
  processor.faultWithCode(Vector.GP, 0);
  return false;
}

function readTimeStamp(processor: Processor): void {
  const value = timestamp(processor);
  setPair(processor, value);
  processor.onTimestamp?.(value);
}

/** True when the time stamp has to be read again later: the machine's clocks look like one (Bus.isAhead). */
function mustWait(processor: Processor, instruction: Instruction): boolean {
  const { state, bus } = processor;
  if (bus.isAhead === undefined) return false;
  // The engine has charged the row already: what counts is when the instruction began, and waiting costs nothing.
  const row = instruction.repeat === '' ? instructionTwelfths(processor.costs, instruction) : 0;
  const began = state.get('cycles') - BigInt(row);
  if (!bus.isAhead(processor.index, began / 12n)) return false;
  state.set('cycles', began);
  processor.endRun();
  return true;
}

const rdtsc: Handler = (processor, instruction) => {
  if (!timeStampAllowed(processor)) return Status.FAULT;
  if (mustWait(processor, instruction)) return Status.REPEAT;
  if (processor.control?.intercepts.rdtsc === true) processor.charge('vm_exit');
  readTimeStamp(processor);
  return Status.CONTINUE;
};

const rdtscp: Handler = (processor, instruction) => {
  if (!timeStampAllowed(processor)) return Status.FAULT;
  if (mustWait(processor, instruction)) return Status.REPEAT;
  if (processor.control?.intercepts.rdtsc === true) processor.charge('vm_exit');
  readTimeStamp(processor);
  processor.state.set('gpr', processor.state.get('tscAux') & 0xffff_ffffn, Register.RCX);
  return Status.CONTINUE;
};

/** No performance counter exists, so every number is a bad one. */
const rdpmc: Handler = (processor) => processor.faultWithCode(Vector.GP, 0);

const hlt: Handler = (processor) => {
  const { state } = processor;
  if (state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
  // The shadow of STI covers HLT as an instruction only: STI, HLT wakes up.
  state.set32('interruptShadow', 0);
  if (processor.control !== undefined) {
    runExit(processor, { reason: 'hlt' });
    return resync(processor);
  }
  processor.charge('hlt');
  state.set32('halted', 1);
  return Status.HALT;
};

const invlpg: Handler = (processor, instruction) => {
  const { state } = processor;
  if (state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
  const segment = instruction.memory?.segment ?? Segment.DS;
  let linear = effectiveAddress(processor, instruction);
  if (state.get32('codeMode') !== 64 || segment === Segment.FS || segment === Segment.GS) {
    linear += state.get('segmentBase', segment);
  }
  linear = BigInt.asUintN(state.get32('codeMode') === 64 ? 64 : 32, linear);
  invalidatePage(processor, linear, isLargePage(processor, linear));
  if (processor.control?.intercepts.invlpg === true) runExit(processor, { reason: 'invlpg', linear });
  else processor.charge('invlpg');
  return resync(processor);
};

const InvpcidType = { ADDRESS: 0, CONTEXT: 1, ALL_WITH_GLOBAL: 2, ALL: 3 } as const;
const PCID_BITS = 12n;

/**
 * INVPCID: the type is in the register, PCID and address in memory. A context that is not the current one has nothing in
 * the lookup table, which knows no PCIDs; the flushes of the modelled TLB are those of the whole.
 */
const invpcid: Handler = (processor, instruction) => {
  const { state } = processor;
  if (state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
  const type = readOperand(processor, instruction, operandOf(instruction, 0));
  const pcid = readMemory(processor, instruction, 8);
  const linear = pcid === undefined ? undefined : readMemory(processor, instruction, 8, 8);
  if (type === undefined || pcid === undefined || linear === undefined) return Status.FAULT;
  const pcide = (state.get32('cr4') & Cr4.PCIDE) !== 0;
  const single = type === BigInt(InvpcidType.ADDRESS) || type === BigInt(InvpcidType.CONTEXT);
  const badPcid = single && !pcide && pcid !== 0n;
  const badAddress = type === BigInt(InvpcidType.ADDRESS) && !isCanonical(linear);
  if (type > BigInt(InvpcidType.ALL) || pcid >> PCID_BITS !== 0n || badPcid || badAddress) {
    return processor.faultWithCode(Vector.GP, 0);
  }
  if (type === BigInt(InvpcidType.ADDRESS)) invalidatePage(processor, linear, isLargePage(processor, linear));
  else {
    flushLookup(processor);
    const vpid = state.get32('vpid');
    if (type === BigInt(InvpcidType.ALL_WITH_GLOBAL)) processor.translation.flushAll(vpid);
    else processor.translation.flushNonGlobal(vpid);
  }
  processor.charge('invlpg');
  return resync(processor);
};

function privilegedNothing(event: string | undefined): Handler {
  return (processor) => {
    if (processor.state.get32('cpl') !== 0) return processor.faultWithCode(Vector.GP, 0);
    if (event !== undefined) processor.charge(event);
    return Status.CONTINUE;
  };
}

/** VMCALL and VMMCALL: in a guest they leave to its hypervisor, at any CPL; elsewhere they are undefined. */
const vmcall: Handler = (processor) => {
  if (processor.control === undefined) return processor.fault(Vector.UD);
  runExit(processor, { reason: 'vmcall' });
  return resync(processor);
};

const undefinedInstruction: Handler = (processor) => processor.fault(Vector.UD);

/** CLAC, STAC. */
function setAccessControl(on: boolean): Handler {
  return (processor) => {
    const { state } = processor;
    if (state.get32('cpl') !== 0) return processor.fault(Vector.UD);
    const ac = BigInt(Flag.AC);
    state.set('rflags', on ? state.get('rflags') | ac : state.get('rflags') & ~ac);
    return Status.CONTINUE;
  };
}

/** DEVIATION: MONITOR and MWAIT do nothing, as if the store had already happened; no model offers them. */
const monitorWait: Handler = (processor) => {
  if (processor.state.get32('cpl') !== 0) return processor.fault(Vector.UD);
  return Status.CONTINUE;
};

const rdpid: Handler = (processor, instruction) => {
  const target = instruction.operands[0];
  if (target !== undefined) processor.state.set('gpr', processor.state.get('tscAux'), target.index);
  return Status.CONTINUE;
};

const nothing: Handler = () => Status.CONTINUE;

/** A line of the cache is checked as for a load (SDM 2A CLWB, CLFLUSHOPT). */
const flushLine: Handler = (processor, instruction) =>
  readMemory(processor, instruction, 1) === undefined ? Status.FAULT : Status.CONTINUE;

export const PROCESSOR_CONTROL_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  CPUID: cpuidInstruction,
  RDMSR: rdmsr,
  WRMSR: wrmsr,
  RDTSC: rdtsc,
  RDTSCP: rdtscp,
  RDPMC: rdpmc,
  RDPID: rdpid,
  HLT: hlt,
  INVLPG: invlpg,
  INVD: privilegedNothing('wbinvd'),
  WBINVD: privilegedNothing('wbinvd'),
  WBNOINVD: privilegedNothing('wbinvd'),
  CLWB: flushLine,
  CLFLUSHOPT: flushLine,
  PREFETCH: nothing,
  VMCALL: vmcall,
  VMMCALL: vmcall,
  MONITOR: monitorWait,
  MWAIT: monitorWait,
  CLAC: setAccessControl(false),
  STAC: setAccessControl(true),
  INVPCID: invpcid,
  UD0: undefinedInstruction,
  UD1: undefinedInstruction,
  UD2: undefinedInstruction,
  RSM: undefinedInstruction,
};
