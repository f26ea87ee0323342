import { describe, expect, it } from 'vitest';
import { nullPredictions } from '../../src/report/null-models.ts';
import { eurosys2012, type Stack } from '../../src/timing/published.ts';

const errors = (row: string, stack: Stack, table?: typeof eurosys2012) =>
  nullPredictions(row, stack, table)!.map(({ ratio }) => Math.round((ratio - 1) * 100));

describe('the three null models', () => {
  it('err on the nested forks by what the timing model says: -26/-11, -19/-6, -1/+9 %', () => {
    const [onKvm, onHvm] = [errors('fork proc', 'pv/kvm'), errors('fork proc', 'pv/hvm')];
    expect(onKvm.map((error, i) => [error, onHvm[i]])).toEqual([
      [-26, -11],
      [-19, -6],
      [-1, 9],
    ]);
  });

  it('fail on the page fault of EuroSys: PV x full / native errs by +68 %, on mmap by +89 %', () => {
    expect(errors('page fault', 'pv/hvm', eurosys2012)[2]).toBe(68);
    expect(errors('mmap latency', 'pv/hvm', eurosys2012)[2]).toBe(89);
  });

  it('have nothing to say of single-layer cells and of cells that nobody published', () => {
    expect(nullPredictions('fork proc', 'pv')).toBeUndefined();
    expect(nullPredictions('page fault', 'pv/kvm')).toBeUndefined();
    expect(nullPredictions('fork proc', 'pv/kvm', eurosys2012)).toBeUndefined();
  });
});
