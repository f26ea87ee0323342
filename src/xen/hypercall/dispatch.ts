/**
 * From a call to its handler: numbers to names, counting, tracing, the entry's cost, and -ENOSYS. The register side is
 * here for 64-bit PV guests; full domains (VMCALL) and host code pass number and arguments themselves.
 * Source: Xen docs/guest-guide/x86/hypercall-abi.rst.
 */

import type { PlatformCpu } from '../../platform/cpu.ts';
import { ENOSYS } from '../../xen-abi/errno.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';
import type { HypercallResult } from './table.ts';

/** Registers of number, result and arguments, by encoding. */
const RAX = 0;
const argumentRegisters = [7, 6, 2, 10, 8, 9] as const; // RDI RSI RDX R10 R8 R9
/** SYSCALL, INT n and VMCALL-free stubs are two bytes: a call that is run again moves RIP back by them. */
const callLength = 2n;

/** A SYSCALL of a 64-bit PV guest kernel: RIP is behind it. */
export function dispatchHypercall(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu): void {
  const args = argumentRegisters.map((register) => cpu.gpr(register));
  const outcome = callHypercall(hypervisor, vcpu, cpu.gpr(RAX), args);
  if (outcome === 'restart') cpu.rip = BigInt.asUintN(64, cpu.rip - callLength);
  else if (outcome !== 'no-result') cpu.setGpr(RAX, BigInt.asUintN(64, outcome));
}

/** `entry` is false for an entry of a multicall, which has the multicall's entry cost and is not its own. */
export function callHypercall(hypervisor: Hypervisor, vcpu: Vcpu, number: bigint, args: readonly bigint[], entry = true): HypercallResult {
  const row = number < 64n ? hypervisor.hypercalls.get(Number(number)) : undefined;
  const allowed = row !== undefined && (row.callers === undefined || row.callers === vcpu.domain.kind);
  if (row === undefined || !allowed) {
    if (entry) hypervisor.cpuOf(vcpu).charge('xen.null_hypercall');
    hypervisor.unknown(vcpu.domain, 'hypercall', row?.name ?? number.toString());
    return BigInt(-ENOSYS);
  }
  if (entry && row.cost !== 'own') hypervisor.cpuOf(vcpu).charge('xen.null_hypercall');
  const name = row.name + (row.suffix?.(args) ?? '');
  const counted = entry ? name : `multicall entry: ${name}`;
  vcpu.domain.counts.set(counted, (vcpu.domain.counts.get(counted) ?? 0) + 1);
  for (const observer of hypervisor.observers) observer.hypercallEnter?.(vcpu, name, args.slice(0, row.argumentCount));
  const outcome = row.handler(hypervisor, vcpu, args);
  for (const observer of hypervisor.observers) observer.hypercallLeave?.(vcpu, name, outcome);
  return outcome;
}
