/**
 * Port I/O: permission, the access itself (the bus, or an exit in non-root operation), and IN, OUT, INS, OUTS.
 * Sources: SDM 1 §19.5 (protection: IOPL and the I/O permission bitmap), SDM 2A IN, INS, OUT, SDM 2B OUTS.
 */
import { Flag } from '../../x86/eflags.ts';
import { Vector } from '../../x86/exceptions.ts';
import { type Instruction, Segment } from '../../x86/instruction.ts';
import { Register } from '../../x86/registers.ts';
import { notePortAccess } from '../breakpoints.ts';
import { Status } from '../engine.ts';
import { exitInsideInstruction } from '../mmu/second-stage.ts';
import { checkSegment } from '../mmu/segmentation.ts';
import { checkCanonical, IMPLICIT, privilegeOf, probeWrite, readLinear, writeLinear } from '../mmu/system-access.ts';
import { inVirtual8086Mode } from '../mode.ts';
import type { Processor } from '../processor.ts';
import { ioPrivilegeLevel } from './flags.ts';
import { type Handler, operandOf, setRegister } from './operand.ts';

type PortSize = 1 | 2 | 4;

/** Offset of the I/O map base in the 32-bit and the 64-bit TSS. */
const TSS_IO_MAP_BASE = 0x66;

/** Whether the current code may use a port. False: #GP(0), or the fault of reading the bitmap, was recorded. */
export function checkPort(processor: Processor, port: number, size: PortSize): boolean {
  const { state } = processor;
  // Real mode has CPL 0. In virtual-8086 mode the bitmap decides alone, whatever IOPL says.
  if (!inVirtual8086Mode(state) && state.get32('cpl') <= ioPrivilegeLevel(processor)) return true;
  const limit = state.get32('trLimit');
  const wideTss = (state.get32('trAttributes') & 0x8f) >= 0x89;
  if (wideTss && limit >= TSS_IO_MAP_BASE + 1) {
    const mapBase = readLinear(processor, tssAddress(processor, TSS_IO_MAP_BASE), 2, IMPLICIT);
    if (mapBase === undefined) return false;
    const at = Number(mapBase) + (port >> 3);
    // Two bytes are always read, so that an access may straddle them; the map ends with a byte of ones for that.
    if (at + 1 <= limit) {
      const bits = readLinear(processor, tssAddress(processor, at), 2, IMPLICIT);
      if (bits === undefined) return false;
      const mask = (1 << size) - 1;
      if (((Number(bits) >> (port & 7)) & mask) === 0) return true;
    }
  }
  processor.faultWithCode(Vector.GP, 0);
  return false;
}

function tssAddress(processor: Processor, offset: number): bigint {
  return BigInt.asUintN(64, processor.state.get('trBase') + BigInt(offset));
}

/** Reads a port that the code may use. Charges the access, or the exit that it is for a guest. */
export function readPort(processor: Processor, port: number, size: PortSize): number {
  notePortAccess(processor, port, size);
  if (processor.control !== undefined) {
    const exit = { reason: 'io' as const, port, size, direction: 'in' as const, value: 2 ** (8 * size) - 1 };
    exitInsideInstruction(processor, exit);
    return exit.value;
  }
  processor.charge('port_io');
  const value = processor.bus.readPort(port, size);
  processor.endRun(); // the device may have changed its interrupt line or its next event
  return value;
}

export function writePort(processor: Processor, port: number, size: PortSize, value: number): void {
  notePortAccess(processor, port, size);
  if (processor.control !== undefined) {
    exitInsideInstruction(processor, { reason: 'io', port, size, direction: 'out', value });
    return;
  }
  processor.charge('port_io');
  processor.bus.writePort(port, size, value);
  processor.endRun();
}

function portOf(processor: Processor, instruction: Instruction, index: number): number {
  if (operandOf(instruction, index).kind === 'immediate') return Number(instruction.immediate & 0xffn);
  return Number(processor.state.get('gpr', Register.RDX) & 0xffffn);
}

