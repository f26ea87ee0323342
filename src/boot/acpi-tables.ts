/**
 * The ACPI tables of the PC in devices/: what there is, where, and how it is switched off. Firmware would write them;
 * here loaders do. RSDP, XSDT, FADT, FACS, MADT and DSDT lie in the BIOS area, where systems search the RSDP.
 * Sources: ACPI 6.4 §5.2.5 (RSDP) to §5.2.12 (MADT), §7.4.2 (\_Sx), §6.2.13 (_PRT).
 */
import {
  type Aml,
  busNumbers,
  device,
  eisaId,
  integer,
  irq,
  memoryWindow,
  named,
  packageOf,
  portWindow,
  ports,
  resources,
  scope,
} from './aml.ts';

export interface AcpiPlan {
  readonly processors: number;
}

export interface FirmwareMemory {
  writeBytes(address: number, bytes: Uint8Array): void;
}

/** The BIOS area: the RSDP at its end's half, the tables from here. */
export const FIRMWARE_AREA = 0xe_0000;
export const FIRMWARE_AREA_END = 0x10_0000;
const TABLES = FIRMWARE_AREA;
export const RSDP_ADDRESS = 0xf_0000;

const IO_APIC = 0xfec0_0000;
const LOCAL_APIC = 0xfee0_0000;
const SCI = 9;
const PM1_EVENT = 0x600;
const PM1_CONTROL = 0x604;
const PM_TIMER = 0x608;
const RESET_PORT = 0xcf9;
const RESET_VALUE = 6;
/** Where devices of PCI may have their registers. */
export const PCI_MEMORY = 0xc000_0000;
const PCI_MEMORY_LAST = 0xfebf_ffff;
const PCI_SLOTS = 32;
/** PCI interrupts come in at these pins of the I/O APIC: four in turn. */
export const PCI_FIRST_PIN = 16;

/** Writes the tables; returns the RSDP's address. */
export function placeAcpiTables(memory: FirmwareMemory, plan: AcpiPlan): number {
  let at = TABLES;
  const place = (bytes: Uint8Array, alignment = 16): number => {
    at = Math.ceil(at / alignment) * alignment;
    memory.writeBytes(at, bytes);
    const address = at;
    at += bytes.length;
    return address;
  };
  const facs = place(fixedFirmwareControl(), 64);
  const dsdt = place(table('DSDT', 2, differentiatedDescription()));
  const fadt = place(table('FACP', 6, fixedDescription(facs, dsdt)));
  const madt = place(table('APIC', 4, apicDescription(plan.processors)));
  const xsdt = place(
    table(
      'XSDT',
      1,
      [fadt, madt].flatMap((address) => [...u32(address), ...u32(0)]),
    ),
  );
  memory.writeBytes(RSDP_ADDRESS, rootPointer(xsdt));
  return RSDP_ADDRESS;
}

const ascii = (text: string, length: number): number[] => Array.from({ length }, (_, n) => (n < text.length ? text.charCodeAt(n) : 0));
const u16 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
const u32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

function checksum(bytes: Uint8Array, from: number, length: number): number {
  let sum = 0;
  for (let n = 0; n < length; n++) sum += bytes[from + n];
  return -sum & 0xff;
}

/** A body behind its header (ACPI 6.4 Table 5-28). */
function table(signature: string, revision: number, body: readonly number[]): Uint8Array {
  const header = [
    ...ascii(signature, 4),
    ...u32(36 + body.length),
    revision,
    0,
    ...ascii('PVANE', 6),
    ...ascii('PARAVANE', 8),
    ...u32(1),
    ...ascii('PVNE', 4),
    ...u32(1),
  ];
  const bytes = Uint8Array.from([...header, ...body]);
  bytes[9] = checksum(bytes, 0, bytes.length);
  return bytes;
}

function rootPointer(xsdt: number): Uint8Array {
  // Revision 2: no RSDT (its address 0), length, XSDT, extended checksum.
  const bytes = Uint8Array.from([
    ...ascii('RSD PTR ', 8),
    0,
    ...ascii('PVANE', 6),
    2,
    ...u32(0),
    ...u32(36),
    ...u32(xsdt),
    ...u32(0),
    0,
    0,
    0,
    0,
  ]);
  bytes[8] = checksum(bytes, 0, 20);
  bytes[32] = checksum(bytes, 0, 36);
  return bytes;
}

function fixedFirmwareControl(): Uint8Array {
  const bytes = new Uint8Array(64);
  bytes.set([...ascii('FACS', 4), ...u32(64)]);
  bytes[32] = 2;
  return bytes;
}

/** Generic address structure of a port. */
function portAddress(port: number, bits: number): number[] {
  const size = bits === 8 ? 1 : bits === 16 ? 2 : 3;
  return [1, bits, 0, size, ...u32(port), ...u32(0)];
}
const NO_ADDRESS = new Array<number>(12).fill(0);

