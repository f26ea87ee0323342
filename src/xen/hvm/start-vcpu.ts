/**
 * INIT and start-up messages between the local APICs of a full domain: how its further vCPUs begin.
 * Source: SDM 3A §8.4.4 (INIT, SIPI), Table 9-1 (registers after INIT).
 * DEVIATION: INIT of vCPU 0, and of one that runs, is not delivered.
 */
import { newCpuContext } from '../../platform/context.ts';
import { Segment } from '../../x86/instruction.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { wake } from '../scheduler.ts';
import type { FullDomain } from './full-domain.ts';

const RESET_CR0 = 0x6000_0010n;
const REAL_LIMIT = 0xffff;
const CODE = 0x9b;
const DATA = 0x93;

/** A vCPU that is off stays off, and waits for its start-up message. */
export function initVcpu(_hypervisor: Hypervisor, full: FullDomain, index: number): void {
  const vcpu = full.domain.vcpus[index];
  if (vcpu === undefined || index === 0 || !vcpu.down) return;
  vcpu.initialised = false;
}

/** Real mode at the beginning of page `vector`, unless it has begun already. */
export function startVcpu(hypervisor: Hypervisor, full: FullDomain, index: number, vector: number): void {
  const vcpu = full.domain.vcpus[index];
  if (vcpu === undefined || index === 0 || vcpu.initialised) return;
  const { context } = vcpu;
  Object.assign(context, newCpuContext());
  for (let n = 0; n < 6; n++) context.segments[n] = { selector: 0, base: 0n, limit: REAL_LIMIT, attributes: DATA };
  context.segments[Segment.CS] = { selector: vector << 8, base: BigInt(vector << 12), limit: REAL_LIMIT, attributes: CODE };
  context.tr = { selector: 0, base: 0n, limit: REAL_LIMIT, attributes: 0x8b };
  context.rip = 0n;
  context.rflags = 2n;
  context.cr0 = RESET_CR0;
  context.idtr = { base: 0n, limit: 0x3ff };
  vcpu.initialised = true;
  vcpu.down = false;
  wake(hypervisor, vcpu);
}
