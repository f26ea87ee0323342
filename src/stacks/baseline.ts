/** The Baseline: a kernel (multiboot, Linux bzImage, or ELF with a PVH entry) on the bare machine, without any hypervisor. */
import { hashStream } from '../base/persist.ts';
import { loadKernel } from '../boot/load-kernel.ts';
import { BareMachine } from '../machine/bare-machine.ts';
import { enterFlat } from '../machine/start-state.ts';
import { DEFAULT_EPOCH, machineParts } from './machine-parts.ts';
import { processorReport } from './processor-report.ts';
import { virtioDevices } from './virtio-devices.ts';
import { endOf, type Stack, type StackOptions } from './stack.ts';

export function buildBaseline(options: StackOptions): Stack {
  const parts = machineParts(options);
  const unknown = new Set<string>();
  const machine = new BareMachine({
    ...parts.machine,
    cpuCount: options.vcpus ?? 1,
    epoch: options.epoch ?? DEFAULT_EPOCH,
    virtio: virtioDevices(options, parts.machine.tscKhz),
    memoryBytes: (options.memoryMiB ?? 64) << 20,
    transmit: (byte) => options.console(Uint8Array.of(byte)),
    unknownPort: (port, write) => {
      const detail = `${write ? 'out' : 'in'} 0x${port.toString(16)}`;
      if (!unknown.has(detail)) options.observer?.unknown?.({ layer: 0, kind: 'port', detail });
      unknown.add(detail);
    },
  });
  const [processor] = machine.processors;
  const ledger = parts.attachLedger(processor);
  const start = loadKernel(machine.memory, options.image, {
    name: options.imageName,
    commandLine: options.commandLine ?? '',
    ramdisk: options.ramdisk,
    processors: options.vcpus ?? 1,
  });
  machine.parkSecondaryProcessors();
  enterFlat(processor, start);
  return {
    name: 'baseline',
    memory: machine.memory,
    guestProcessor: processor,
    ledger,
    layers: 0,
    run: (maxInstructions) => {
      const end = endOf(machine.run(maxInstructions));
      return end.reason === 'crash' ? { reason: 'crash', report: `${end.report}\n${processorReport(processor)}` } : end;
    },
    stop: () => machine.stop({ reason: 'stopped' }),
    get instructions() {
      return machine.instructions;
    },
    stateHash: () => hashStream((writer) => machine.save(writer)),
    report: () => processorReport(processor),
  };
}
