/** Near control transfers (SDM 1 §5.1.7). Far ones, interrupts and returns from them are system instructions (cpu/system). */
import type { Algebra, Facts, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { CONDITIONS } from './conditions.ts';
import { dropStack, push, stackTop } from './stack.ts';

const RCX = 1;

/** Target of a relative branch, in operand size. */
function relativeTarget<V, B>(k: Algebra<V, B>, i: Facts): V {
  return k.zext(i.operandSize, k.add(k.nextRip(), k.immediate()));
}

function branchWhen<V, B>(k: Algebra<V, B>, i: Facts, condition: B): void {
  k.when(condition, () => {
    const target = relativeTarget(k, i);
    k.checkTarget(target);
    k.jump(target);
  });
}

export const controlTransfer: Family = (define) => {
  define('JMP', (k, i) => {
    const [operand] = i.operands;
    const target = operand.kind === 'relative' ? relativeTarget(k, i) : k.read(operand);
    k.checkTarget(target);
    k.jump(target);
  });
  define('CALL', (k, i) => {
    const [operand] = i.operands;
    const target = operand.kind === 'relative' ? relativeTarget(k, i) : k.read(operand);
    k.checkTarget(target);
    push(k, i.operandSize, k.zext(i.operandSize, k.nextRip()));
    k.jump(target);
  });
  define('RET', (k, i) => {
    const target = stackTop(k, i.operandSize);
    k.checkTarget(target);
    const bytes = k.constant(i.operandSize / 8);
    dropStack(k, i.operands.length === 0 ? bytes : k.add(bytes, k.and(k.immediate(), k.constant(0xffff))));
    k.jump(target);
  });
  for (const [suffix, code] of CONDITIONS) define(`J${suffix}`, (k, i) => branchWhen(k, i, k.condition(code)));

  define('JCXZ JECXZ JRCXZ', (k, i) => {
    branchWhen(k, i, k.eq(k.zext(i.addressSize as Width, k.register(RCX)), k.constant(0)));
  });
  define('LOOP LOOPE LOOPNE', (k, i) => {
    const width = i.addressSize as Width;
    const count = k.zext(width, k.sub(k.register(RCX), k.constant(1)));
    const more = k.ne(count, k.constant(0));
    const { mnemonic } = i.row;
    const taken = mnemonic === 'LOOP' ? more : k.both(more, mnemonic === 'LOOPE' ? k.flag('ZF') : k.negate(k.flag('ZF')));
    const target = relativeTarget(k, i);
    k.when(taken, () => k.checkTarget(target));
    k.setRegister(RCX, width, count);
    k.when(taken, () => k.jump(target));
  });
  define('NOP ENDBR64 ENDBR32 PAUSE PREFETCHNTA PREFETCHT0 PREFETCHT1 PREFETCHT2 PREFETCHW LFENCE MFENCE SFENCE', () => {});
  // A line of the cache is checked as for a load (SDM 2A CLFLUSH).
  define('CLFLUSH', (k, i) => void k.read(i.operands[0]));
};
