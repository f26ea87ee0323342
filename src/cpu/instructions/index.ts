/** All instruction definitions, family by family. Mnemonics without one are system instructions (cpu/system) or unknown. */
import { collect, type Definitions } from '../definition.ts';
import { avxLanes } from './avx-lanes.ts';
import { avxMemory } from './avx-memory.ts';
import { binaryArithmetic } from './binary-arithmetic.ts';
import { bitAndByte } from './bit-and-byte.ts';
import { bitManipulation } from './bit-manipulation.ts';
import { cipherAndHash } from './cipher-and-hash.ts';
import { controlTransfer } from './control-transfer.ts';
import { dataTransfer } from './data-transfer.ts';
import { decimalArithmetic } from './decimal-arithmetic.ts';
import { flagControl } from './flag-control.ts';
import { fma } from './fma.ts';
import { halfPrecision } from './half-precision.ts';
import { logical } from './logical.ts';
import { mmxConversion } from './mmx-conversion.ts';
import { mmxInteger } from './mmx-integer.ts';
import { mmxDataTransfer } from './mmx-data-transfer.ts';
import { shiftAndRotate } from './shift-and-rotate.ts';
import { sseArithmetic } from './sse-arithmetic.ts';
import { sseBitField } from './sse-bit-field.ts';
import { sseComparison } from './sse-comparison.ts';
import { sseConversion } from './sse-conversion.ts';
import { sseDataTransfer } from './sse-data-transfer.ts';
import { sseDotProduct } from './sse-dot-product.ts';
import { sseInteger } from './sse-integer.ts';
import { sseLogical } from './sse-logical.ts';
import { sseShuffle } from './sse-shuffle.ts';
import { string } from './string.ts';
import { x87Arithmetic } from './x87-arithmetic.ts';
import { x87Comparison } from './x87-comparison.ts';
import { x87Control } from './x87-control.ts';
import { x87DataTransfer } from './x87-data-transfer.ts';
import { x87Remainder } from './x87-remainder.ts';
import { x87Transcendental } from './x87-transcendental.ts';

export function instructionDefinitions(): Definitions {
  const general = [
    dataTransfer,
    binaryArithmetic,
    logical,
    shiftAndRotate,
    bitAndByte,
    controlTransfer,
    string,
    flagControl,
    decimalArithmetic,
    bitManipulation,
  ];
  const sse = [
    sseDataTransfer,
    sseArithmetic,
    sseComparison,
    sseConversion,
    sseLogical,
    sseShuffle,
    sseInteger,
    sseDotProduct,
    sseBitField,
    cipherAndHash,
  ];
  const x87 = [
    x87Arithmetic,
    x87Comparison,
    x87DataTransfer,
    x87Control,
    x87Remainder,
    x87Transcendental,
    mmxDataTransfer,
    mmxInteger,
    mmxConversion,
  ];
  const avx = [avxLanes, avxMemory, fma, halfPrecision];
  return collect([...general, ...sse, ...x87, ...avx]);
}
