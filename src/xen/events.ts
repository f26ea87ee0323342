/**
 * What an observer of a hypervisor can see: the source of `--trace hypercalls|events|unknown`, of the counts and of
 * crash reports. Observers never change anything, and no cost depends on one.
 */

import type { Domain, Vcpu } from './domain.ts';

/**
 * What a handler gives back:
 * - a bigint: the result, negative errno included (masked to the caller's register size by the dispatcher);
 * - `no-result`: the caller's registers already are what they should be (iret), or the domain is no more;
 * - `restart`: nothing visible has happened, the instruction is run again (RIP moved back by 2): a continuation.
 */
export type HypercallResult = bigint | 'no-result' | 'restart';

export type UnknownKind = 'hypercall' | 'sub-operation' | 'msr' | 'cpuid' | 'port' | 'instruction';

export interface HypervisorObserver {
  /** `name` includes the sub-operation: `event_channel_op.send`, `update_va_mapping flags=2`. */
  /** `args`: as many as the call has. */
  hypercallEnter?(vcpu: Vcpu, name: string, args: readonly bigint[]): void;
  hypercallLeave?(vcpu: Vcpu, name: string, result: HypercallResult): void;
  /**
   * One entry of a batch: `mmuext_op entry: PIN_L4`, `mmu_update entry: NORMAL_PT_UPDATE on page type L1`;
   * or an exit of a full domain: `exit.hlt`.
   */
  operation?(vcpu: Vcpu, name: string): void;
  /** A port became pending (or was found pending already: `merged`). */
  event?(domain: Domain, port: number, merged: boolean): void;
  /** An upcall or exception frame was built. */
  delivery?(vcpu: Vcpu, name: string): void;
  /** Something a guest asked for that is not implemented; `detail` names it in one word or number. */
  unknown?(domain: Domain, kind: UnknownKind, detail: string): void;
  domainCreated?(domain: Domain): void;
  /** Shut down with its code; `crash` holds the report's first line. */
  domainShutdown?(domain: Domain, code: number, crash: string | undefined): void;
  domainDestroyed?(domain: Domain): void;
  /** A line of a domain's debug console (console_io) or of the hypervisor's own log (domain undefined). */
  console?(domain: Domain | undefined, line: string): void;
}
