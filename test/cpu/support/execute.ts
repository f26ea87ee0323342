/** Executes single instructions given as bytes on a processor without an engine, keeping an engine's side of the contract. */
import { type Status, Status as StatusValue } from '../../../src/cpu/engine.ts';
import { executeSystem } from '../../../src/cpu/system/execute.ts';
import { Decoder } from '../../../src/x86/decode.ts';
import { Vector } from '../../../src/x86/exceptions.ts';
import type { CodeMode } from '../../../src/x86/instruction.ts';
import type { TestProcessor } from './test-processor.ts';

export function execute({ processor }: TestProcessor, hex: string): Status {
  const { state } = processor;
  const bytes = new Uint8Array(16);
  const given = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  bytes.set(given);
  const decoder = new Decoder(processor.cpuid.features);
  const instruction = decoder.decode(bytes, 0, bytes.length, state.get32('codeMode') as CodeMode);
  if (instruction === 'undefined') return processor.fault(Vector.UD);
  if (typeof instruction === 'string') throw new Error(`${hex}: ${instruction}`);
  if (instruction.length !== given.length) throw new Error(`${hex}: ${instruction.length} bytes decoded`);
  const start = state.get('rip');
  state.set('rip', start + BigInt(instruction.length));
  const status = executeSystem(processor, instruction);
  if (status === StatusValue.FAULT || status === StatusValue.REPEAT) state.set('rip', start);
  return status;
}
