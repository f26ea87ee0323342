/**
 * Where things lie in a machine's WebAssembly memory: processors, the engines' arena, then RAM. One layout on every
 * engine, so that state and hashes do not depend on the engine.
 */
import { PAGE_SIZE } from '../memory/physical-memory.ts';
import { CPU_STRIDE } from './state.ts';

const WASM_PAGE = 0x10000;
const FIRST_CPU = 0x10000;
/** Bytes for decoded instructions. */
const ARENA_BYTES = 24 * 1024 * 1024;

export interface MachineLayout {
  readonly cpuCount: number;
  readonly ramBytes: number;
  cpuBase(index: number): number;
  /** One u32 a RAM frame: the engine's block for the code in it. */
  readonly codeIndex: number;
  readonly arena: number;
  readonly arenaEnd: number;
  readonly ramBase: number;
  /** Size of the memory in WebAssembly pages. */
  readonly wasmPages: number;
}

export function machineLayout(cpuCount: number, ramBytes: number): MachineLayout {
  const align = (value: number): number => Math.ceil(value / WASM_PAGE) * WASM_PAGE;
  const codeIndex = FIRST_CPU + cpuCount * CPU_STRIDE;
  const arena = align(codeIndex + (ramBytes / PAGE_SIZE) * 4);
  const arenaEnd = arena + ARENA_BYTES;
  const ramBase = align(arenaEnd);
  return {
    cpuCount,
    ramBytes,
    cpuBase: (index) => FIRST_CPU + index * CPU_STRIDE,
    codeIndex,
    arena,
    arenaEnd,
    ramBase,
    wasmPages: align(ramBase + ramBytes) / WASM_PAGE,
  };
}
