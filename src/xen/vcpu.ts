/** New vCPUs: the state before anything has been set. The types are with the domain's. */

import { newCpuContext } from '../platform/context.ts';
import { type Domain, type PvEntry, type PvVcpu, Runstate, type Vcpu } from './domain.ts';

export type { PvEntry, PvTrap, PvVcpu, Vcpu, VcpuCode } from './domain.ts';
export { Runstate } from './domain.ts';

export const virqCount = 24;

/** A vCPU that has not been initialised. `context` has reset values only. */
export function newVcpu(domain: Domain, id: number, processor: number): Vcpu {
  return {
    id,
    domain,
    processor,
    context: newCpuContext(),
    code: undefined,
    codeStarted: false,
    initialised: false,
    down: true,
    blocked: false,
    polling: undefined,
    pollTimeout: undefined,
    pauseCount: 0,
    running: false,
    infoFrame: -1,
    infoOffset: 0,
    infoRegistered: false,
    virqPorts: new Int32Array(virqCount),
    singleshot: undefined,
    periodicPeriod: 0n,
    periodicNext: 0n,
    runstate: { state: Runstate.offline, entryTime: 0n, time: new BigUint64Array(4) },
    runstateArea: 0n,
    timeArea: 0n,
    pv: undefined,
  };
}

/** The state of a paravirtual vCPU before anything was set. */
export function newPvVcpu(): PvVcpu {
  const entry = (): PvEntry => ({ cs: 0, address: 0n, maskEvents: false });
  return {
    kernelMode: true,
    guestTable: 0,
    userTable: 0,
    traps: Array.from({ length: 256 }, () => ({ ...entry(), dpl: 0 })),
    eventCallback: entry(),
    failsafeCallback: entry(),
    syscallCallback: entry(),
    syscall32Callback: entry(),
    sysenterCallback: entry(),
    nmiCallback: entry(),
    kernelSs: 0,
    kernelSp: 0n,
    gsUserSelector: 0,
    taskSwitched: false,
    cr4: 0n,
    debug: new BigUint64Array([0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n]),
    cr2: 0n,
    iopl: 0,
    ioBitmap: { address: 0n, ports: 0 },
    gdtFrames: [],
    gdtEntries: 0,
    ldtBase: 0n,
    ldtEntries: 0,
    ldtFrames: new Int32Array(16),
    nmiPending: false,
    nmiBlocked: false,
    mcePending: false,
    mceBlocked: false,
  };
}
