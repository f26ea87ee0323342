/**
 * A stack: a machine, the hypervisors on it, their Dom0s and one guest, put together and ready to run. What all six have
 * in common; the files beside this one build them.
 */
import type { ReadOnlyMedium } from '../devices/virtio/overlay-image.ts';
import type { PhysicalMemory } from '../memory/physical-memory.ts';
import type { EngineName, RunEnd } from '../machine/bare-machine.ts';
import type { AblationSettings } from '../report/ablations.ts';
import type { Ledger } from '../timing/ledger.ts';
import { type Stack as Column, stacks } from '../timing/published.ts';
import type { ParameterValues } from '../timing/parameters.ts';
import type { CpuidModel } from '../cpu/cpuid/model.ts';
import type { Engine } from '../cpu/engine.ts';
import type { Processor } from '../cpu/processor.ts';

/** Column names of the table; `a/b` is a guest of `a` on top of `b`. */
export const STACK_NAMES = stacks;
export type StackName = Column;

/** A hypercall that returned. `layer` 0 is the hypervisor on the bare machine. */
export interface HypercallEvent {
  readonly layer: number;
  readonly domain: number;
  readonly vcpu: number;
  /** With its sub-operation; entries of a multicall begin with "multicall entry: ". */
  readonly name: string;
  readonly args: readonly bigint[];
  /** Undefined for calls that do not return to their caller. */
  readonly result: bigint | undefined;
}

/** What a run can be told to report, beside the console. */
export interface StackObserver {
  hypercall?(event: HypercallEvent): void;
  /** One entry of an array of requests, as `mmuext_op entry: PIN_L4`; its hypercall returns later. */
  operation?(event: { layer: number; domain: number; vcpu: number; name: string }): void;
  event?(event: { layer: number; domain: number; port: number; detail: string }): void;
  exit?(event: { layer: number; domain: number; reason: string }): void;
  /** Something that the guest asked for and that does not exist here; each once. */
  unknown?(event: { layer: number; kind: string; detail: string }): void;
  /** A line of a hypervisor's own console. */
  log?(event: { layer: number; line: string }): void;
}

export interface StackOptions {
  readonly stack: StackName;
  readonly image: Uint8Array;
  readonly imageName: string;
  readonly commandLine?: string;
  /** Initial ramdisk, for kernels that take one. */
  readonly ramdisk?: Uint8Array;
  /** Disks of the guest on virtio, by their serial number. */
  readonly disks?: readonly { readonly name: string; readonly medium: ReadOnlyMedium }[];
  /** A network card whose other end answers ARP, ping, DHCP, TCP echo and discard. Default false. */
  readonly network?: boolean;
  /** Processors of the guest. Default 1. */
  readonly vcpus?: number;
  /** Memory of the guest. Default 64. */
  readonly memoryMiB?: number;
  /** What the processors claim to be and can do. Default westmere, the paper's. */
  readonly cpuid?: CpuidModel;
  readonly engine?: EngineName;
  /** Puts something between the run loop and the engine: counting, pausing. */
  readonly wrapEngine?: (engine: Engine) => Engine;
  /** Guest's console output. */
  readonly console: (bytes: Uint8Array) => void;
  readonly parameters?: ParameterValues;
  /** What an ablation changes. Default nothing. */
  readonly settings?: AblationSettings;
  readonly observer?: StackObserver;
  /** Unix time in seconds at cycle 0. Default 2012-04-10, the day of EuroSys 2012. */
  readonly epoch?: bigint;
  /** Order in which machine frames are handed out: the seed of physical page placement. Default 0n. */
  readonly seed?: bigint;
}

/** How the guest's run ended. */
export type StackEnd =
  | { reason: 'power-off' }
  | { reason: 'crash'; report: string }
  | { reason: 'deadlock' }
  | { reason: 'limit' }
  | { reason: 'stopped' };

export interface Stack {
  readonly name: StackName;
  readonly memory: PhysicalMemory;
  /** The physical processor that the guest's vCPU runs on. */
  readonly guestProcessor: Processor;
  readonly ledger: Ledger;
  /** Hypervisor layers below the guest's kernel. */
  readonly layers: number;
  run(maxInstructions?: bigint): StackEnd;
  /** Ends a run at the next instruction boundary; `run` then returns 'stopped'. */
  stop(): void;
  /** Instructions retired on all processors. */
  readonly instructions: bigint;
  /** SHA-256 over the save stream of everything that decides what happens next. */
  stateHash(): string;
  /** Registers, page walk and last hypercalls, for a crash or an interrupted run. */
  report(): string;
}

export function endOf(end: RunEnd): StackEnd {
  switch (end.reason) {
    case 'power-off':
    case 'deadlock':
    case 'limit':
    case 'stopped':
      return end;
    case 'debug-exit':
      return { reason: 'power-off' };
    case 'reset':
      return { reason: 'crash', report: 'the guest reset its machine' };
    case 'triple-fault':
      return { reason: 'crash', report: `triple fault on processor ${end.cpu}` };
  }
}
