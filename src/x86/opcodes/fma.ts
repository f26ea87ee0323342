/**
 * Rows of FMA and F16C. The notation with `vec` is explained in avx.ts; the digits of FMA say which operands are multiplied.
 * Sources: SDM 2 (VFMADD132PD and the following, VCVTPH2PS, VCVTPS2PH), SDM 1 §14.4-14.5.
 */
import { bothLengths } from './avx.ts';

/** Opcode of 132; 213 is 0x10 higher and 231 0x20. Packed, then scalar where it exists. */
const FUSED: readonly (readonly [name: string, packed: number, scalar: number | undefined])[] = [
  ['VFMADDSUB', 0x96, undefined],
  ['VFMSUBADD', 0x97, undefined],
  ['VFMADD', 0x98, 0x99],
  ['VFMSUB', 0x9a, 0x9b],
  ['VFNMADD', 0x9c, 0x9d],
  ['VFNMSUB', 0x9e, 0x9f],
];

function fusedRows(): string {
  const packed: string[] = [];
  const scalar: string[] = [];
  for (const [name, packedByte, scalarByte] of FUSED) {
    ['132', '213', '231'].forEach((order, n) => {
      const opcode = (byte: number): string => (byte + n * 0x10).toString(16).toUpperCase();
      for (const [w, letter, width] of [
        ['W0', 'S', 32],
        ['W1', 'D', 64],
      ]) {
        packed.push(`VEX.V.66.0F38.${w} ${opcode(packedByte)} /r | ${name}${order}P${letter} vec, vec, vec/mem`);
        if (scalarByte === undefined) continue;
        scalar.push(`VEX.LIG.66.0F38.${w} ${opcode(scalarByte)} /r | ${name}${order}S${letter} xmm, xmm, xmm/m${width}`);
      }
    });
  }
  const defaults = 'cost=mulsd access=rw,r,r feature=FMA protected';
  return `${bothLengths(packed.join('\n'), defaults)}@ ${defaults}\n${scalar.join('\n')}\n`;
}

const HALF_PRECISION = `@ cost=addsd access=w,r,r feature=F16C protected
VEX.128.66.0F38.W0 13 /r | VCVTPH2PS xmm, xmm/m64
VEX.256.66.0F38.W0 13 /r | VCVTPH2PS ymm, xmm/m128
VEX.128.66.0F3A.W0 1D /r ib | VCVTPS2PH xmm/m64, xmm, imm8
VEX.256.66.0F3A.W0 1D /r ib | VCVTPS2PH xmm/m128, ymm, imm8
`;

export const FMA_OPCODES = fusedRows() + HALF_PRECISION;
