/**
 * Hypercalls with their arguments in Dom0's own memory, as its kernel would make them: structures are copied into an
 * argument area, the call is issued with their virtual addresses, and what the hypervisor wrote is read back.
 * The area is a bump allocator that every {@link Hypercalls.begin} empties: nothing in it outlives one call.
 * Sources: the public header of each call.
 */

import { assert, BackendError } from '../../base/errors.ts';
import { DOMCTL_U, domctlNames, XEN_DOMCTL_INTERFACE_VERSION, xen_domctl } from '../../xen-abi/domctl.ts';
import { eventChannelOpNames } from '../../xen-abi/event-channel.ts';
import type { GuestPort } from '../../xen-abi/guest-port.ts';
import type { Fields, Struct, Values } from '../../xen-abi/layout.ts';
import { DOMID_SELF, Hypercall, mmu_update, mmuext_op } from '../../xen-abi/xen.ts';

export class Hypercalls {
  readonly port: GuestPort;
  readonly #area: bigint;
  readonly #areaBytes: number;
  #used = 0;

  /** @param area virtual address of `areaBytes` mapped bytes that belong to this object. */
  constructor(port: GuestPort, area: bigint, areaBytes: number) {
    this.port = port;
    this.#area = area;
    this.#areaBytes = areaBytes;
  }

  begin(): void {
    this.#used = 0;
  }

  /** Largest array of `elementBytes` that one call can take, leaving room for its structure. */
  capacity(elementBytes: number): number {
    return Math.floor((this.#areaBytes - 512) / elementBytes);
  }

  /** Copies bytes into the area. @returns their virtual address. */
  place(bytes: Uint8Array): bigint {
    const at = this.#used;
    this.#used += Math.ceil(bytes.length / 8) * 8;
    assert(this.#used <= this.#areaBytes, () => `hypercall arguments of ${bytes.length} bytes do not fit`);
    const address = this.#area + BigInt(at);
    assert(this.port.writeVirtual(address, bytes), 'the argument area of Dom0 is not mapped');
    return address;
  }

  fetch(address: bigint, length: number): Uint8Array {
    const bytes = this.port.readVirtual(address, length);
    assert(bytes !== undefined, 'the argument area of Dom0 is not mapped');
    return bytes;
  }

  /** A call of the form `op(command, &structure)`. Fills `values` with what came back and returns the result. */
  operation<F extends Fields>(
    number: number,
    command: number,
    layout: Struct<F>,
    values: Partial<Values<F>>,
  ): { result: number; out: Values<F> } {
    const address = this.place(layout.write(values));
    const result = Number(this.port.hypercall(number, BigInt(command), address));
    return { result, out: layout.read(this.fetch(address, layout.size())) };
  }

  /** EVTCHNOP_* that must work. @throws {BackendError} naming operation and errno. */
  eventChannel<F extends Fields>(command: number, layout: Struct<F>, values: Partial<Values<F>>): Values<F> {
    this.begin();
    const { result, out } = this.operation(Hypercall.event_channel_op, command, layout, values);
    if (result < 0) throw hypercallError(`event_channel_op.${eventChannelOpNames[command]}`, result);
    return out;
  }

  /** XEN_DOMCTL_*. The caller has begun. Gives the result, the domain field and the union as they came back. */
  domctl<F extends Fields>(
    command: number,
    domain: number,
    layout?: Struct<F>,
    values: Partial<Values<F>> = {},
  ): { result: number; domain: number; out: Values<F> | undefined } {
    const bytes = xen_domctl.write({ cmd: command, interface_version: XEN_DOMCTL_INTERFACE_VERSION, domain });
    if (layout !== undefined) layout.write(values, bytes.subarray(DOMCTL_U));
    const address = this.place(bytes);
    const result = Number(this.port.hypercall(Hypercall.domctl, address));
    const back = this.fetch(address, xen_domctl.size());
    return { result, domain: xen_domctl.read(back).domain, out: layout?.read(back.subarray(DOMCTL_U)) };
  }

  /** The same, for calls that must work. */
  mustDomctl<F extends Fields>(command: number, domain: number, layout?: Struct<F>, values: Partial<Values<F>> = {}): number {
    this.begin();
    const { result, domain: back } = this.domctl(command, domain, layout, values);
    if (result < 0) throw hypercallError(`domctl.${domctlNames[command] ?? command} of domain ${domain}`, result);
    return back;
  }

  /** mmu_update of a list. @param foreign whose frames the new entries name. @returns the errno, and how many were done. */
  mmuUpdate(updates: readonly { pointer: bigint; value: bigint }[], foreign = DOMID_SELF): { result: number; done: number } {
    this.begin();
    const list = new Uint8Array(updates.length * mmu_update.size());
    updates.forEach(({ pointer, value }, i) => {
      mmu_update.write({ ptr: pointer, val: value }, list.subarray(i * mmu_update.size()));
    });
    const done = this.place(new Uint8Array(8));
    const at = this.place(list);
    const result = Number(this.port.hypercall(Hypercall.mmu_update, at, BigInt(updates.length), done, BigInt(foreign)));
    return { result, done: readU32(this.fetch(done, 4)) };
  }

  mmuext(command: number, arg1: bigint, foreign = DOMID_SELF): number {
    this.begin();
    const at = this.place(mmuext_op.write({ cmd: command, arg1 }));
    return Number(this.port.hypercall(Hypercall.mmuext_op, at, 1n, 0n, BigInt(foreign)));
  }
}

/** A hypercall that ought to work did not. */
export function hypercallError(what: string, result: number): BackendError {
  return new BackendError('HYPERCALL', `${what} failed with errno ${-result}`);
}

function readU32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}
