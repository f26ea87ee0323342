/**
 * Control of the x87 unit (SDM 1 §8.1.3-8.1.5, §8.3.11): control and status word, FNINIT, FNCLEX, WAIT. What names "no
 * wait" does not look at pending exceptions. The environment and the whole state are moved by system/x87-environment.ts.
 */
import type { Algebra, Computation, Definition } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { checkAvailable, checkPending, PENDING, x87Define } from './x87-state.ts';

/** All exceptions masked, extended precision, round to nearest. */
const INITIAL_CONTROL = 0x37f;
/** Bits of the control word that can be written; bit 6 always reads as one. */
const CONTROL_WRITABLE = 0x1f3f;
const CONTROL_ONE = 0x40;
/** TOP and the condition codes: what FNCLEX leaves. */
const STATUS_KEPT = 0x7f00;
const EXCEPTIONS = 0x3f;
const DEVICE_NOT_AVAILABLE = 7;
const CR0_MP = 2;
const CR0_TS = 8;

/** Sets the control word; recorded exceptions that it unmasks become pending, and those that it masks do not stay so. */
export function setControl<V, B>(k: Computation<V, B>, word: V): void {
  const control = k.or(k.and(word, k.constant(CONTROL_WRITABLE)), k.constant(CONTROL_ONE));
  k.setField('fpuControl', 0, control);
  const status = k.field('fpuStatus');
  const unmasked = k.and(k.and(status, k.not(control)), k.constant(EXCEPTIONS));
  const pending = k.select(k.ne(unmasked, k.constant(0)), k.constant(PENDING), k.constant(0));
  k.setField('fpuStatus', 0, k.or(k.and(status, k.constant(~BigInt(PENDING))), pending));
}

const noWait =
  (body: <V, B>(k: Algebra<V, B>) => void): Definition =>
  (k) => {
    checkAvailable(k);
    body(k);
  };

const storeField =
  (name: string): Definition =>
  (k, i) => {
    checkAvailable(k);
    k.write(i.operands[0], k.field(name));
  };

export const x87Control: Family = (plain) => {
  const define = x87Define(plain);
  define('FLDCW', (k, i) => setControl(k, k.read(i.operands[0])));
  plain('FNSTCW', storeField('fpuControl'));
  plain('FNSTSW', storeField('fpuStatus'));
  plain(
    'FNINIT',
    noWait((k) => {
      k.setField('fpuControl', 0, k.constant(INITIAL_CONTROL));
      k.setField('fpuStatus', 0, k.constant(0));
      k.setField('fpuTag', 0, k.constant(0));
    }),
  );
  plain(
    'FNCLEX',
    noWait((k) => k.setField('fpuStatus', 0, k.and(k.field('fpuStatus'), k.constant(STATUS_KEPT)))),
  );
  // Of the 8087 and the 80287: no operation since.
  plain(
    'FNENI FNDISI FNSETPM',
    noWait(() => {}),
  );
  plain('WAIT', (k) => {
    const both = k.constant(CR0_MP | CR0_TS);
    k.when(k.eq(k.and(k.field('cr0'), both), both), () => k.fault(DEVICE_NOT_AVAILABLE));
    checkPending(k);
  });
};
