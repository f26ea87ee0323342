/** A bare machine as a hypervisor sees it: the only other implementation of Platform is a full domain. */
import { BarePlatformCpu } from '../cpu/platform-cpu.ts';
import type { Platform } from '../platform/platform.ts';
import type { BareMachine } from './bare-machine.ts';

export function barePlatform(machine: BareMachine): Platform {
  return {
    memory: machine.memory,
    cpus: machine.processors.map((processor) => new BarePlatformCpu(processor, machine)),
    tscKhz: machine.tscKhz,
    io: {
      read: (port, size) => machine.readPort(port, size),
      write: (port, size, value) => machine.writePort(port, size, value),
    },
    below: undefined,
  };
}
