/**
 * The processor that generated programs are for: that of the golden vectors with everything that is executed besides, AVX to
 * FMA. Hosts that have less leave out what they lack (row-classes.ts).
 */
import { type CpuidModel, cpuidModel } from '../../cpu/cpuid/model.ts';
import { ZEN3 } from '../../cpu/cpuid/models.ts';

export const FUZZ_MODEL: CpuidModel = cpuidModel({
  ...ZEN3,
  name: 'zen3-avx2',
  features: [...new Set([...ZEN3.features, 'AVX', 'AVX2', 'FMA', 'F16C'])].join(' '),
});
