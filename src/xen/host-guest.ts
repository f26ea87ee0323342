/**
 * Host code that plays a PV domain: the hypervisor's side of xen-abi/guest-port. The domain is as real as any other,
 * with frames, page tables, shared_info, ports and grants; only its one vCPU is an object that is called instead of
 * code that is executed. It is scheduled, blocks and is woken like every vCPU, and each call runs to its end.
 */

import { ENOSYS } from '../xen-abi/errno.ts';
import type { GuestPort, HostGuest } from '../xen-abi/guest-port.ts';
import { callHypercall } from './hypercall/dispatch.ts';
import { block } from './hypercall/sched-op.ts';
import type { Hypervisor } from './hypervisor.ts';
import { isRunnable } from './scheduler.ts';
import { setUpcallMask, upcallDeliverable } from './shared-info.ts';
import type { Vcpu, VcpuCode } from './vcpu.ts';

/** Upcalls in one turn before other vCPUs of the same cpu get theirs. */
const upcallsPerTurn = 64;

/** Puts `guest` in the place of the vCPU's instructions. `startInfo` is what a kernel finds in RSI. */
export function attachHostGuest(hypervisor: Hypervisor, vcpu: Vcpu, guest: HostGuest, startInfo: bigint): GuestPort {
  const port = new HostGuestPort(hypervisor, vcpu, startInfo);
  vcpu.code = new HostVcpuCode(hypervisor, vcpu, guest, port);
  if (vcpu.codeStarted) guest.attach(port);
  return port;
}

class HostVcpuCode implements VcpuCode {
  readonly #hypervisor: Hypervisor;
  readonly #vcpu: Vcpu;
  readonly #guest: HostGuest;
  readonly #port: GuestPort;

  constructor(hypervisor: Hypervisor, vcpu: Vcpu, guest: HostGuest, port: GuestPort) {
    this.#hypervisor = hypervisor;
    this.#vcpu = vcpu;
    this.#guest = guest;
    this.#port = port;
  }

  run(): void {
    const hypervisor = this.#hypervisor;
    const vcpu = this.#vcpu;
    if (!vcpu.codeStarted) {
      vcpu.codeStarted = true;
      this.#guest.start(this.#port);
      setUpcallMask(hypervisor, vcpu, false);
    }
    for (let i = 0; i < upcallsPerTurn && isRunnable(vcpu) && upcallDeliverable(hypervisor, vcpu); i++) {
      setUpcallMask(hypervisor, vcpu, true);
      this.#guest.upcall(this.#port);
      setUpcallMask(hypervisor, vcpu, false);
    }
    if (isRunnable(vcpu)) block(hypervisor, vcpu);
  }
}

class HostGuestPort implements GuestPort {
  readonly startInfo: bigint;
  readonly #hypervisor: Hypervisor;
  readonly #vcpu: Vcpu;

  constructor(hypervisor: Hypervisor, vcpu: Vcpu, startInfo: bigint) {
    this.#hypervisor = hypervisor;
    this.#vcpu = vcpu;
    this.startInfo = startInfo;
  }

  hypercall(number: number, ...args: bigint[]): bigint {
    const registers = Array.from({ length: 6 }, (_, i) => BigInt.asUintN(64, args[i] ?? 0n));
    for (;;) {
      const outcome = callHypercall(this.#hypervisor, this.#vcpu, BigInt(number), registers);
      if (outcome === 'restart') continue;
      return outcome === 'no-result' ? this.#withoutResult(number) : BigInt.asIntN(64, outcome);
    }
  }

  readVirtual(address: bigint, length: number): Uint8Array | undefined {
    const bytes = new Uint8Array(length);
    const fault = this.#hypervisor.guestMemory(this.#vcpu).readVirtual(address, bytes, true);
    return fault === undefined ? bytes : undefined;
  }

  writeVirtual(address: bigint, bytes: Uint8Array): boolean {
    return this.#hypervisor.guestMemory(this.#vcpu).writeVirtual(address, bytes, true) === undefined;
  }

  /** The end of the domain; or iret, which host code cannot mean. */
  #withoutResult(number: number): bigint {
    const { domain } = this.#vcpu;
    return domain.shutDown || domain.dying !== 0 || number !== 23 ? 0n : BigInt(-ENOSYS);
  }
}
