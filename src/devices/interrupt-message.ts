/**
 * What travels between I/O APIC, local APICs and devices with message-signalled interrupts: one message a request.
 * Sources: SDM 3A §10.6.1 (ICR), §10.11 (MSI address and data); Intel 82093AA data sheet §3.2.4.
 */
export const DeliveryMode = { FIXED: 0, LOWEST: 1, SMI: 2, NMI: 4, INIT: 5, STARTUP: 6, EXTINT: 7 } as const;

export interface InterruptMessage {
  readonly mode: number;
  readonly vector: number;
  /** 8 bits from an xAPIC, the I/O APIC or a device; 32 from an x2APIC. */
  readonly destination: number;
  readonly logical: boolean;
  /** APIC id that is left out of a broadcast. */
  readonly except?: number;
  /** Level-triggered: the end of the interrupt is told to the I/O APIC. */
  readonly level: boolean;
}

/** Takes messages to the processors that they name. */
export type SendMessage = (message: InterruptMessage) => void;

/** A device's write to 0xFEEx_xxxx is an interrupt. Undefined: the address is another. */
export function messageSignalled(address: number, data: number): InterruptMessage | undefined {
  if (Math.floor(address / 0x10_0000) !== 0xfee) return undefined;
  return {
    mode: (data >> 8) & 7,
    vector: data & 0xff,
    destination: (address >> 12) & 0xff,
    logical: (address & 4) !== 0,
    level: (data & 0x8000) !== 0,
  };
}