const input: Handler = (processor, instruction) => {
  const target = operandOf(instruction, 0);
  const size = (target.width / 8) as PortSize;
  const port = portOf(processor, instruction, 1);
  if (!checkPort(processor, port, size)) return Status.FAULT;
  setRegister(processor, Register.RAX, target.width, BigInt(readPort(processor, port, size) >>> 0));
  return Status.CONTINUE;
};

const output: Handler = (processor, instruction) => {
  const source = operandOf(instruction, 1);
  const size = (source.width / 8) as PortSize;
  const port = portOf(processor, instruction, 0);
  if (!checkPort(processor, port, size)) return Status.FAULT;
  const value = Number(BigInt.asUintN(source.width, processor.state.get('gpr', Register.RAX)));
  writePort(processor, port, size, value);
  return Status.CONTINUE;
};

/** Linear address of a string element; undefined when a check failed. */
function elementAddress(processor: Processor, segment: number, offset: bigint, size: number, write: boolean): bigint | undefined {
  const { state } = processor;
  if (state.get32('codeMode') === 64) {
    const base = segment === Segment.FS || segment === Segment.GS ? state.get('segmentBase', segment) : 0n;
    const linear = BigInt.asUintN(64, base + offset);
    return checkCanonical(processor, linear, size, segment === Segment.SS) ? linear : undefined;
  }
  if (!checkSegment(processor, segment, Number(offset), size, write)) return undefined;
  return (state.get('segmentBase', segment) + offset) & 0xffff_ffffn;
}

/**
 * One element of INS or OUTS; under a repeat prefix the rest follows as further executions of the same instruction, so
 * that interrupts fall between elements.
 */
function portString(direction: 'in' | 'out'): Handler {
  return (processor, instruction) => {
    const { state } = processor;
    const { addressSize } = instruction;
    const operand = operandOf(instruction, direction === 'in' ? 0 : 1);
    const size = (Math.min(operand.width, 32) / 8) as PortSize;
    const port = Number(state.get('gpr', Register.RDX) & 0xffffn);
    const repeated = instruction.repeat !== '';
    const count = BigInt.asUintN(addressSize, state.get('gpr', Register.RCX));
    if (repeated && count === 0n) return Status.CONTINUE;
    if (!checkPort(processor, port, size)) return Status.FAULT;
    const pointer = direction === 'in' ? Register.RDI : Register.RSI;
    const segment = direction === 'in' ? Segment.ES : (instruction.memory?.segment ?? Segment.DS);
    const offset = BigInt.asUintN(addressSize, state.get('gpr', pointer));
    const linear = elementAddress(processor, segment, offset, size, direction === 'in');
    if (linear === undefined) return Status.FAULT;
    const who = privilegeOf(state.get32('cpl'));
    if (direction === 'in') {
      // Checked before the device is read: reading may change it.
      if (!probeWrite(processor, linear, size, who)) return Status.FAULT;
      const value = readPort(processor, port, size);
      if (!writeLinear(processor, linear, size, BigInt(value >>> 0), who)) return Status.FAULT;
    } else {
      const value = readLinear(processor, linear, size, who);
      if (value === undefined) return Status.FAULT;
      writePort(processor, port, size, Number(value));
    }
    const step = (state.get32('rflags') & Flag.DF) !== 0 ? -BigInt(size) : BigInt(size);
    setRegister(processor, pointer, addressSize, offset + step);
    if (!repeated) return Status.CONTINUE;
    setRegister(processor, Register.RCX, addressSize, count - 1n);
    return count === 1n ? Status.CONTINUE : Status.REPEAT;
  };
}

export const PORT_INSTRUCTIONS: Readonly<Record<string, Handler>> = {
  IN: input,
  OUT: output,
  INS: portString('in'),
  OUTS: portString('out'),
};
