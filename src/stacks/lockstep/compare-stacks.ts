/**
 * What differs between two stacks that ought to be in the same state: fields of the processors, their lookup tables, RAM.
 * The state of hypervisors and devices is left to `Stack.stateHash`.
 */
import type { Processor } from '../../cpu/processor.ts';
import { FIELD_TABLE, LOOKUP_ENTRIES, LOOKUP_ENTRY_BYTES, LOOKUP_SUPERVISOR, TAG_TRAP_WRITES, TRANSIENT_FIELDS } from '../../cpu/state.ts';
import { generalRegisterName, SEGMENT_REGISTER_NAMES } from '../../x86/registers.ts';
import type { Stack } from '../stack.ts';

export interface Difference {
  readonly name: string;
  readonly first: string;
  readonly second: string;
}

const WRITE_TAG = 1;
const LOOKUP_WORDS = LOOKUP_ENTRY_BYTES >> 3;
/** More of RAM that differs says nothing more. */
const MOST_WORDS = 16;

export function processorsOf(stack: Stack): readonly Processor[] {
  return stack.guestProcessor.peers;
}

/** Empty when nothing differs. */
export function compareStacks(first: Stack, second: Stack): Difference[] {
  const found: Difference[] = [];
  const others = processorsOf(second);
  for (const processor of processorsOf(first)) compareProcessors(processor, others[processor.index] as Processor, found);
  compareMemory(first, second, found);
  return found;
}

function compareProcessors(first: Processor, second: Processor, found: Difference[]): void {
  const prefix = first.peers.length > 1 ? `cpu${first.index} ` : '';
  for (const [name, type, count] of FIELD_TABLE) {
    if (TRANSIENT_FIELDS.has(name)) continue;
    for (let n = 0; n < count; n++) {
      const read = ({ state }: Processor): bigint => (type === 'u32' ? BigInt(state.get32(name, n)) : state.get(name, n));
      const a = read(first);
      const b = read(second);
      if (a !== b) found.push({ name: prefix + fieldName(name, n, count), first: hex(a), second: hex(b) });
    }
  }
  const start = LOOKUP_SUPERVISOR >> 3;
  for (let n = 0; n < 2 * LOOKUP_ENTRIES * LOOKUP_WORDS; n++) {
    const kept = n % LOOKUP_WORDS === WRITE_TAG ? ~TAG_TRAP_WRITES : -1n;
    const a = (first.state.u64[start + n] as bigint) & kept;
    const b = (second.state.u64[start + n] as bigint) & kept;
    if (a === b) continue;
    const entry = Math.floor(n / LOOKUP_WORDS);
    const part = ['read tag', 'write tag', 'fetch tag', 'addend'][n % LOOKUP_WORDS];
    const table = entry < LOOKUP_ENTRIES ? 'supervisor' : 'user';
    found.push({ name: `${prefix}lookup ${table} ${entry % LOOKUP_ENTRIES} ${part}`, first: hex(a), second: hex(b) });
  }
}

function compareMemory(first: Stack, second: Stack, found: Difference[]): void {
  const words = ({ memory }: Stack): Uint32Array => new Uint32Array(memory.memory.buffer, memory.base, memory.size >> 2);
  const a = words(first);
  const b = words(second);
  let count = 0;
  for (let n = 0; n < a.length && count < MOST_WORDS; n++) {
    if (a[n] === b[n]) continue;
    count++;
    found.push({ name: `memory ${hex(BigInt(n * 4))}`, first: hex(BigInt(a[n] as number)), second: hex(BigInt(b[n] as number)) });
  }
}

function fieldName(name: string, n: number, count: number): string {
  if (name === 'gpr') return generalRegisterName(n, 64);
  if (name === 'xmm') return `xmm${n >> 1} ${n & 1 ? 'high' : 'low'}`;
  if (name === 'st') return `x87 r${n >> 1} ${n & 1 ? 'exponent' : 'significand'}`;
  if (count === 6) return `${SEGMENT_REGISTER_NAMES[n]} ${name.replace(/^segment/, '').toLowerCase()}`;
  return count === 1 ? name : `${name}[${n}]`;
}

function hex(value: bigint): string {
  return value.toString(16);
}
