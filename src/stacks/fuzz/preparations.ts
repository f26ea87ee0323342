/**
 * What instructions need so that they do not fault (divisors, selectors, return addresses, environments) and what must be
 * put right after them: by mnemonic. Everything else about an instruction is drawn by unit-generator.ts.
 * Sources: SDM 2 (instruction reference), SDM 1 §8.1.10 (x87 environment), §10.5.1 (FXSAVE area).
 */
import { oneIn, pick } from './choices.ts';
import { STACK_TOP } from './program.ts';
import { X87_CONDITIONS } from './x87-effects.ts';
import type { UnitBuilder } from './unit-builder.ts';
import { integer32, mxcsr, statusFlags, x87Control } from './values.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;
const RBX = 3;
const RBP = 5;
const RSI = 6;
const RDI = 7;
const DATA_SELECTOR = 0x2b;
const LARGE_AREA = 0x22000;

/** Decisions that a preparation takes from the generator. */
export interface Preparation {
  readonly operandSizes?: readonly (16 | 32 | 64)[];
  /** Registers for ModRM.rm and ModRM.reg when they are registers. */
  readonly rm?: number;
  readonly reg?: number;
  readonly immediates?: readonly bigint[];
  /** Address of the memory operand. */
  readonly address?: number;
  /** Doublewords to store there; 'target' is the address that the unit branches to. */
  readonly contents?: readonly (number | 'target')[];
  readonly registerForm?: boolean;
  readonly repeat?: number;
  /** Units ahead. */
  readonly ahead?: number;
  /** The stack pointer is set after it. */
  readonly restoreStack?: boolean;
  /** Undefined bytes of memory are overwritten after it. */
  readonly after?: (unit: UnitBuilder) => void;
  /** Conditions (program.ts) that the preparation reads or defines itself. */
  readonly defines?: number;
}

const NOTHING: Preparation = {};

/** Shapes the operand at hand: sizes have been drawn already. */
export interface Shape {
  readonly mnemonic: string;
  readonly opcode: string;
  readonly operandSize: 16 | 32 | 64;
  /** Width of the first operand. */
  readonly width: number;
  readonly memoryForm: boolean;
  /** In the program's last place, where a fault does no harm. */
  readonly wild: boolean;
}

