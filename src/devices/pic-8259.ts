/**
 * The pair of interrupt controllers of a PC (Intel 8259A), the second cascaded to input 2 of the first. Edges are
 * requests; an input that ELCR marks as level-triggered requests as long as its line is up.
 * Sources: Intel 8259A data sheet (ICW1-4, OCW1-3, fully nested mode, specific and non-specific EOI); 82371SB (ELCR).
 * Left out: rotating priority, polling, special fully nested mode.
 */
interface Chip {
  mask: number;
  requests: number;
  inService: number;
  base: number;
  /** Next initialisation word expected: 0 = none. */
  step: number;
  needsWord4: boolean;
  autoEoi: boolean;
  readInService: boolean;
  /** Inputs that are up, and those that are level-triggered. */
  lines: number;
  levels: number;
}

const newChip = (): Chip => ({
  mask: 0xff,
  requests: 0,
  inService: 0,
  base: 0,
  step: 0,
  needsWord4: false,
  autoEoi: false,
  readInService: false,
  lines: 0,
  levels: 0,
});

export class Pic8259 {
  private chips: [Chip, Chip] = [newChip(), newChip()];

  /** A rising edge at input `irq` (0..15). */
  raise(irq: number): void {
    if (irq < 8) this.chips[0].requests |= 1 << irq;
    else this.chips[1].requests |= 1 << (irq - 8);
  }

  /** The state of an input (0..15). */
  setLine(irq: number, asserted: boolean): void {
    const chip = this.chips[irq < 8 ? 0 : 1];
    const bit = 1 << (irq & 7);
    if (asserted && (chip.lines & bit) === 0) chip.requests |= bit;
    if (!asserted) chip.requests &= ~bit;
    chip.lines = asserted ? chip.lines | bit : chip.lines & ~bit;
  }

  /** The INTR line. */
  get pending(): boolean {
    return this.highest(0) >= 0;
  }

  /** Interrupt acknowledge: the vector, or the spurious one (input 7) when the request went away. */
  acknowledge(): number {
    const irq = this.highest(0);
    if (irq < 0) return this.chips[0].base + 7;
    this.serve(this.chips[0], irq);
    if (irq !== 2) return this.chips[0].base + irq;
    const second = this.highest(1);
    if (second < 0) return this.chips[1].base + 7;
    this.serve(this.chips[1], second);
    return this.chips[1].base + second;
  }

  /** Ports 0x20, 0x21, 0xA0, 0xA1; 0x4D0, 0x4D1: which inputs are level-triggered. */
  read(port: number): number {
    if (port >= 0x4d0) return this.chips[port & 1].levels;
    const chip = this.chips[port >= 0xa0 ? 1 : 0];
    if ((port & 1) !== 0) return chip.mask;
    return chip.readInService ? chip.inService : chip.requests;
  }

  write(port: number, value: number): void {
    if (port >= 0x4d0) {
      // Timer, keyboard and cascade; clock and coprocessor: always edges.
      this.chips[port & 1].levels = value & ((port & 1) === 0 ? 0xf8 : 0xde);
      return;
    }
    const chip = this.chips[port >= 0xa0 ? 1 : 0];
    if ((port & 1) === 0) {
      if ((value & 0x10) !== 0) this.initialise(chip, value);
      else if ((value & 0x08) !== 0) {
        if ((value & 2) !== 0) chip.readInService = (value & 1) !== 0;
      } else if ((value & 0x20) !== 0) this.endOfInterrupt(chip, value);
      return;
    }
    if (chip.step === 2) {
      chip.base = value & 0xf8;
      chip.step = 3;
    } else if (chip.step === 3) chip.step = chip.needsWord4 ? 4 : 0;
    else if (chip.step === 4) {
      chip.autoEoi = (value & 2) !== 0;
      chip.step = 0;
    } else chip.mask = value;
  }

  save(): unknown {
    return this.chips.map((chip) => ({ ...chip }));
  }
  restore(data: unknown): void {
    const [first, second] = data as Chip[];
    this.chips = [{ ...first }, { ...second }];
  }

  private initialise(chip: Chip, value: number): void {
    chip.mask = 0;
    chip.requests = 0;
    chip.inService = 0;
    chip.autoEoi = false;
    chip.readInService = false;
    chip.needsWord4 = (value & 1) !== 0;
    chip.step = 2;
  }

  private endOfInterrupt(chip: Chip, value: number): void {
    if ((value & 0x40) !== 0) chip.inService &= ~(1 << (value & 7));
    else chip.inService &= chip.inService - 1;
  }

  private serve(chip: Chip, irq: number): void {
    chip.requests &= ~(1 << irq);
    if (!chip.autoEoi) chip.inService |= 1 << irq;
  }

  /** Highest request of a chip that is above what is in service, or -1. The cascade counts as a request of input 2. */
  private highest(index: 0 | 1): number {
    const chip = this.chips[index];
    let requests = (chip.requests | (chip.lines & chip.levels)) & ~chip.mask;
    if (index === 0 && (chip.mask & 4) === 0 && this.highest(1) >= 0) requests |= 4;
    for (let irq = 0; irq < 8; irq++) {
      if ((chip.inService & (1 << irq)) !== 0) return -1;
      if ((requests & (1 << irq)) !== 0) return irq;
    }
    return -1;
  }
}
