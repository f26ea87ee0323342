/**
 * Which opcode rows a generated program may hold, and where: in its body, only as its last instruction because they end it
 * or because their result is approximate, only for comparing engines, or nowhere, each with the reason.
 */
import type { CpuidModel } from '../../cpu/cpuid/model.ts';
import { instructionDefinitions } from '../../cpu/instructions/index.ts';
import { mmxKey } from '../../cpu/definition.ts';
import { systemHandler } from '../../cpu/system/execute.ts';
import type { Instruction } from '../../x86/instruction.ts';
import type { EncodedRow } from '../../x86/opcode-row.ts';
import { OPCODE_ROWS } from '../../x86/opcode-table.ts';
import type { Approximation } from './program.ts';

/** They raise a fault or a trap at CPL 3, always. */
const ENDING =
  words(`INT3 INT INT1 HLT CLI STI INS OUTS IN OUT SLDT STR SGDT SIDT SMSW VMCALL VMMCALL LLDT LTR LGDT LIDT LMSW INVLPG CLAC STAC SWAPGS CLTS SYSRET
  INVD WBINVD UD2 UD1 UD0 WRMSR RDMSR RDPMC SYSEXIT RSM MOV_CR MOV_DR
  IRET INVPCID XSETBV XSAVES XSAVES64 XRSTORS XRSTORS64 MONITOR MWAIT WBNOINVD`);
/** What they answer is the machine's own. */
const OWN =
  words(`CPUID RDTSC RDTSCP RDPID RDRAND RDSEED SYSEXIT SLDT STR SGDT SIDT SMSW SYSCALL SYSENTER VMCALL VMMCALL XGETBV XSETBV XSAVE XSAVE64 XSAVEOPT
  XSAVEOPT64 XSAVEC XSAVEC64 XSAVES XSAVES64 XRSTOR XRSTOR64 XRSTORS XRSTORS64`);
/** They leave the program, by a way that does not come back as a signal. */
const LEAVING: ReadonlyMap<string, string> = new Map([
  ['SYSCALL', 'enters the kernel at CPL 0, where a program of user code ends for good'],
  ['SYSENTER', 'enters the kernel at CPL 0, where a program of user code ends for good'],
]);
const APPROXIMATE: ReadonlyMap<string, Approximation> = new Map([
  ...[...words('F2XM1 FYL2X FPTAN FPATAN FYL2XP1 FSIN FCOS FSINCOS')].map((name) => [name, 'x87-transcendental'] as const),
  ...[...words('RCPPS RCPSS RSQRTPS RSQRTSS VRCPPS VRCPSS VRSQRTPS VRSQRTSS')].map((name) => [name, 'estimate'] as const),
  ...[...words('FPREM FPREM1')].map((name) => [name, 'partial-remainder'] as const),
]);

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/));
}

export interface RowClass {
  readonly row: EncodedRow;
  readonly place: 'body' | 'last' | 'never';
  readonly approximation: Approximation | undefined;
  readonly host: boolean;
  /** Why it is nowhere. */
  readonly reason: string | undefined;
}

/** Name for the tables above: moves to and from control and debug registers are told apart from other moves. */
function nameOf({ mnemonic, operands }: EncodedRow): string {
  if (operands.includes('CRn')) return 'MOV_CR';
  return operands.includes('DRn') ? 'MOV_DR' : mnemonic;
}

export function classifyRows(model: CpuidModel): readonly RowClass[] {
  const definitions = instructionDefinitions();
  return OPCODE_ROWS.map((row) => {
    const name = nameOf(row);
    const reason = reasonAgainst(row, model, definitions) ?? LEAVING.get(name);
    const approximation = APPROXIMATE.get(name);
    const place = reason !== undefined ? 'never' : ENDING.has(name) || approximation !== undefined ? 'last' : 'body';
    return { row, place, approximation, host: !OWN.has(name) && !ignoresW(row), reason };
  });
}

/** DEVIATION: VPINSRD and VPEXTRD with W in 32-bit code, which AMD's processors refuse; the decoder knows no makers and does as Intel's. */
function ignoresW({ encoding, modes }: EncodedRow): boolean {
  return encoding.vex && encoding.map === 3 && encoding.rexW === 2 && modes === 'legacy';
}

function reasonAgainst(row: EncodedRow, model: CpuidModel, definitions: ReadonlyMap<string, unknown>): string | undefined {
  if (row.feature !== undefined && !model.features.has(row.feature)) return `the model ${model.name} is without ${row.feature}`;
  const mmx = row.operands.some((operand) => operand === 'mm' || operand.startsWith('mm/'));
  if (definitions.has(mmx ? mmxKey(row.mnemonic) : row.mnemonic) || isSystem(row)) return undefined;
  return 'not executed by any engine yet';
}

/** The system's handlers are found by an instruction's operands; their kinds are enough. */
function isSystem(row: EncodedRow): boolean {
  const operands = row.encoding.operands.map(({ registers, source, width, memoryWidth }) => ({
    kind: registers === 'register' && source === 8 ? 'far-pointer' : registers,
    width: Math.abs(width),
    memoryWidth,
    index: 0,
    high: false,
  }));
  return systemHandler({ row, operands } as unknown as Instruction) !== undefined;
}