export function prepare(unit: UnitBuilder, shape: Shape): Preparation {
  const { choices, mode } = unit;
  const { mnemonic, operandSize, wild } = shape;
  const word = mode === 64 ? 8 : 4;
  if (/^J|^LOOP/.test(mnemonic) && mnemonic !== 'JMP') return { ahead: 1 + choices.below(3) };
  switch (mnemonic) {
    case 'DIV':
    case 'IDIV':
      return wild ? NOTHING : division(unit, shape);
    case 'AAM':
      return wild ? NOTHING : { immediates: [BigInt(1 + choices.below(255))] };
    case 'SHLD':
    case 'SHRD':
      // Counts above 16 leave a word undefined.
      if (operandSize !== 16) return NOTHING;
      if (shape.opcode.endsWith('ib')) return { immediates: [BigInt(choices.below(17))] };
      unit.load(RCX, choices.below(17));
      return NOTHING;
    case 'BT':
    case 'BTS':
    case 'BTR':
    case 'BTC': {
      if (!shape.memoryForm || shape.opcode.endsWith('ib')) return NOTHING;
      const reg = unit.freeRegister();
      unit.loadSigned(reg, choices.below(800) - 400);
      return { reg };
    }
    case 'MOVS':
    case 'CMPS':
    case 'STOS':
    case 'LODS':
    case 'SCAS':
    case 'INS':
    case 'OUTS':
      return strings(unit, shape);
    case 'XLAT':
      unit.load(RBX, 0x20f00);
      return NOTHING;
    case 'MASKMOVDQU':
    case 'VMASKMOVDQU':
    case 'MASKMOVQ':
      unit.load(RDI, 0x20fe0 + choices.below(64));
      return NOTHING;
    case 'POP':
    case 'PUSH':
      return shape.opcode === '07' || shape.opcode === '17' || shape.opcode === '1F' || shape.opcode === '0F A1' || shape.opcode === '0F A9'
        ? selectorOnStack(unit, operandSize)
        : NOTHING;
    case 'POPF':
    case 'POPFD':
    case 'POPFQ':
      unit.push(poppedFlags(unit));
      return { restoreStack: true };
    case 'ENTER':
      unit.load(RBP, STACK_TOP - 0x100 + choices.below(0x180));
      return { immediates: [BigInt(choices.below(256)), BigInt(choices.below(256))], restoreStack: true };
    case 'LEAVE':
      unit.load(RBP, STACK_TOP - 0x100 + choices.below(0x200));
      return { restoreStack: true };
    case 'JMP':
    case 'CALL':
      return transfer(unit, shape);
    case 'RET':
      unit.pushTarget();
      return { ahead: 1 + choices.below(2), immediates: [BigInt(choices.below(33))] };
    case 'RETF': {
      const size = operandSize === 64 ? 8 : 4;
      unit.frame(size, ['target', mode === 64 ? 0x33 : 0x23]);
      return { operandSizes: mode === 64 ? [32, 64] : [32], ahead: 1, immediates: [BigInt(choices.below(33))] };
    }
    case 'IRETD':
    case 'IRETQ': {
      const size = mnemonic === 'IRETQ' ? 8 : 4;
      const frame: (number | 'target')[] = ['target', mode === 64 ? 0x33 : 0x23, poppedFlags(unit) | 0x202];
      if (mode === 64) frame.push(STACK_TOP - choices.below(64), DATA_SELECTOR);
      unit.frame(size, frame);
      return { ahead: 1 };
    }
    case 'LES':
    case 'LDS':
    case 'LSS':
    case 'LFS':
    case 'LGS':
      return { contents: operandSize === 16 ? [(DATA_SELECTOR << 16) | choices.below(0x1_0000)] : [integer32(choices), DATA_SELECTOR] };
    case 'MOV':
      if (shape.opcode !== '8E /r') return NOTHING;
      return selectorOperand(unit, shape, [DATA_SELECTOR]);
    case 'VERR':
    case 'VERW':
    case 'LAR':
    case 'LSL':
      return selectorOperand(unit, shape, [0, 3, 0x10, 0x18, 0x23, 0x2b, 0x33, 0x28, 0x20]);
    case 'BOUND':
      return wild ? NOTHING : { contents: operandSize === 16 ? [0x7fff_8000] : [-0x8000_0000, 0x7fff_ffff] };
    case 'BSWAP':
      return { operandSizes: mode === 64 ? [32, 64] : [32] };
    case 'LDMXCSR':
    case 'VLDMXCSR':
      return { contents: [mxcsr(choices, oneIn(choices, 8)) | (wild && oneIn(choices, 4) ? 0x10_0000 : 0)] };
    case 'WRFSBASE':
    case 'WRGSBASE':
      if (wild) return NOTHING;
      unit.load(RDX, choices.u32());
      return { rm: RDX };
    case 'FXSAVE':
    case 'FXSAVE64':
      return { address: LARGE_AREA, defines: 0, after: clearFxPointers };
    case 'FXRSTOR':
    case 'FXRSTOR64':
      unit.raw(0xd9, 0xe5);
      unit.atAddress(mnemonic === 'FXRSTOR64' ? [0x48, 0x0f, 0xae] : [0x0f, 0xae], 0, LARGE_AREA);
      clearFxPointers(unit);
      return { address: LARGE_AREA, defines: X87_CONDITIONS };
    case 'XSAVE':
    case 'XSAVE64':
    case 'XSAVEOPT':
    case 'XSAVEOPT64':
    case 'XSAVEC':
    case 'XSAVEC64':
      return { address: LARGE_AREA };
    case 'XRSTOR':
    case 'XRSTOR64':
      // An image with a header of zeros, then with what XSAVE writes for the mask in EDX:EAX.
      for (let offset = 512; offset < 576; offset += 4) unit.store(LARGE_AREA + offset, 0);
      unit.atAddress(mnemonic === 'XRSTOR64' ? [0x48, 0x0f, 0xae] : [0x0f, 0xae], 4, LARGE_AREA);
      return { address: LARGE_AREA };
    case 'XGETBV':
      if (!wild) unit.load(RCX, 0);
      return NOTHING;
    case 'FNSTENV':
      return { address: LARGE_AREA, operandSizes: [32], after: clearPointers };
    case 'FNSAVE':
      return { address: LARGE_AREA, operandSizes: [32], after: clearPointers };
    case 'FLDENV':
    case 'FRSTOR':
      unit.raw(0xd9, 0xe5);
      unit.atAddress(mnemonic === 'FLDENV' ? [0xd9] : [0xdd], 6, LARGE_AREA);
      clearPointers(unit);
      return { address: LARGE_AREA, operandSizes: [32], defines: X87_CONDITIONS };
    case 'FLDCW':
      return { contents: [x87Control(choices, oneIn(choices, 8))] };
    case 'FBLD':
      return { contents: [decimal(unit), decimal(unit), (decimal(unit) & 0xff) | (oneIn(choices, 2) ? 0x8000 : 0)] };
    case 'INT':
      return { immediates: [BigInt(pick(choices, [0, 1, 3, 4, 5, 6, 13, 14, 32, 0x30, 0x81, 0xff]))] };
    default:
      return NOTHING;
  }

  function selectorOnStack(builder: UnitBuilder, size: number): Preparation {
    if (size === 16) builder.raw(0x66, 0x68, DATA_SELECTOR, 0);
    else builder.push(DATA_SELECTOR);
    return NOTHING;
  }

  function transfer(builder: UnitBuilder, { opcode }: Shape): Preparation {
    const ahead = 1 + choices.below(3);
    if (opcode.endsWith('/3') || opcode.endsWith('/5')) {
      // Far, through memory: offsets of 32 bits; AMD has no longer ones, whatever REX.W says.
      return { ahead, operandSizes: mode === 64 ? [32, 64] : [32], contents: ['target', mode === 64 ? 0x33 : 0x23] };
    }
    if (opcode.endsWith('cp')) return { ahead, operandSizes: [32], immediates: [0x23n] };
    if (opcode[0] !== 'F') return { ahead };
    if (shape.memoryForm) return { ahead, contents: word === 8 ? ['target', 0] : ['target'] };
    const rm = builder.freeRegister();
    builder.loadTarget(rm);
    return { ahead, rm };
  }
}

