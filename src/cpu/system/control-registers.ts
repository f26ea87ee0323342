/**
 * Control and debug registers: the checks and effects of a write, wherever it comes from, and the instructions.
 * In non-root operation an intercepted write takes effect and then exits: the hypervisor sees it, and may undo it.
 * Sources: SDM 3A §2.5, §4.1.2 (paging mode transitions), §4.10.4.1 (what is flushed), §9.8.5 (entering long mode),
 * SDM 2B MOV CR, MOV DR, LMSW, SMSW, SDM 2A CLTS.
 */
import { Cr0, Cr3, Cr4, Dr6, Dr7, Efer } from '../../x86/control-registers.ts';
import { Attribute } from '../../x86/descriptors.ts';
import { Vector } from '../../x86/exceptions.ts';
import { type Instruction, Segment } from '../../x86/instruction.ts';
import { Status } from '../engine.ts';
import { runExit } from '../mmu/second-stage.ts';
import { dropPage, flushLookup } from '../mmu/lookup-table.ts';
import { loadPdptes } from '../mmu/pdpte.ts';
import { updateMode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { type Handler, operandOf, readOperand, resync, setRegister, writeOperand } from './operand.ts';

/** Bits of CR0 whose change loads the PDPTEs again (SDM 3A §4.4.1). */
const PDPTE_LOADERS = Cr0.CD | Cr0.NW | Cr0.PG;
const CR0_DEFINED = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;

/** CR4 bits of a processor with these features. */
function cr4Allowed(processor: Processor): number {
  const { features } = processor.cpuid;
  let bits: number = Cr4.TSD | Cr4.PCE | Cr4.MCE;
  if (features.has('VME')) bits |= Cr4.VME | Cr4.PVI;
  if (features.has('DE')) bits |= Cr4.DE;
  if (features.has('PSE')) bits |= Cr4.PSE;
  if (features.has('PAE')) bits |= Cr4.PAE;
  if (features.has('PGE')) bits |= Cr4.PGE;
  if (features.has('FXSR')) bits |= Cr4.OSFXSR | Cr4.OSXMMEXCPT;
  if (features.has('UMIP')) bits |= Cr4.UMIP;
  if (features.has('FSGSBASE')) bits |= Cr4.FSGSBASE;
  if (features.has('XSAVE')) bits |= Cr4.OSXSAVE;
  if (features.has('SMEP')) bits |= Cr4.SMEP;
  if (features.has('SMAP')) bits |= Cr4.SMAP;
  if (features.has('PCID')) bits |= Cr4.PCIDE;
  return bits;
}

function flushAll(processor: Processor): void {
  flushLookup(processor);
  processor.translation.flushAll(processor.state.get32('vpid'));
}

/** Writes CR0 and follows it into another mode. False: #GP(0) was recorded and nothing changed. */
export function writeCr0(processor: Processor, value: bigint): boolean {
  const { state } = processor;
  const bits = (Number(value & 0xffff_ffffn) | Cr0.ET) >>> 0;
  const before = state.get32('cr0');
  const paging = (bits & Cr0.PG) !== 0;
  const bad = value >> 32n !== 0n || (paging && (bits & Cr0.PE) === 0) || ((bits & Cr0.NW) !== 0 && (bits & Cr0.CD) === 0);
  if (bad) return gp(processor);
  if (!paging && (state.get32('cr4') & Cr4.PCIDE) !== 0) return gp(processor);
  const efer = state.get32('efer');
  const turnsOn = paging && (before & Cr0.PG) === 0;
  if (turnsOn && (efer & Efer.LME) !== 0) {
    const inLongCode = (state.get32('segmentAttributes', Segment.CS) & Attribute.L) !== 0;
    if ((state.get32('cr4') & Cr4.PAE) === 0 || inLongCode) return gp(processor);
  }
  const pae = (state.get32('cr4') & Cr4.PAE) !== 0;
  const loads = pae && paging && (efer & Efer.LMA) === 0 && (efer & Efer.LME) === 0;
  if (loads && ((before ^ bits) & PDPTE_LOADERS) !== 0 && !loadPdptes(processor, state.get('cr3'))) return gp(processor);
  const turnsOff = !paging && (before & Cr0.PG) !== 0;
  if (turnsOff && state.get32('codeMode') === 64) return gp(processor);

  state.set('cr0', BigInt((bits & CR0_DEFINED) >>> 0));
  if (turnsOn && (efer & Efer.LME) !== 0) state.set('efer', BigInt(efer | Efer.LMA));
  if (turnsOff) state.set('efer', BigInt(efer & ~Efer.LMA));
  const changed = before ^ bits;
  if ((changed & (Cr0.PG | Cr0.PE)) !== 0) flushAll(processor);
  else if ((changed & Cr0.WP) !== 0) flushLookup(processor); // rights are in the lookup table, not in the modelled TLB
  updateMode(processor);
  return true;
}

/**
 * MOV CR3: drops translations that are not global. With CR4.PCIDE bit 63 asks to keep those of the PCID.
 * DEVIATION: they are dropped all the same: neither the lookup table nor the modelled TLB tells PCIDs apart. False: #GP(0).
 */
export function writeCr3(processor: Processor, given: bigint): boolean {
  const { state, cpuid } = processor;
  const pcide = (state.get32('cr4') & Cr4.PCIDE) !== 0;
  const value = pcide ? given & ~Cr3.NO_FLUSH : given;
  if (state.get32('longMode') !== 0) {
    if (value >> BigInt(cpuid.physicalAddressBits) !== 0n) return gp(processor);
  } else if (paePaging(processor) && !loadPdptes(processor, value)) {
    return gp(processor);
  }
  state.set('cr3', value);
  flushLookup(processor);
  const vpid = state.get32('vpid');
  if ((state.get32('cr4') & Cr4.PGE) !== 0) processor.translation.flushNonGlobal(vpid);
  else processor.translation.flushAll(vpid);
  return true;
}

/** Writes CR4. False: #GP(0). */
export function writeCr4(processor: Processor, value: bigint): boolean {
  const { state } = processor;
  const bits = Number(value & 0xffff_ffffn);
  const before = state.get32('cr4');
  if (value >> 32n !== 0n || (bits & ~cr4Allowed(processor)) !== 0) return gp(processor);
  if ((bits & Cr4.PAE) === 0 && state.get32('longMode') !== 0) return gp(processor);
  const changed = before ^ bits;
  const pcidOn = (changed & bits & Cr4.PCIDE) !== 0;
  if (pcidOn && (state.get32('longMode') === 0 || (state.get('cr3') & BigInt(Cr3.PCID_MASK)) !== 0n)) return gp(processor);
  const pagingChange = Cr4.PAE | Cr4.PSE | Cr4.PGE | Cr4.SMEP | Cr4.SMAP;
  const paging = (state.get32('cr0') & Cr0.PG) !== 0;
  const reloads = (changed & (Cr4.PAE | Cr4.PSE | Cr4.PGE | Cr4.SMEP)) !== 0 && (bits & Cr4.PAE) !== 0;
  if (reloads && paging && state.get32('longMode') === 0 && !loadPdptes(processor, state.get('cr3'))) return gp(processor);
  state.set('cr4', BigInt(bits >>> 0));
  if ((changed & (Cr4.PAE | Cr4.PSE | Cr4.PGE | Cr4.PCIDE)) !== 0) flushAll(processor);
  else if ((changed & pagingChange) !== 0) flushLookup(processor);
  return true;
}

/** INVLPG, whatever the privilege. A page inside a large one drops the whole lookup table: its parts are 4 KiB entries. */
export function invalidatePage(processor: Processor, linear: bigint, large: boolean): void {
  if (large) flushLookup(processor);
  else dropPage(processor, linear);
  const page = Number((BigInt.asUintN(64, linear) >> 12n) & 0xf_ffff_ffff_ffffn);
  processor.translation.flushPage(processor.state.get32('vpid'), page);
}

/** PAE paging outside long mode is on. */
function paePaging({ state }: Processor): boolean {
  return (state.get32('cr0') & Cr0.PG) !== 0 && (state.get32('cr4') & Cr4.PAE) !== 0 && state.get32('longMode') === 0;
}

function gp(processor: Processor): false {
  processor.faultWithCode(Vector.GP, 0);
  return false;
}

function privileged(processor: Processor): boolean {
  if (processor.state.get32('cpl') === 0) return true;
  return gp(processor);
}

const COST: Readonly<Record<number, string>> = { 0: 'mov_cr0', 3: 'mov_cr3', 4: 'mov_cr4' };

/** Whether the hypervisor of the running guest watches this register; `changed` bits differ from before. */
export function crWriteExits(processor: Processor, register: 0 | 3 | 4, changed: number): boolean {
  const intercepts = processor.control?.intercepts;
  if (intercepts === undefined) return false;
  if (register === 3) return intercepts.cr3;
  return register === 4 ? intercepts.cr4Pge && (changed & Cr4.PGE) !== 0 : intercepts.cr0Ts && (changed & Cr0.TS) !== 0;
}

/** The exit of a watched write, which has taken effect. */
function exitForCrWrite(processor: Processor, register: 0 | 3 | 4, value: bigint, changed: number): void {
  if (crWriteExits(processor, register, changed)) runExit(processor, { reason: 'cr-write', register, value });
}

const movToCr: Handler = (processor, instruction) => {
  const { state } = processor;
  const register = operandOf(instruction, 0).index;
  if (register !== 0 && register !== 2 && register !== 3 && register !== 4 && register !== 8) {
    return processor.fault(Vector.UD);
  }
  if (!privileged(processor)) return Status.FAULT;
  const value = readOperand(processor, instruction, operandOf(instruction, 1));
  if (value === undefined) return Status.FAULT;
  if (register === 2) {
    state.set('cr2', value);
    return Status.CONTINUE;
  }
  if (register === 8) {
    if (value > 15n) return processor.faultWithCode(Vector.GP, 0);
    state.set('cr8', value);
    processor.bus.apic?.setTaskPriority(processor.index, Number(value));
    return resync(processor);
  }
  const before = register === 3 ? 0 : state.get32(register === 0 ? 'cr0' : 'cr4');
  const written = register === 0 ? writeCr0(processor, value) : register === 4 ? writeCr4(processor, value) : writeCr3(processor, value);
  if (!written) return Status.FAULT;
  processor.charge(COST[register]);
  exitForCrWrite(processor, register as 0 | 3 | 4, value, before ^ Number(value & 0xffff_ffffn));
  return resync(processor);
};

const movFromCr: Handler = (processor, instruction) => {
  const { state } = processor;
  const register = operandOf(instruction, 1).index;
  const fields = { 0: 'cr0', 2: 'cr2', 3: 'cr3', 4: 'cr4', 8: 'cr8' } as const;
  const field = fields[register as keyof typeof fields];
  if (field === undefined) return processor.fault(Vector.UD);
  if (!privileged(processor)) return Status.FAULT;
  const target = operandOf(instruction, 0);
  setRegister(processor, target.index, target.width, state.get(field));
  processor.charge('mov_from_cr');
  return Status.CONTINUE;
};

/** DR4 and DR5 are DR6 and DR7, unless CR4.DE is set. Undefined: #UD or #GP was recorded. */
function debugRegister(processor: Processor, index: number): number | undefined {
  const { state } = processor;
  if (index > 7) {
    processor.fault(Vector.UD);
    return undefined;
  }
  if ((index === 4 || index === 5) && (state.get32('cr4') & Cr4.DE) !== 0) {
    processor.fault(Vector.UD);
    return undefined;
  }
  if (!privileged(processor)) return undefined;
  if ((state.get('dr', 7) & BigInt(Dr7.GD)) !== 0n) {
    state.set('dr', state.get('dr', 6) | BigInt(Dr6.BD), 6);
    state.set('dr', state.get('dr', 7) & ~BigInt(Dr7.GD), 7);
    processor.fault(Vector.DB);
    return undefined;
  }
  return index === 4 || index === 5 ? index + 2 : index;
}

const movFromDr: Handler = (processor, instruction) => {
  const register = debugRegister(processor, operandOf(instruction, 1).index);
  if (register === undefined) return Status.FAULT;
  const target = operandOf(instruction, 0);
  setRegister(processor, target.index, target.width, processor.state.get('dr', register));
  return Status.CONTINUE;
};

const DR6_WRITABLE = 0xe00fn;
const DR7_WRITABLE = 0xffff_2bffn;

/** The lookup table is dropped: which pages it must not hold has changed (breakpoints.ts). */
const movToDr: Handler = (processor, instruction) => {
  const { state } = processor;
  const register = debugRegister(processor, operandOf(instruction, 0).index);
  if (register === undefined) return Status.FAULT;
  const value = readOperand(processor, instruction, operandOf(instruction, 1));
  if (value === undefined) return Status.FAULT;
  if (register >= 6 && value >> 32n !== 0n) return processor.faultWithCode(Vector.GP, 0);
  if (register === 6) state.set('dr', (value & DR6_WRITABLE) | BigInt(Dr6.RESET), 6);
  else if (register === 7) state.set('dr', (value & DR7_WRITABLE) | BigInt(Dr7.RESET), 7);
  else state.set('dr', value, register);
  if (register !== 6) flushLookup(processor);
  return resync(processor);
};

const lmsw: Handler = (processor, instruction) => {
  const { state } = processor;
  if (!privileged(processor)) return Status.FAULT;
  const value = readOperand(processor, instruction, operandOf(instruction, 0), 16);
  if (value === undefined) return Status.FAULT;
  const before = state.get('cr0');
  // PE can be set, not cleared.
  const low = (value & 0xfn) | (before & BigInt(Cr0.PE));
  if (!writeCr0(processor, (before & ~0xfn) | low)) return Status.FAULT;
  processor.charge('mov_cr0');
  exitForCrWrite(processor, 0, state.get('cr0'), Number((before ^ low) & 0xfn));
  return resync(processor);
};

const smsw: Handler = (processor, instruction) => {
  const { state } = processor;
  if (umipFaults(processor)) return Status.FAULT;
  const operand = operandOf(instruction, 0);
  const width = operand.kind === 'memory' ? 16 : operand.width;
  return writeOperand(processor, instruction, operand, state.get('cr0'), width) ? Status.CONTINUE : Status.FAULT;
};

/** True, with #GP(0) recorded, when UMIP keeps SGDT, SIDT, SLDT, SMSW and STR from this code. */
export function umipFaults(processor: Processor): boolean {
  if ((processor.state.get32('cr4') & Cr4.UMIP) === 0 || processor.state.get32('cpl') === 0) return false;
  processor.faultWithCode(Vector.GP, 0);
  return true;
}

const clts: Handler = (processor) => {
  const { state } = processor;
  if (!privileged(processor)) return Status.FAULT;
  const before = state.get('cr0');
  state.set('cr0', before & ~BigInt(Cr0.TS));
  processor.charge('clts');
  exitForCrWrite(processor, 0, state.get('cr0'), Number(before & BigInt(Cr0.TS)));
  return resync(processor);
};

/** MOV ry, CRn and the like are told apart by the kind of their operands. */
export function controlMove(instruction: Instruction): Handler | undefined {
  const [target, source] = instruction.operands;
  if (target?.kind === 'control') return movToCr;
  if (source?.kind === 'control') return movFromCr;
  if (target?.kind === 'debug') return movToDr;
  if (source?.kind === 'debug') return movFromDr;
  return undefined;
}

export const CONTROL_REGISTER_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  LMSW: lmsw,
  SMSW: smsw,
  CLTS: clts,
};
