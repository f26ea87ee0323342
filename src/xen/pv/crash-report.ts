/**
 * The end of a domain that cannot go on: why, and the registers at that moment, as lines of the hypervisor's log.
 * Ends a domain only for a bounce stack that cannot be written, a missing handler, a bad iret frame, a missing user table.
 */
import { crashDomain } from '../domain-lifecycle.ts';
import { hex64 } from '../../base/integer.ts';
import type { PlatformCpu } from '../../platform/cpu.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';

const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

/** What was wrong and what the vCPU looked like; the first line is the reason. */
export function crashReport(vcpu: Vcpu, cpu: PlatformCpu, reason: string): string[] {
  const pv = vcpu.pv as PvVcpu;
  const lines = [
    `domain ${vcpu.domain.id} vcpu ${vcpu.id} crashed: ${reason}`,
    `rip ${hex64(cpu.rip)} rflags ${hex64(cpu.rflags)} cr2 ${hex64(pv.cr2)} ${pv.kernelMode ? 'kernel' : 'user'} mode`,
    `cr3 ${hex64(cpu.cr3)} kernel table ${pv.guestTable.toString(16)} user table ${pv.userTable.toString(16)} kernel_sp ${hex64(pv.kernelSp)}`,
  ];
  for (let first = 0; first < 16; first += 4)
    lines.push([0, 1, 2, 3].map((i) => `${(REGISTERS[first + i] as string).padStart(3)} ${hex64(cpu.gpr(first + i))}`).join('  '));
  lines.push(
    SEGMENTS.map(
      (name, i) =>
        `${name} ${cpu
          .segment(i as 0)
          .selector.toString(16)
          .padStart(4, '0')}`,
    ).join('  '),
  );
  lines.push(`fs base ${hex64(cpu.fsBase)}  gs base ${hex64(cpu.gsBase)}  kernel gs base ${hex64(cpu.kernelGsBase)}`);
  return lines;
}

/** Ends the domain of the vCPU that runs on `cpu`; always false, for callers that answer whether the guest goes on. */
export function crashGuest(hypervisor: Hypervisor, vcpu: Vcpu, cpu: PlatformCpu, reason: string): false {
  for (const line of crashReport(vcpu, cpu, reason)) hypervisor.log(line);
  crashDomain(hypervisor, vcpu.domain, reason);
  return false;
}
