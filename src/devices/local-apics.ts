/**
 * The local APICs of a machine's processors and the messages between them: who is named, and what a message does there.
 * Sources: SDM 3A §10.6.2 (destinations, lowest priority), §8.4.3 (INIT and start-up).
 */
import { DeliveryMode, type InterruptMessage } from './interrupt-message.ts';
import { LocalApic, type LocalApicOptions } from './local-apic.ts';

export interface LocalApicsOptions extends Omit<LocalApicOptions, 'id' | 'send'> {
  readonly processors: number;
  readonly nmi: (cpu: number) => void;
  readonly init: (cpu: number) => void;
  /** Start-up at 4 KiB page `vector`. */
  readonly startup: (cpu: number, vector: number) => void;
}

export class LocalApics {
  readonly all: readonly LocalApic[];
  private readonly options: LocalApicsOptions;

  constructor(options: LocalApicsOptions) {
    this.options = options;
    this.all = Array.from(
      { length: options.processors },
      (_, id) => new LocalApic({ ...options, id, send: (message) => this.send(message) }),
    );
  }

  send(message: InterruptMessage): void {
    const named = this.all.filter(({ id }) => id !== message.except).filter((apic) => apic.isNamed(message.destination, message.logical));
    switch (message.mode) {
      case DeliveryMode.FIXED:
        for (const apic of named) apic.request(message.vector, message.level);
        break;
      case DeliveryMode.LOWEST: {
        // Equal priorities: the first, so that two runs agree.
        const able = named.filter((apic) => apic.softwareEnabled);
        const lowest = Math.min(...able.map((apic) => apic.processorPriority));
        able.find((apic) => apic.processorPriority === lowest)?.request(message.vector, message.level);
        break;
      }
      case DeliveryMode.NMI:
        for (const { id } of named) this.options.nmi(id);
        break;
      case DeliveryMode.INIT:
        for (const apic of named) {
          apic.initialise();
          this.options.init(apic.id);
        }
        break;
      case DeliveryMode.STARTUP:
        for (const { id } of named) this.options.startup(id, message.vector);
        break;
      // SMI: no system management mode here. ExtINT comes through the line of the 8259, not by message.
    }
  }

  save(): unknown {
    return this.all.map((apic) => apic.save());
  }
  restore(data: unknown): void {
    const saved = data as unknown[];
    for (const [n, apic] of this.all.entries()) apic.restore(saved[n]);
  }
}
