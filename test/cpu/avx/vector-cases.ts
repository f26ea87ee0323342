/** Random cases of one VEX row: encodings with all fields drawn, operands of all classes of numbers, addresses at borders. */
import { type Choices, oneIn, pick } from '../../../src/stacks/fuzz/choices.ts';
import { integer, mxcsr, packed, statusFlags } from '../../../src/stacks/fuzz/values.ts';
import { type EncodedRow, PrefixKind, Source } from '../../../src/x86/opcode-row.ts';
import { type Case, WINDOW } from './host-vectors.ts';

const RBX = 3;
const RSP = 4;
const RDI = 7;
/** Last mapped byte of data, plus one. */
const DATA_END = 0x24000;
const PREFIXES = [PrefixKind.NONE, PrefixKind.P66, PrefixKind.PF3, PrefixKind.PF2] as const;

/** Rows that VEX encodes and that have vectors (all but those of BMI). */
export function isVectorRow(row: EncodedRow): boolean {
  return row.vex && (/^VZERO|^V(LD|ST)MXCSR/.test(row.mnemonic) || row.encoding.operands.some(({ registers }) => /[xy]mm/.test(registers)));
}

const half = (choices: Choices): number =>
  oneIn(choices, 2) ? pick(choices, [0, 0x8000, 0x3c00, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 1, 0x3ff, 0x400, 0x7bff]) : choices.below(0x10000);

/** 64 bits of a vector. */
function vectorWord(choices: Choices): bigint {
  if (!oneIn(choices, 12)) return packed(choices);
  return [0, 1, 2, 3].reduce((word, n) => word | (BigInt(half(choices)) << BigInt(16 * n)), 0n);
}

function memoryBytes({ encoding }: EncodedRow): number {
  const operand = encoding.operands.find(({ source }) => source === Source.MODRM_RM);
  return operand === undefined ? 16 : Math.max(operand.memoryWidth, 8) >> 3;
}

function drawAddress(choices: Choices, row: EncodedRow): number {
  const bytes = memoryBytes(row);
  if (oneIn(choices, 16)) return DATA_END - choices.below(bytes + 2);
  const address = oneIn(choices, 5) ? 0x21000 - choices.below(bytes + 1) : WINDOW.start + choices.below(WINDOW.length - 64);
  return oneIn(choices, 4) ? address : address & -bytes;
}

/** Bytes of an instruction of the row, with the registers that its address needs. */
function encode(row: EncodedRow, choices: Choices, mode: 64 | 32, gpr: BigUint64Array, ymm: BigUint64Array): Uint8Array {
  const { encoding } = row;
  const count = mode === 64 ? 16 : 8;
  const memory = encoding.forms === 1 || (encoding.forms === 3 && oneIn(choices, 2));
  const reg = encoding.digit >= 0 ? encoding.digit : choices.below(count);
  // The address and the stack are left alone.
  const general = (register: number): number => (register === RBX || register === RSP ? 0 : register);
  const isGeneral = (source: number): boolean => encoding.operands.some((o) => o.source === source && o.registers === 'register');
  const regField = isGeneral(Source.MODRM_REG) ? general(reg) : reg;
  const drawnRm = choices.below(count);
  const rm = isGeneral(Source.MODRM_RM) ? general(drawnRm) : drawnRm;
  const usesVvvv = encoding.operands.some(({ source }) => source === Source.VEX_VVVV);
  const vvvv = usesVvvv ? choices.below(count) : 0;
  const index = choices.below(count);
  const w = encoding.rexW === 3 ? choices.below(2) : encoding.rexW - 1;
  const l = encoding.vexL === 3 ? choices.below(2) : encoding.vexL - 1;
  const rexR = encoding.digit < 0 && regField > 7 ? 1 : 0;
  const rexX = memory && row.vectorIndex && index > 7 ? 1 : 0;
  const rexB = !memory && encoding.hasModrm && rm > 7 ? 1 : 0;
  const last = ((~vvvv & 15) << 3) | (l << 2) | PREFIXES.indexOf(encoding.prefixes as 1);
  const bytes: number[] = [];
  if (mode === 64 && oneIn(choices, 16)) bytes.push(pick(choices, [0x2e, 0x3e]));
  if (encoding.map === 1 && w === 0 && rexX === 0 && rexB === 0 && oneIn(choices, 2)) bytes.push(0xc5, (rexR === 0 ? 0x80 : 0) | last);
  else bytes.push(0xc4, ((~((rexR << 2) | (rexX << 1) | rexB) & 7) << 5) | encoding.map, (w << 7) | last);
  bytes.push(encoding.byte);
  if (encoding.hasModrm) {
    if (!memory) bytes.push(0xc0 | ((regField & 7) << 3) | (rm & 7));
    else if (row.vectorIndex) {
      const scale = choices.below(4);
      const displacement = choices.below(64) - 32;
      bytes.push(0x44 | ((regField & 7) << 3), (scale << 6) | ((index & 7) << 3) | RBX, displacement & 0xff);
      gatherIndices(row, choices, index, scale, gpr, ymm);
    } else {
      const displacement = choices.below(256) - 128;
      bytes.push(0x40 | ((regField & 7) << 3) | RBX, displacement & 0xff);
      gpr[RBX] = BigInt(drawAddress(choices, row) - displacement);
    }
  }
  if (encoding.impliedMemory === 'di') gpr[RDI] = BigInt(drawAddress(choices, row));
  for (const operand of encoding.operands) {
    if (operand.source === Source.IMMEDIATE || operand.source === Source.IMMEDIATE_REGISTER) bytes.push(choices.below(256));
  }
  return Uint8Array.from(bytes);
}

/** Indices that lead into the window, and one in a while out of memory. */
function gatherIndices(row: EncodedRow, choices: Choices, index: number, scale: number, gpr: BigUint64Array, ymm: BigUint64Array): void {
  const base = WINDOW.start + 0x200 + choices.below(16);
  gpr[RBX] = BigInt(base);
  const narrow = /GATHERD/.test(row.mnemonic);
  const wild = oneIn(choices, 4);
  const draw = (): bigint =>
    BigInt(wild && oneIn(choices, 4) ? choices.below(0x8000) : choices.below(96) - 48) >> BigInt(scale > 2 ? 1 : 0);
  for (let n = 0; n < 4; n++) {
    const word = narrow ? BigInt.asUintN(32, draw()) | (BigInt.asUintN(32, draw()) << 32n) : BigInt.asUintN(64, draw());
    ymm[index * 4 + n] = word;
  }
}

export function drawCase(row: EncodedRow, choices: Choices, mode: 64 | 32): Case {
  const gpr = BigUint64Array.from({ length: 16 }, () => (mode === 64 ? integer(choices) : BigInt.asUintN(32, integer(choices))));
  if (mode === 32) gpr.fill(0n, 8);
  const registers = mode === 64 ? 16 : 8;
  const ymm = BigUint64Array.from({ length: 64 }, (_, n) => (n < registers * 4 ? vectorWord(choices) : 0n));
  const window = new BigUint64Array(WINDOW.length / 8).map(() => vectorWord(choices));
  gpr[RSP] = 0x31000n;
  const code = encode(row, choices, mode, gpr, ymm);
  const trapping = oneIn(choices, 6);
  return {
    mode,
    code,
    gpr,
    rflags: 0x202 | (statusFlags(choices) & ~0x400),
    mxcsr: mxcsr(choices, trapping),
    ymm,
    window: new Uint8Array(window.buffer),
  };
}
