/**
 * What differs between kinds of domains, asked by the core and answered by pv/ and hvm/. The core never asks "is it PV?"
 * in a path; it calls the kind.
 */

import type { PlatformCpu, ProcessorEvent } from '../platform/cpu.ts';
import type { Domain, DomainKindName } from './domain.ts';
import type { PageTypeHooks } from './frame-table.ts';
import type { Hypercall } from './hypercall/table.ts';
import type { Hypervisor } from './hypervisor.ts';
import type { Vcpu } from './vcpu.ts';

export interface DomainKind {
  readonly name: DomainKindName;
  /** Rows that this kind adds to the hypercall table. */
  readonly hypercalls: readonly Hypercall[];
  /** Called once when the hypervisor starts, before any domain exists; pv/ installs page-type hooks and maps the M2P. */
  start(hypervisor: Hypervisor): void;

  /** A domain of this kind has been created, without vCPU state and memory. 0 or a negative errno. */
  createDomain(hypervisor: Hypervisor, domain: Domain): number;
  /** Fills a new vCPU with its state before any context is set (1.6 for PV). */
  createVcpu(hypervisor: Hypervisor, vcpu: Vcpu): void;
  /**
   * VCPUOP_initialise and XEN_DOMCTL_setvcpucontext with the raw vcpu_guest_context (2800 or 5168 bytes).
   * Takes the table references. 0 or a negative errno; the caller handles `initialised`, `down` and waking.
   */
  setContext(hypervisor: Hypervisor, vcpu: Vcpu, image: Uint8Array): number;
  getContext(hypervisor: Hypervisor, vcpu: Vcpu): Uint8Array;
  /**
   * Gives back everything that keeps frames referenced: root tables, descriptor tables, pins, circular tables.
   * After it, dropping the allocation references frees every frame that no other domain holds.
   */
  relinquish(hypervisor: Hypervisor, domain: Domain): void;

  // Entries from the guest, with the vCPU running on `cpu`. After each the core calls exitToGuest (ring-zero.ts).
  exception(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu, event: ProcessorEvent): void;
  /** SYSCALL. The kind decides whether it is a hypercall, and then calls dispatchHypercall (hypercall/dispatch.ts). */
  syscall(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;
  sysenter(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;
  /** Last thing before the guest goes on: delivers at most one upcall frame (events.upcallDeliverable) or NMI. */
  exitToGuest(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;

  /** After loadContext: root table, descriptor tables, lazy FPU. Charges the switch. */
  switchIn(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;
  /** Before saveContext. */
  switchOut(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void;

  /**
   * Puts a mapping of a granted frame into the caller's L1 entry (PV: host_addr is a virtual address, or with
   * `containsPte` the machine address of the entry). The caller has taken the frame's page reference and, unless
   * `readonly`, its writable type reference; they now belong to the entry. What the entry held is dropped. GNTST_*.
   */
  mapGrant(hypervisor: Hypervisor, vcpu: Vcpu, mapping: GrantMappingRequest): number;
  /**
   * Takes the mapping out again: the entry must still map `frame` with the same writability (XSA-234), else
   * GNTST_general_error and nothing changes. With `replacement`, the entry at that virtual address moves here and is
   * cleared there. The references stay with the caller, who drops them. Flushes.
   */
  unmapGrant(hypervisor: Hypervisor, vcpu: Vcpu, mapping: GrantMappingRequest, replacement?: bigint): number;
  /** Only pv/: filled into FrameTable.hooks by start(). */
  readonly pageTypes?: (hypervisor: Hypervisor) => PageTypeHooks;
}

export interface GrantMappingRequest {
  readonly address: bigint;
  readonly containsPte: boolean;
  readonly frame: number;
  readonly readonly: boolean;
  /** GNTMAP_application_map: the guest's user mode may use it. */
  readonly application: boolean;
  /** Bits 31:16 of the flags: software bits for the entry. */
  readonly availableBits: number;
}
