/**
 * Sets of vCPUs in flush requests: a bitmap in guest memory, read in 64-bit words up to the domain's vCPUs, or all.
 * Only vCPUs that run have translations to drop; the others get a fresh address space when they are switched in.
 * Source: Xen public/xen.h MMUEXT_TLB_FLUSH_MULTI, UVMF_MULTI.
 */
import { loadFromGuest } from '../guest-access.ts';
import type { Domain } from '../domain.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

export function runningVcpus(domain: Domain): Vcpu[] {
  return domain.vcpus.filter((vcpu) => vcpu.running);
}

/** The running vCPUs of the bitmap at `pointer`, or undefined when it cannot be read. */
export function readVcpuMask(hypervisor: Hypervisor, caller: Vcpu, pointer: bigint): Vcpu[] | undefined {
  const { vcpus } = caller.domain;
  const bytes = loadFromGuest(hypervisor, caller, pointer, Math.ceil(vcpus.length / 64) * 8);
  if (bytes === undefined) return undefined;
  return vcpus.filter((vcpu, i) => vcpu.running && (((bytes[i >>> 3] as number) >>> (i & 7)) & 1) === 1);
}
