/**
 * Data transfer instructions (SDM 1 §5.1.1): moves, exchanges, stack, sign and zero extension.
 * Forms with segment, control and debug registers are system instructions (cpu/system).
 */
import type { Algebra, Width } from '../algebra.ts';
import type { Family } from '../definition.ts';
import { AF, CF, OF, PF, SF, STATUS_FLAGS, ZF } from '../flags.ts';
import { CONDITIONS } from './conditions.ts';
import { push, setStackPointer } from './stack.ts';

const VM = 0x2_0000n;
const IOPL = 0x3000n;
const IF = 0x200n;
const VIF = 0x8_0000n;
/** VIF is bit 19, IF bit 9. */
const VIF_TO_IF = 10;
const CR4_VME = 1;
const GENERAL_PROTECTION = 13;
const RAX = 0;
const RDX = 2;
const RSP = 4;
const RBP = 5;

function swapBytes<V, B>(k: Algebra<V, B>, width: Width, value: V): V {
  let swapped = k.constant(0);
  for (let from = 0; from < width; from += 8) {
    const byte = k.and(k.shr(value, k.constant(from)), k.constant(0xff));
    swapped = k.or(swapped, k.shl(byte, k.constant(width - 8 - from)));
  }
  return swapped;
}

export const dataTransfer: Family = (define) => {
  define('MOV', (k, i) => k.write(i.operands[0], k.read(i.operands[1])));
  define('MOVNTI', (k, i) => k.write(i.operands[0], k.read(i.operands[1])));
  define('MOVZX', (k, i) => k.write(i.operands[0], k.read(i.operands[1])));
  define('MOVSX MOVSXD', (k, i) => {
    const source = k.sext(i.operands[1].width as Width, k.read(i.operands[1]));
    k.write(i.operands[0], k.zext(i.operands[0].width as Width, source));
  });
  define('MOVBE', (k, i) => {
    const width = i.operands[0].width as Width;
    k.write(i.operands[0], swapBytes(k, width, k.read(i.operands[1])));
  });
  define('BSWAP', (k, i) => {
    // A 16-bit operand is undefined by the manual; processors clear the word.
    const width = i.operands[0].width as Width;
    k.write(i.operands[0], width === 16 ? k.constant(0) : swapBytes(k, width, k.read(i.operands[0])));
  });
  define('LEA', (k, i) => k.write(i.operands[0], k.zext(i.operands[0].width as Width, k.effectiveAddress())));
  define('XLAT', (k, i) => {
    const mask = k.constant((1n << BigInt(i.addressSize)) - 1n);
    const address = k.and(k.add(k.register(3), k.and(k.register(RAX), k.constant(0xff))), mask);
    k.setRegister(RAX, 8, k.load(8, 'operand', address));
  });

  define('XCHG', (k, i) => {
    const [first, second] = i.operands;
    const a = k.modify(first);
    const b = k.read(second);
    k.write(first, b);
    k.write(second, a);
  });
  define('XADD', (k, i) => {
    const width = i.operands[0].width as Width;
    const a = k.modify(i.operands[0]);
    const b = k.read(i.operands[1]);
    const sum = k.zext(width, k.add(a, b));
    if (i.operands[0].kind === 'memory') k.write(i.operands[0], sum);
    k.write(i.operands[1], a);
    if (i.operands[0].kind !== 'memory') k.write(i.operands[0], sum);
    k.flags('add', width, a, b, sum);
  });
  define('CMPXCHG', (k, i) => {
    const width = i.operands[0].width as Width;
    const destination = k.modify(i.operands[0]);
    const source = k.read(i.operands[1]);
    const accumulator = k.zext(width, k.register(RAX));
    const equal = k.eq(accumulator, destination);
    // Memory is always written; a register that stays keeps its upper half too.
    if (i.operands[0].kind === 'memory') k.write(i.operands[0], k.select(equal, source, destination));
    else k.when(equal, () => k.write(i.operands[0], source));
    k.when(k.negate(equal), () => k.setRegister(RAX, width, destination));
    k.flags('sub', width, accumulator, destination, k.zext(width, k.sub(accumulator, destination)));
  });
  define('CMPXCHG8B', (k) => {
    const address = k.effectiveAddress();
    k.probeStore(64, 'operand', address);
    const memory = k.load(64, 'operand', address);
    const low32 = (index: number) => k.zext(32, k.register(index));
    const expected = k.or(low32(RAX), k.shl(low32(RDX), k.constant(32)));
    const replacement = k.or(low32(3), k.shl(low32(1), k.constant(32)));
    const equal = k.eq(expected, memory);
    k.store(64, 'operand', address, k.select(equal, replacement, memory));
    k.when(k.negate(equal), () => {
      k.setRegister(RAX, 32, k.zext(32, memory));
      k.setRegister(RDX, 32, k.shr(memory, k.constant(32)));
    });
    k.setFlags(ZF, k.select(equal, k.constant(ZF), k.constant(0)));
  });
  define('CMPXCHG16B', (k) => {
    const address = k.effectiveAddress();
    k.when(k.ne(k.and(address, k.constant(15)), k.constant(0)), () => k.fault(13, 0));
    const above = k.add(address, k.constant(8));
    k.probeStore(64, 'operand', address);
    const low = k.load(64, 'operand', address);
    const high = k.load(64, 'operand', above);
    const equal = k.both(k.eq(low, k.register(RAX)), k.eq(high, k.register(RDX)));
    k.store(64, 'operand', address, k.select(equal, k.register(3), low));
    k.store(64, 'operand', above, k.select(equal, k.register(1), high));
    k.when(k.negate(equal), () => {
      k.setRegister(RAX, 64, low);
      k.setRegister(RDX, 64, high);
    });
    k.setFlags(ZF, k.select(equal, k.constant(ZF), k.constant(0)));
  });

  for (const [suffix, code] of CONDITIONS) {
    define(`CMOV${suffix}`, (k, i) => {
      const source = k.read(i.operands[1]);
      k.write(i.operands[0], k.select(k.condition(code), source, k.read(i.operands[0])));
    });
  }

  // Stack.
  define('PUSH', (k, i) => {
    const width = i.operandSize;
    const [operand] = i.operands;
    push(k, width, operand.kind === 'immediate' ? k.zext(width, k.immediate()) : k.read(operand));
  });
  define('POP', (k, i) => {
    const [operand] = i.operands;
    const width = i.operandSize;
    const value = k.load(width, 'SS', k.and(k.register(RSP), k.stackMask()));
    const above = k.add(k.register(RSP), k.constant(width / 8));
    if (operand.kind === 'memory') {
      // An address based on RSP uses its value after the pop (SDM 2B POP).
      const based = i.memory?.base === RSP;
      const mask = k.constant((1n << BigInt(i.addressSize)) - 1n);
      const address = based ? k.and(k.add(k.effectiveAddress(), k.constant(width / 8)), mask) : k.effectiveAddress();
      k.store(width, 'operand', address, value);
      setStackPointer(k, above);
    } else {
      setStackPointer(k, above);
      k.write(operand, value);
    }
  });
  define('PUSHA PUSHAD', (k, i) => {
    const width = i.operandSize;
    const bytes = width / 8;
    const top = k.register(RSP);
    const at = (n: number): ReturnType<typeof k.register> => k.and(k.sub(top, k.constant(n * bytes)), k.stackMask());
    k.probeStore(width, 'SS', at(8));
    k.probeStore(width, 'SS', at(1));
    for (let n = 0; n < 8; n++) k.store(width, 'SS', at(n + 1), k.zext(width, n === RSP ? top : k.register(n)));
    setStackPointer(k, k.sub(top, k.constant(8 * bytes)));
  });
  define('POPA POPAD', (k, i) => {
    const width = i.operandSize;
    const bytes = width / 8;
    const top = k.register(RSP);
    const values = [7, 6, 5, 4, 3, 2, 1, 0].map((index, n) => ({
      index,
      value: k.load(width, 'SS', k.and(k.add(top, k.constant(n * bytes)), k.stackMask())),
    }));
    for (const { index, value } of values) if (index !== RSP) k.setRegister(index, width, value);
    setStackPointer(k, k.add(top, k.constant(8 * bytes)));
  });
  define('ENTER', (k, i) => {
    const width = i.operandSize;
    const bytes = width / 8;
    // The nesting level is an immediate of the instruction, read at run time by the interpreter.
    const level = k.and(k.immediate2(), k.constant(31));
    const size = k.and(k.immediate(), k.constant(0xffff));
    const top = k.register(RSP);
    const frame = k.sub(top, k.constant(bytes));
    const at = (offset: ReturnType<typeof k.register>) => k.and(offset, k.stackMask());
    const steps = k.mul(level, k.constant(bytes));
    const newTop = k.sub(k.sub(frame, steps), size);
    // Everything that may fault: the lowest word pushed, the word at the final stack pointer, the frame itself.
    k.probeStore(width, 'SS', at(frame));
    k.probeStore(width, 'SS', at(k.sub(frame, steps)));
    k.probeStore(8, 'SS', at(newTop));
    const oldBase = k.register(RBP);
    // Pushed first: the frame pointers that are copied may lie where it goes.
    k.store(width, 'SS', at(frame), k.zext(width, oldBase));
    for (let n = 1; n < 31; n++) {
      k.when(k.ltU(k.constant(n), level), () => {
        const value = k.load(width, 'SS', at(k.sub(oldBase, k.constant(n * bytes))));
        k.store(width, 'SS', at(k.sub(frame, k.constant(n * bytes))), value);
      });
    }
    k.when(k.ne(level, k.constant(0)), () => k.store(width, 'SS', at(k.sub(frame, steps)), k.zext(width, frame)));
    k.setRegister(RBP, width, k.zext(width, frame));
    setStackPointer(k, newTop);
  });
  define('LEAVE', (k, i) => {
    const width = i.operandSize;
    const value = k.load(width, 'SS', k.and(k.register(RBP), k.stackMask()));
    setStackPointer(k, k.add(k.register(RBP), k.constant(width / 8)));
    k.setRegister(RBP, width, value);
  });
  define('PUSHF PUSHFD PUSHFQ', (k, i) => {
    const flags = k.readFlags();
    let image = k.and(flags, k.constant(0xfcffffn)); // RF and VM read as zero
    if (i.mode !== 64) {
      // Virtual-8086 mode with IOPL below 3: for the monitor, but with VME 16 bits show VIF as IF, and IOPL 3
      // (SDM 3A §20.2.7, §20.3.3).
      const none = k.constant(0);
      const inside = k.ne(k.and(flags, k.constant(VM)), none);
      const sensitive = k.both(inside, k.ltU(k.and(flags, k.constant(IOPL)), k.constant(IOPL)));
      const vme = k.ne(k.and(k.field('cr4'), k.constant(CR4_VME)), none);
      const refused = i.operandSize === 16 ? k.both(sensitive, k.negate(vme)) : sensitive;
      k.when(refused, () => k.fault(GENERAL_PROTECTION, 0));
      const virtual = k.shr(k.and(flags, k.constant(VIF)), k.constant(VIF_TO_IF));
      const shown = k.or(k.or(k.and(flags, k.constant(~IF & 0xffffn)), k.constant(IOPL)), virtual);
      image = k.select(sensitive, shown, image);
    }
    push(k, i.operandSize, k.zext(i.operandSize, image));
  });

  // Conversions of the accumulator.
  define('CBW', (k) => k.setRegister(RAX, 16, k.zext(16, k.sext(8, k.register(RAX)))));
  define('CWDE', (k) => k.setRegister(RAX, 32, k.zext(32, k.sext(16, k.register(RAX)))));
  define('CDQE', (k) => k.setRegister(RAX, 64, k.sext(32, k.register(RAX))));
  define('CWD CDQ CQO', (k, i) => {
    const width = i.operandSize;
    const sign = k.sar(k.sext(width, k.register(RAX)), k.constant(63));
    k.setRegister(RDX, width, k.zext(width, sign));
  });

  // Flags as data.
  define('LAHF', (k) => {
    const low = k.or(k.and(k.readFlags(), k.constant(SF | ZF | AF | PF | CF)), k.constant(2));
    const rax = k.and(k.register(RAX), k.constant(~0xff00n & 0xffff_ffff_ffff_ffffn));
    k.setRegister(RAX, 64, k.or(rax, k.shl(low, k.constant(8))));
  });
  define('SAHF', (k) => k.setFlags(STATUS_FLAGS & ~OF, k.shr(k.register(RAX), k.constant(8))));
};