/** FADT body from offset 36 (ACPI 6.4 Table 5-34). */
function fixedDescription(facs: number, dsdt: number): number[] {
  const WBINVD = 1 << 0;
  const PROC_C1 = 1 << 2; // every processor has HLT
  const NO_POWER_BUTTON = 1 << 4; // "control method or none"
  const NO_SLEEP_BUTTON = 1 << 5;
  const TIMER_32_BITS = 1 << 8;
  const RESET_REGISTER = 1 << 10;
  const flags = WBINVD | PROC_C1 | NO_POWER_BUTTON | NO_SLEEP_BUTTON | TIMER_32_BITS | RESET_REGISTER;
  const LEGACY_DEVICES = 1 << 0;
  const NO_VGA = 1 << 2;
  return [
    ...u32(facs),
    ...u32(dsdt),
    0,
    0, // profile: unspecified
    ...u16(SCI),
    ...u32(0), // no SMI command: ACPI mode is always on
    0,
    0,
    0,
    0,
    ...u32(PM1_EVENT),
    ...u32(0),
    ...u32(PM1_CONTROL),
    ...u32(0),
    ...u32(0),
    ...u32(PM_TIMER),
    ...u32(0),
    ...u32(0),
    4, // PM1 event length
    2, // PM1 control
    0,
    4, // PM timer
    0,
    0,
    0,
    0,
    ...u16(0xfff), // C2 and C3 do not exist
    ...u16(0xfff),
    ...u16(0),
    ...u16(0),
    0,
    0,
    0,
    0,
    0x32, // century register of the clock
    ...u16(LEGACY_DEVICES | NO_VGA),
    0,
    ...u32(flags),
    ...portAddress(RESET_PORT, 8),
    RESET_VALUE,
    ...u16(0),
    4, // minor version
    ...u32(facs),
    ...u32(0),
    ...u32(dsdt),
    ...u32(0),
    ...portAddress(PM1_EVENT, 32),
    ...NO_ADDRESS,
    ...portAddress(PM1_CONTROL, 16),
    ...NO_ADDRESS,
    ...NO_ADDRESS,
    ...portAddress(PM_TIMER, 32),
    ...NO_ADDRESS,
    ...NO_ADDRESS,
    ...NO_ADDRESS, // sleep control, sleep status: of reduced hardware
    ...NO_ADDRESS,
    ...u32(0), // hypervisor vendor
    ...u32(0),
  ];
}

/** MADT body: local APICs, the I/O APIC, the lines that differ from "ISA line n is an edge at pin n". */
function apicDescription(processors: number): number[] {
  const PCAT_COMPAT = 1; // there are 8259s
  const entries = [...u32(LOCAL_APIC), ...u32(PCAT_COMPAT)];
  for (let id = 0; id < processors; id++) entries.push(0, 8, id, id, ...u32(1));
  entries.push(1, 12, processors, 0, ...u32(IO_APIC), ...u32(0));
  // The timer is at pin 2; the SCI is a level, active high.
  entries.push(2, 10, 0, 0, ...u32(2), ...u16(0));
  entries.push(2, 10, 0, SCI, ...u32(SCI), ...u16(0x000d));
  // LINT1 of every processor is NMI.
  entries.push(4, 6, 0xff, ...u16(0), 1);
  return entries;
}

function differentiatedDescription(): Aml {
  // _S5: SLP_TYPa and SLP_TYPb 0.
  const softOff = named('\\_S5', packageOf(integer(0), integer(0), integer(0), integer(0)));
  const routes: Aml[] = [];
  for (let slot = 1; slot < PCI_SLOTS; slot++) {
    for (let pin = 0; pin < 4; pin++) {
      routes.push(packageOf(integer(slot * 0x1_0000 + 0xffff), integer(pin), integer(0), integer(PCI_FIRST_PIN + ((slot + pin) & 3))));
    }
  }
  const host = device(
    'PCI0',
    named('_HID', eisaId('PNP0A03')),
    named('_UID', integer(0)),
    named(
      '_CRS',
      resources(
        busNumbers(0, 0xff),
        ports(0xcf8, 8),
        portWindow(0, 0xcf7),
        portWindow(0xd00, 0xffff),
        memoryWindow(PCI_MEMORY, PCI_MEMORY_LAST),
      ),
    ),
    named('_PRT', packageOf(...routes)),
    device(
      'ISA_',
      named('_ADR', integer(0x1_0000)),
      device('COM1', named('_HID', eisaId('PNP0501')), named('_UID', integer(1)), named('_CRS', resources(ports(0x3f8, 8), irq(4)))),
      device('RTC_', named('_HID', eisaId('PNP0B00')), named('_CRS', resources(ports(0x70, 2), irq(8)))),
      device('TIMR', named('_HID', eisaId('PNP0100')), named('_CRS', resources(ports(0x40, 4), irq(0)))),
      device('PIC_', named('_HID', eisaId('PNP0000')), named('_CRS', resources(ports(0x20, 2), ports(0xa0, 2), ports(0x4d0, 2), irq(2)))),
    ),
  );
  // Registers of ACPI itself belong to the board, not to the bus.
  const board = device('MBRD', named('_HID', eisaId('PNP0C02')), named('_CRS', resources(ports(0x600, 0x0c))));
  return [...softOff, ...scope('\\_SB', host, board)];
}