/** Status flags and DF, and bits that POPF and IRET leave alone at CPL 3. */
function poppedFlags({ choices }: UnitBuilder): number {
  return statusFlags(choices) | pick(choices, [0x202, 0x2, 0x3202, 0x0]);
}

function division(unit: UnitBuilder, { mnemonic, width }: Shape): Preparation {
  const { choices } = unit;
  const signed = mnemonic === 'IDIV';
  const largest = width === 8 ? 0x7f : width === 16 ? 0x7fff : 0x7fff_ffff;
  const divisor = 1 + choices.below(pick(choices, [largest, 16, largest, 256, largest]));
  if (width === 8) {
    // AX, with a quotient that fits.
    unit.load(RAX, choices.below(divisor * (signed ? 0x7f : 0xff)) & 0xffff);
  } else if (signed) {
    // The quotient is less than half of the dividend's low word only when the high one is its sign.
    unit.loadSigned(RAX, integer32(choices) >> 1);
    const high = choices.below(2) === 0;
    if (width === 64) unit.raw(0x48, 0x99);
    else if (width === 32) unit.raw(0x99);
    else unit.raw(0x66, 0x99);
    unit.loaded.add(RDX);
    if (high && divisor > 4 && width !== 16) unit.load(RAX, choices.u32() >>> 1);
  } else {
    unit.load(RDX, choices.below(divisor));
    unit.loaded.add(RAX);
  }
  unit.loaded.add(RAX);
  const rm = unit.freeRegister(width === 8);
  const register = width === 8 ? pick(choices, [RCX, RDX, RBX]) : rm;
  unit.load(register, divisor);
  return { rm: register, registerForm: true };
}

function strings(unit: UnitBuilder, { mnemonic, wild }: Shape): Preparation {
  const { choices } = unit;
  const repeated = oneIn(choices, 2);
  // One side at most comes to where nothing is: which of two faults is seen differs from form to form.
  const astray = wild ? choices.below(4) : 0;
  const place = (side: number): number => (astray === side ? pick(choices, [0x23fe0, 0x20010, 0x31ff0]) : 0x20f40) + choices.below(0x180);
  unit.load(RSI, place(1));
  unit.load(RDI, place(2));
  if (mnemonic === 'INS' || mnemonic === 'OUTS') unit.load(RCX, 1 + choices.below(4));
  else if (repeated) unit.load(RCX, wild && oneIn(choices, 2) ? 2000 : choices.below(24));
  return { repeat: repeated ? pick(choices, [0xf3, 0xf3, 0xf2]) : 0 };
}

function selectorOperand(unit: UnitBuilder, { memoryForm }: Shape, selectors: readonly number[]): Preparation {
  const selector = pick(unit.choices, selectors);
  if (memoryForm) return { contents: [selector] };
  const rm = unit.freeRegister();
  unit.load(rm, selector);
  return { rm };
}

/** FOP, FIP, FDP with their selectors: no part of the state here. */
function clearFxPointers(unit: UnitBuilder): void {
  unit.storeWord(LARGE_AREA + 6, 0);
  for (const offset of [8, 12, 16, 20]) unit.store(LARGE_AREA + offset, 0);
}

function clearPointers(unit: UnitBuilder): void {
  for (const offset of [12, 16, 20, 24]) unit.store(LARGE_AREA + offset, 0);
}

function decimal({ choices }: UnitBuilder): number {
  let value = 0;
  for (let digit = 0; digit < 8; digit++) value = (value << 4) | choices.below(10);
  return value;
}
