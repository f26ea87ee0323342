/**
 * What handlers share: structures in and out of the caller's memory, and domain ids as arguments.
 */

import { EFAULT, EPERM, ESRCH } from '../../xen-abi/errno.ts';
import type { Fields, Struct, Values } from '../../xen-abi/layout.ts';
import { DOMID_SELF } from '../../xen-abi/xen.ts';
import type { Domain } from '../domain.ts';
import { copyToGuest, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

/** The structure at `address` in the caller's ABI, or undefined for -EFAULT. */
export function loadStruct<F extends Fields>(hypervisor: Hypervisor, vcpu: Vcpu, address: bigint, type: Struct<F>): Values<F> | undefined {
  const abi = vcpu.domain.addressSize;
  const bytes = loadFromGuest(hypervisor, vcpu, address, type.size(abi));
  return bytes === undefined ? undefined : type.read(bytes, abi);
}

/** Writes a whole structure. 0 or -EFAULT. */
export function storeStruct<F extends Fields>(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  address: bigint,
  type: Struct<F>,
  values: Partial<Values<F>>,
): number {
  return copyToGuest(hypervisor, vcpu, address, type.write(values, undefined, vcpu.domain.addressSize));
}

/** Writes one field of a structure that lies at `address`. 0 or -EFAULT. */
export function storeField<F extends Fields, K extends keyof F & string>(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  address: bigint,
  type: Struct<F>,
  field: K,
  value: Values<F>[K],
): number {
  const abi = vcpu.domain.addressSize;
  const at = type.offset(field, abi);
  const whole = type.write({ [field]: value } as unknown as Partial<Values<F>>, undefined, abi);
  const offsets = Object.keys(type.fields)
    .map((key) => type.offset(key, abi))
    .filter((offset) => offset > at);
  const end = Math.min(type.size(abi), at + fieldBytes(type.fields[field]?.[1] ?? 'u8', abi), ...offsets);
  return copyToGuest(hypervisor, vcpu, address + BigInt(at), whole.subarray(at, end));
}

function fieldBytes(type: string, abi: 32 | 64): number {
  if (type === 'word') return abi / 8;
  const digits = /\d+$/.exec(type)?.[0] ?? '8';
  return type.startsWith('bytes') ? Number(digits) : Number(digits) / 8;
}

/** A guest-supplied array element of a C long: frame numbers and pointers. undefined for -EFAULT. */
export function loadWord(hypervisor: Hypervisor, vcpu: Vcpu, address: bigint): bigint | undefined {
  const size = vcpu.domain.addressSize / 8;
  const bytes = loadFromGuest(hypervisor, vcpu, address, size);
  if (bytes === undefined) return undefined;
  const view = new DataView(bytes.buffer);
  return size === 4 ? BigInt(view.getUint32(0, true)) : view.getBigUint64(0, true);
}

export function storeWord(hypervisor: Hypervisor, vcpu: Vcpu, address: bigint, value: bigint): number {
  const size = vcpu.domain.addressSize / 8;
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
  return copyToGuest(hypervisor, vcpu, address, bytes.subarray(0, size));
}

/** The domain that `domid` names for a caller that may act on it (itself, or as its controller), or -ESRCH, -EPERM. */
export function targetDomain(hypervisor: Hypervisor, vcpu: Vcpu, domid: number): Domain | number {
  if (domid === DOMID_SELF) return vcpu.domain;
  const domain = hypervisor.domains.get(domid);
  if (domain === undefined) return -ESRCH;
  return mayControl(vcpu.domain, domain) ? domain : -EPERM;
}

export function mayControl(caller: Domain, target: Domain): boolean {
  return caller === target || caller.privileged || target.controlledBy === caller.id;
}

/** 0 or -EFAULT from a pair of copies, the first failure first. */
export function firstError(...results: readonly number[]): number {
  return results.find((value) => value < 0) ?? 0;
}

export const faultResult = BigInt(-EFAULT);
