/**
 * One stack on two engines, side by side: both run for an interval, their states are compared, and so on. Where they differ
 * both are built anew, brought to the last place where they agreed, and go on in smaller intervals, down to the one
 * instruction that they execute differently. A stack is deterministic, so that what is built anew comes by the same way.
 *
 * DEVIATION: halts between two instructions divide a quantum of the machine, so that with several processors the search may
 * interleave them otherwise than the free run did; when the difference does not come again the interval is reported alone.
 */
import { Decoder } from '../../x86/decode.ts';
import { disassemble } from '../../x86/disassemble.ts';
import { type CodeMode, Segment } from '../../x86/instruction.ts';
import type { Engine } from '../../cpu/engine.ts';
import { readVirtual } from '../../cpu/mmu/virtual.ts';
import type { Processor } from '../../cpu/processor.ts';
import type { Stack, StackEnd } from '../stack.ts';
import { compareStacks, type Difference } from './compare-stacks.ts';
import { PausingEngine } from './pausing-engine.ts';

export interface LockstepOptions {
  /** Builds the stack on the first or the second engine; the engine must go through `wrap`. */
  readonly build: (which: 0 | 1, wrap: (engine: Engine) => Engine) => Stack;
  /** Instructions between two comparisons. */
  readonly every: bigint;
  readonly maxInstructions?: bigint;
  readonly progress?: (instructions: bigint) => void;
}

export interface FoundInstruction {
  readonly cpu: number;
  readonly address: bigint;
  readonly bytes: string;
  readonly text: string;
}

export type LockstepResult =
  | { readonly agreed: true; readonly instructions: bigint; readonly end: StackEnd }
  | {
      readonly agreed: false;
      /** Instructions retired where both still agreed. */
      readonly instructions: bigint;
      /** Undefined when only the interval is known. */
      readonly instruction: FoundInstruction | undefined;
      readonly differences: readonly Difference[];
    };

interface Side {
  readonly stack: Stack;
  readonly engine: PausingEngine;
}

type Pair = readonly [Side, Side];

/** Each search divides its interval by this. */
const DIVISION = 16n;
const LONGEST_INSTRUCTION = 15;

export function lockstep(options: LockstepOptions): LockstepResult {
  const { every, maxInstructions, progress } = options;
  const pair = build(options);
  let reached = 0n;
  for (;;) {
    const before = reached;
    const ends = advance(pair, before + every, maxInstructions);
    reached = pair[0].stack.instructions;
    const found = compareAll(pair, ends);
    if (found.length > 0) return search(options, before, found);
    progress?.(reached);
    const [end] = ends;
    const full = maxInstructions !== undefined && reached >= maxInstructions;
    if (end.reason === 'limit' && !full) continue;
    if (pair[0].stack.stateHash() === pair[1].stack.stateHash()) return { agreed: true, instructions: reached, end };
    const differences = [
      { name: 'state hash (hypervisors, devices)', first: pair[0].stack.stateHash(), second: pair[1].stack.stateHash() },
    ];
    return { agreed: false, instructions: before, instruction: undefined, differences };
  }
}

function build({ build: one }: LockstepOptions): Pair {
  const side = (which: 0 | 1): Side => {
    let engine: PausingEngine | undefined;
    const stack = one(which, (inner) => {
      engine = new PausingEngine(inner);
      return engine;
    });
    if (engine === undefined) throw new Error('the stack was built without the wrapped engine');
    return { stack, engine };
  };
  return [side(0), side(1)];
}

function advance(pair: Pair, to: bigint, maxInstructions: bigint | undefined): [StackEnd, StackEnd] {
  const until = maxInstructions !== undefined && maxInstructions < to ? maxInstructions : to;
  return [pair[0].stack.run(until), pair[1].stack.run(until)];
}

function compareAll([first, second]: Pair, ends: readonly [StackEnd, StackEnd]): Difference[] {
  const found = compareStacks(first.stack, second.stack);
  if (ends[0].reason !== ends[1].reason) found.unshift({ name: 'end of the run', first: ends[0].reason, second: ends[1].reason });
  return found;
}

/** Goes from the last comparison that agreed, `from`, to the first instruction after which the states differ. */
function search(options: LockstepOptions, from: bigint, coarse: readonly Difference[]): LockstepResult {
  let skipped = 0n;
  let size = options.every;
  for (;;) {
    const pair = build(options);
    for (let at = 0n; at < from; at = pair[0].stack.instructions) advance(pair, at + options.every, options.maxInstructions);
    if (skipped > 0n) stepBoth(pair, skipped);
    size = size > DIVISION ? size / DIVISION : 1n;
    const found = firstDifference(pair, size, options.every * 2n);
    if (found === undefined) return { agreed: false, instructions: from, instruction: undefined, differences: coarse };
    skipped += found.steps;
    if (size > 1n) continue;
    return { agreed: false, instructions: found.instructions, instruction: found.instruction, differences: found.differences };
  }
}

interface Found {
  /** Steps from where the search began to the last place that agreed. */
  readonly steps: bigint;
  readonly instructions: bigint;
  readonly instruction: FoundInstruction | undefined;
  readonly differences: readonly Difference[];
}

/** Steps in chunks of `size` until the states differ; undefined when they do not within `most` steps. */
function firstDifference(pair: Pair, size: bigint, most: bigint): Found | undefined {
  for (let steps = 0n; steps < most; steps += size) {
    stepBoth(pair, 0n);
    const { paused } = pair[0].engine;
    const place = size === 1n && paused !== undefined ? placeOf(paused) : undefined;
    const { instructions } = pair[0].stack;
    const ends = stepBoth(pair, size);
    const differences = compareAll(pair, ends);
    if (differences.length > 0) return { steps, instructions, instruction: place && describe(place), differences };
    if (ends[0].reason !== 'stopped') return undefined;
  }
  return undefined;
}

function stepBoth(pair: Pair, steps: bigint): [StackEnd, StackEnd] {
  const ends = pair.map(({ stack, engine }) => {
    engine.pauseAfter(Number(steps));
    let end = stack.run();
    // Without a pause the run ended by itself; a stop by anything else is gone on from.
    while (end.reason === 'stopped' && engine.paused === undefined) end = stack.run();
    return end;
  });
  return ends as [StackEnd, StackEnd];
}

interface Place {
  readonly processor: Processor;
  readonly mode: CodeMode;
  readonly rip: bigint;
  readonly linear: bigint;
}

function placeOf(processor: Processor): Place {
  const { state } = processor;
  const mode = state.get32('codeMode') as CodeMode;
  const rip = state.get('rip');
  const linear = mode === 64 ? rip : BigInt.asUintN(32, rip + state.get('segmentBase', Segment.CS));
  return { processor, mode, rip, linear };
}

/** Read when the search is over, since reading sets accessed bits. */
function describe({ processor, mode, rip, linear }: Place): FoundInstruction {
  const bytes = new Uint8Array(LONGEST_INSTRUCTION);
  const fault = readVirtual(processor, linear, bytes, false);
  const decoded = new Decoder(processor.cpuid.features).decode(bytes, 0, bytes.length, mode);
  const length = typeof decoded === 'string' ? bytes.length : decoded.length;
  const text = fault !== undefined ? '(not mapped now)' : typeof decoded === 'string' ? `(${decoded})` : disassemble(decoded, rip);
  const hex = [...bytes.subarray(0, length)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return { cpu: processor.index, address: rip, bytes: hex, text };
}
