/**
 * What an observer of a hypervisor can see: the source of `--trace hypercalls|events|unknown`, of the counts and of
 * crash reports. Observers never change anything, and no cost depends on one.
 */

import type { Domain } from './domain.ts';
import type { HypercallResult } from './hypercall/table.ts';
import type { Vcpu } from './vcpu.ts';

export type UnknownKind = 'hypercall' | 'sub-operation' | 'msr' | 'cpuid' | 'port' | 'instruction';

export interface HypervisorObserver {
  /** `name` includes the sub-operation: `event_channel_op.send`, `update_va_mapping flags=2`. */
  hypercallEnter?(vcpu: Vcpu, name: string, args: readonly bigint[]): void;
  hypercallLeave?(vcpu: Vcpu, name: string, result: HypercallResult): void;
  /** One entry of a batch: `mmuext_op entry: PIN_L4`, `mmu_update entry: NORMAL_PT_UPDATE on page type L1`. */
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
