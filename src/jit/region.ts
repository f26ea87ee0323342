/**
 * A region: basic blocks of one code page that are compiled into one WebAssembly function. Found by following direct
 * branches from where the code became hot; every block can be entered from outside.
 */
import type { Instruction } from '../x86/instruction.ts';

/** One instruction of a page as the interpreter knows it. */
export interface PlacedInstruction {
  readonly instruction: Instruction;
  /** Offset in the page. */
  readonly offset: number;
  /** Address of its record. */
  readonly record: number;
  /** Slot of its handler. */
  readonly slot: number;
  /** Constant cost in twelfths. */
  readonly cost: number;
  /** The region's code executes it itself; otherwise its interpreter handler does. */
  readonly compiled: boolean;
}

export interface Block {
  readonly index: number;
  readonly instructions: readonly PlacedInstruction[];
  /** Offset behind the last instruction. */
  readonly end: number;
}

export interface Region {
  readonly blocks: readonly Block[];
  /** Block that begins at an offset of the page. */
  readonly blockAt: ReadonlyMap<number, Block>;
}

/** Everything of a page that discovery asks for; undefined where the page cannot say (crossing, undefined, other region). */
export type InstructionSource = (offset: number) => PlacedInstruction | undefined;
