/**
 * Hypercall passthrough (xen-abi/passthrough.ts) in the hypervisor of the upper layer: Dom0 may not execute VMCALL, so
 * its hypervisor makes the call in its place. Arguments are copied into a page of the hypervisor, whose guest-physical
 * address the layer below can read, and results are copied back.
 *
 * What is passed is a table: any other command is -EINVAL, any other call -ENOSYS, callers without privilege get -EPERM.
 * Where the layer below is not Xen (KVM, or a bare machine), everything is -ENOSYS: virtio needs no hypercalls.
 * Source: Williams et al., EuroSys 2012, §4.2; the Xen-Blanket's patches (tables of sub-operations).
 */

import type { Persistent, SaveReader, SaveWriter } from '../base/persist.ts';
import type { PlatformCpu } from '../platform/cpu.ts';
import { E2BIG, EFAULT, EINVAL, ENOMEM, ENOSYS, EPERM } from '../xen-abi/errno.ts';
import {
  EVTCHNOP_alloc_unbound,
  EVTCHNOP_close,
  EVTCHNOP_send,
  EVTCHNOP_unmask,
  evtchn_alloc_unbound,
  evtchn_close,
  evtchn_send,
  evtchn_unmask,
} from '../xen-abi/event-channel.ts';
import { GNTTABOP_query_size, gnttab_query_size } from '../xen-abi/grant-table.ts';
import {
  HVMOP_get_param,
  HVMOP_set_param,
  XENMAPSPACE_grant_table,
  XENMAPSPACE_shared_info,
  xen_add_to_physmap,
  xen_hvm_param,
} from '../xen-abi/hvm.ts';
import { XENMEM_add_to_physmap } from '../xen-abi/memory.ts';
import * as abi from '../xen-abi/passthrough.ts';
import { SCHEDOP_shutdown, sched_shutdown } from '../xen-abi/sched.ts';
import { XENVER_get_features, XENVER_version, xen_feature_info } from '../xen-abi/version.ts';
import { Hypercall as HypercallNumber } from '../xen-abi/xen.ts';
import { copyToGuest, loadFromGuest } from '../xen/guest-access.ts';
import type { Hypercall, HypercallResult } from '../xen/hypercall/table.ts';
import type { Hypervisor } from '../xen/hypervisor.ts';
import type { Vcpu } from '../xen/vcpu.ts';

const xenSignature = 'XenVMMXenVMM';
const frameBytes = 4096;

interface PassedCommand {
  readonly name: string;
  /** Bytes of the structure; 0: the command has none. */
  readonly bytes: number;
  /** The structure is copied back after success. */
  readonly output: boolean;
  /** An array of structures, counted by the third argument of the call below. */
  readonly counted?: boolean;
  /** Whether these arguments may pass. */
  readonly allowed?: (hypervisor: Hypervisor, argument: Uint8Array) => boolean;
}

interface PassedCall {
  readonly number: number;
  readonly commands: Readonly<Record<number, PassedCommand>>;
}

const input = (name: string, bytes: number): PassedCommand => ({ name, bytes, output: false });
const inputOutput = (name: string, bytes: number): PassedCommand => ({ name, bytes, output: true });

/** By sub-call. */
const passedCalls: readonly PassedCall[] = [
  {
    number: HypercallNumber.xen_version,
    commands: { [XENVER_version]: input('version', 0), [XENVER_get_features]: inputOutput('get_features', xen_feature_info.size()) },
  },
  {
    number: HypercallNumber.memory_op,
    commands: {
      [XENMEM_add_to_physmap]: { ...input('add_to_physmap', xen_add_to_physmap.size()), allowed: placesSharedPage },
    },
  },
  {
    number: HypercallNumber.hvm_op,
    commands: {
      [HVMOP_set_param]: input('set_param', xen_hvm_param.size()),
      [HVMOP_get_param]: inputOutput('get_param', xen_hvm_param.size()),
    },
  },
  {
    number: HypercallNumber.grant_table_op,
    commands: { [GNTTABOP_query_size]: { ...inputOutput('query_size', gnttab_query_size.size()), counted: true } },
  },
  {
    number: HypercallNumber.event_channel_op,
    commands: {
      [EVTCHNOP_close]: input('close', evtchn_close.size()),
      [EVTCHNOP_send]: input('send', evtchn_send.size()),
      [EVTCHNOP_alloc_unbound]: inputOutput('alloc_unbound', evtchn_alloc_unbound.size()),
      [EVTCHNOP_unmask]: input('unmask', evtchn_unmask.size()),
    },
  },
  { number: HypercallNumber.sched_op, commands: { [SCHEDOP_shutdown]: input('shutdown', sched_shutdown.size()) } },
];

