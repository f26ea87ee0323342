/**
 * Makes a failing program smaller: leaves out runs of units, then plain parts of its state, while it still fails and still
 * consumes no undefined flag. Units that branch keep their distance in units.
 */
import { type InitialState, layOut, type Program, type Unit } from './program.ts';

const ATTEMPTS = 400;

export async function shrinkProgram(program: Program, fails: (candidate: Program) => Promise<boolean>): Promise<Program> {
  let best = program;
  let left = ATTEMPTS;
  const attempt = async (candidate: Program): Promise<boolean> => {
    if (left-- <= 0 || layOut(candidate).consumesUndefined || !(await fails(candidate))) return false;
    best = candidate;
    return true;
  };
  for (let size = best.units.length >> 1; size >= 1; size >>= 1) {
    for (let at = best.units.length - size; at >= 0; ) {
      const units: Unit[] = [...best.units.slice(0, at), ...best.units.slice(at + size)];
      if (units.length > 0 && (await attempt({ ...best, units }))) at = Math.min(at, best.units.length - size);
      else at -= size;
    }
  }
  for (const simpler of simplerStates(best.initial)) await attempt({ ...best, initial: simpler(best.initial) });
  return best;
}

type Simplification = (state: InitialState) => InitialState;

function simplerStates({ gpr, xmm, st }: InitialState): Simplification[] {
  const stackPointer = 4;
  const found: Simplification[] = [
    (state) => ({ ...state, data: new Uint8Array(state.data.length) }),
    (state) => ({ ...state, stack: new Uint8Array(state.stack.length) }),
    (state) => ({ ...state, ymmHigh: new BigUint64Array(32) }),
    (state) => ({ ...state, rflags: 0x202 }),
    (state) => ({ ...state, mxcsr: 0x1f80 }),
    (state) => ({ ...state, fpuControl: 0x37f }),
    (state) => ({ ...state, fpuStatus: 0 }),
    (state) => ({ ...state, fpuTag: 0 }),
  ];
  const zeroed = (words: BigUint64Array, n: number): BigUint64Array => words.map((value, k) => (k === n ? 0n : value));
  gpr.forEach((_, n) => {
    if (n !== stackPointer) found.push((state) => ({ ...state, gpr: zeroed(state.gpr, n) }));
  });
  xmm.forEach((_, n) => void found.push((state) => ({ ...state, xmm: zeroed(state.xmm, n) })));
  st.forEach((_, n) => void found.push((state) => ({ ...state, st: zeroed(state.st, n) })));
  return found;
}
