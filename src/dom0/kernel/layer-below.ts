/**
 * Dom0 of a hypervisor that itself runs in a full domain: its calls to the layer below, by passthrough. At start it asks
 * who is there and has the layer below announce its events by a vector, as the Blanket's Dom0 does before its drivers.
 * Sources: xen-abi/passthrough.ts; Xen public/version.h, features.h, hvm/params.h.
 */

import { HVM_PARAM_CALLBACK_IRQ, HVM_PARAM_CALLBACK_TYPE_VECTOR, HVMOP_set_param, xen_hvm_param } from '../../xen-abi/hvm.ts';
import { HYPERVISOR_passthrough, PASSTHROUGH_hvm_op, PASSTHROUGH_xen_version } from '../../xen-abi/passthrough.ts';
import { XENVER_get_features, XENVER_version, xen_feature_info } from '../../xen-abi/version.ts';
import { DOMID_SELF } from '../../xen-abi/xen.ts';
import type { Fields, Struct, Values } from '../../xen-abi/layout.ts';
import { type Hypercalls, hypercallError } from './hypercalls.ts';

/** What the layer below says of itself. Plain data. */
export interface LayerBelow {
  readonly version: { readonly major: number; readonly minor: number };
  readonly features: number;
}

/** Vector of the event upcall, below those of the hypervisor's own interrupts. */
const callbackVector = 0xe0n;
const typeShift = 56n;

/** The layer below, or undefined where there is no Xen below. @throws {BackendError} when it answers, but not as Xen. */
export function findLayerBelow(calls: Hypercalls): LayerBelow | undefined {
  calls.begin();
  const version = Number(calls.port.hypercall(HYPERVISOR_passthrough, BigInt(PASSTHROUGH_xen_version), BigInt(XENVER_version)));
  if (version < 0) return undefined;
  const { submap } = passed(calls, 'xen_version.get_features', PASSTHROUGH_xen_version, XENVER_get_features, xen_feature_info, {
    submap_idx: 0,
  });
  passed(calls, 'hvm_op.set_param', PASSTHROUGH_hvm_op, HVMOP_set_param, xen_hvm_param, {
    domid: DOMID_SELF,
    index: HVM_PARAM_CALLBACK_IRQ,
    value: (HVM_PARAM_CALLBACK_TYPE_VECTOR << typeShift) | callbackVector,
  });
  return { version: { major: version >>> 16, minor: version & 0xffff }, features: submap };
}

/** One passed call that must work. */
export function passed<F extends Fields>(
  calls: Hypercalls,
  what: string,
  sub: number,
  command: number,
  layout: Struct<F>,
  values: Partial<Values<F>>,
  count = 0n,
): Values<F> {
  calls.begin();
  const address = calls.place(layout.write(values));
  const result = Number(calls.port.hypercall(HYPERVISOR_passthrough, BigInt(sub), BigInt(command), address, count));
  if (result < 0) throw hypercallError(`passthrough.${what}`, result);
  return layout.read(calls.fetch(address, layout.size()));
}