/**
 * shared_info and grant tables only, and only where this hypervisor has no memory: a page of the layer below over one of
 * its own would take that away from it.
 */
function placesSharedPage(hypervisor: Hypervisor, argument: Uint8Array): boolean {
  const { space, gpfn } = xen_add_to_physmap.read(argument);
  if (space !== XENMAPSPACE_shared_info && space !== XENMAPSPACE_grant_table) return false;
  return gpfn < BigInt(Number.MAX_SAFE_INTEGER) && !hypervisor.platform.memory.isRam(Number(gpfn));
}

/** Rows for HypervisorOptions.hypercalls. One object serves one hypervisor: it keeps the page for arguments. */
export class Passthrough implements Persistent {
  readonly hypercalls: readonly Hypercall[];
  #frame = -1;

  constructor() {
    this.hypercalls = [
      {
        number: abi.HYPERVISOR_passthrough,
        name: 'passthrough',
        argumentCount: 4,
        cost: 'own',
        suffix,
        handler: (hypervisor, vcpu, args) => {
          hypervisor.cpuOf(vcpu).charge('xen.passthrough');
          return this.#pass(hypervisor, vcpu, args);
        },
      },
    ];
  }

  save(writer: SaveWriter): void {
    writer.section('passthrough', 1, () => writer.plain(this.#frame));
  }

  restore(reader: SaveReader): void {
    reader.section('passthrough', 1, () => {
      this.#frame = reader.plain<number>();
    });
  }

  #pass(hypervisor: Hypervisor, vcpu: Vcpu, args: readonly bigint[]): HypercallResult {
    const [sub = 0n, command = 0n, pointer = 0n, count = 0n] = args;
    const { below } = hypervisor.platform;
    if (!vcpu.domain.privileged) return BigInt(-EPERM);
    if (below?.signature !== xenSignature) return BigInt(-ENOSYS);
    const call = passedCall(sub);
    if (call === undefined) {
      hypervisor.unknown(vcpu.domain, 'sub-operation', `passthrough.${sub}`);
      return BigInt(-ENOSYS);
    }
    const passed = call.commands[Number(BigInt.asUintN(32, command))];
    if (passed === undefined) return BigInt(-EINVAL);
    const elements = passed.counted ? BigInt.asUintN(32, count) : 1n;
    if (elements > BigInt(abi.PASSTHROUGH_MAX_COUNT)) return BigInt(-EINVAL);
    const cpu = hypervisor.cpuOf(vcpu);
    const bytes = passed.bytes * Number(elements);
    if (bytes > frameBytes) return BigInt(-E2BIG);
    if (bytes === 0) return below.hypercall(cpu, call.number, passed.counted ? [command, 0n, 0n] : [command, 0n]);
    return this.#copied(hypervisor, vcpu, cpu, pointer, bytes, passed, (address) =>
      below.hypercall(cpu, call.number, passed.counted ? [command, address, elements] : [command, address]),
    );
  }

  /** Copies in, calls, and copies back. */
  #copied(
    hypervisor: Hypervisor,
    vcpu: Vcpu,
    cpu: PlatformCpu,
    pointer: bigint,
    bytes: number,
    passed: PassedCommand,
    call: (address: bigint) => bigint,
  ): HypercallResult {
    const argument = loadFromGuest(hypervisor, vcpu, pointer, bytes);
    if (argument === undefined) return BigInt(-EFAULT);
    if (passed.allowed !== undefined && !passed.allowed(hypervisor, argument)) return BigInt(-EINVAL);
    const address = this.#page(hypervisor) * frameBytes;
    if (address < 0) return BigInt(-ENOMEM);
    cpu.touch('heap', 0);
    hypervisor.memory.writeBytes(address, argument);
    const outcome = call(BigInt(address));
    if (outcome < 0n || !passed.output) return outcome;
    return copyToGuest(hypervisor, vcpu, pointer, hypervisor.memory.readBytes(address, bytes)) < 0 ? BigInt(-EFAULT) : outcome;
  }

  #page(hypervisor: Hypervisor): number {
    if (this.#frame < 0 && hypervisor.allocator.free > 0) this.#frame = hypervisor.allocateXenFrames(1);
    return this.#frame;
  }
}

function passedCall(sub: bigint): PassedCall | undefined {
  return sub < BigInt(passedCalls.length) ? passedCalls[Number(sub)] : undefined;
}

/** `.event_channel_op.send`, as it will be called below. */
function suffix([sub = 0n, command = 0n]: readonly bigint[]): string {
  const name = sub < BigInt(abi.passthroughNames.length) ? abi.passthroughNames[Number(sub)] : undefined;
  if (name === undefined) return `.${sub}`;
  return `.${name}.${passedCall(sub)?.commands[Number(BigInt.asUintN(32, command))]?.name ?? command}`;
}
