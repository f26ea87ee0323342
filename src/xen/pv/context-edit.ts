/**
 * Changes of registers that the platform interface has no accessor for (descriptor-table and debug registers): they are
 * made in the saved context, which is moved out of the processor and back when the vCPU runs. Rare paths only.
 */
import type { CpuContext } from '../../platform/context.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

export function editContext(hypervisor: Hypervisor, vcpu: Vcpu, change: (context: CpuContext) => void): void {
  if (!vcpu.running) {
    change(vcpu.context);
    return;
  }
  const cpu = hypervisor.cpuOf(vcpu);
  cpu.saveContext(vcpu.context);
  change(vcpu.context);
  cpu.loadContext(vcpu.context);
}
