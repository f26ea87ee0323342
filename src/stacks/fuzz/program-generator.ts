/**
 * Draws whole programs: a state, at least {@link MINIMUM_UNITS} units from the opcode rows of a processor model, and
 * instructions that define flags wherever the next unit would read undefined ones. The program's last unit may fault.
 */
import { STATUS_FLAGS } from '../../x86/eflags.ts';
import type { CpuidModel } from '../../cpu/cpuid/model.ts';
import { Decoder } from '../../x86/decode.ts';
import { type Choices, oneIn, pick } from './choices.ts';
import { type Approximation, DATA_WINDOW, type InitialState, type Program, STACK_TOP, STACK_WINDOW, type Unit } from './program.ts';
import { classifyRows, type RowClass } from './row-classes.ts';
import { conditionSettingUnit, drawUnit, flagSettingUnit, type UnitContext } from './unit-generator.ts';
import { extended, integer, mxcsr, packed, statusFlags, x87Control } from './values.ts';
import { X87_CONDITIONS } from './x87-effects.ts';

export const MINIMUM_UNITS = 20;
const MORE_UNITS = 12;

export interface GeneratorOptions {
  readonly model: CpuidModel;
  /** Only rows whose mnemonic matches, beside what prepares them. */
  readonly rows?: RegExp;
  /** Leaves out what means something else on a host processor. */
  readonly forHost?: boolean;
}

export class ProgramGenerator {
  readonly classes: readonly RowClass[];
  private readonly body: readonly RowClass[];
  private readonly ownBody: readonly RowClass[];
  private readonly last: readonly RowClass[];
  private readonly ending: readonly RowClass[];
  private readonly ownEnding: readonly RowClass[];
  private readonly decoder: Decoder;
  private readonly compare: number;
  private readonly examine: number;
  private readonly forHost: boolean;

  constructor({ model, rows, forHost = false }: GeneratorOptions) {
    this.classes = classifyRows(model);
    this.forHost = forHost;
    const chosen = this.classes.filter(({ row }) => rows === undefined || rows.test(row.mnemonic));
    const any = chosen.some(({ place }) => place === 'body') ? chosen : this.classes;
    this.body = any.filter(({ place }) => place === 'body');
    this.ownBody = this.body.filter(({ host }) => !host);
    this.last = chosen.filter(({ place }) => place !== 'never');
    this.ending = chosen.filter(({ place }) => place === 'last');
    this.ownEnding = this.ending.filter(({ host }) => !host);
    this.decoder = new Decoder(model.features);
    this.compare = this.idOf('39 /r');
    this.examine = this.idOf('D9 E5');
  }

  /** Rows that a program of this generator may hold. */
  get rows(): readonly RowClass[] {
    return [...new Set([...this.body, ...this.last])].filter(({ host }) => host || !this.forHost);
  }

  next(choices: Choices): Program {
    const mode = choices.below(3) === 2 ? 32 : 64;
    const context: UnitContext = { mode, choices, decoder: this.decoder };
    const own = !this.forHost && oneIn(choices, 8);
    const units: Unit[] = [];
    const pending: { at: number; mask: number }[] = [];
    let mask = 0;
    const add = (unit: Unit): void => {
      const after = (mask & ~unit.effects.defines) | unit.effects.undefines;
      units.push(unit);
      // A short branch may be cut to any of the units between: all of them get its mask.
      for (let n = 1; n <= unit.ahead; n++) pending.push({ at: units.length - 1 + n, mask: after });
      mask = after;
      for (const { at, mask: brought } of pending) if (at === units.length) mask |= brought;
    };
    const addDefined = (unit: Unit): void => {
      if ((unit.effects.reads & mask & STATUS_FLAGS) !== 0) add(flagSettingUnit(context, this.compare));
      if ((unit.effects.reads & mask & X87_CONDITIONS) !== 0) add(conditionSettingUnit(context, this.examine, X87_CONDITIONS));
      // What a branch brings to the unit itself can only be met by another one.
      if ((unit.effects.reads & mask) !== 0) return;
      add(unit);
    };
    const wanted = MINIMUM_UNITS + choices.below(MORE_UNITS);
    while (units.length < wanted) {
      const classes = own && this.ownBody.length > 0 && oneIn(choices, 6) ? this.ownBody : this.body;
      const unit = this.drawFrom(context, classes, own, false);
      if (unit !== undefined) addDefined(unit);
    }
    let approximation: Approximation | undefined;
    const final = this.drawClass(context, this.lastClasses(choices, own), own);
    const unit = final === undefined ? undefined : drawUnit(context, final.row, true);
    if (final !== undefined && unit !== undefined && (unit.effects.reads & mask) === 0) {
      add(unit);
      approximation = final.approximation;
      if (/^(CMPS|SCAS)$/.test(final.row.mnemonic)) approximation = 'repeated-comparison';
    }
    return { mode, units, initial: initialState(choices, mode), approximation, comparableWithHost: !own };
  }

  /** A program of one unit of a row, in a mode that has it; undefined when no draw succeeds. */
  only(choices: Choices, { row, host, approximation }: RowClass): Program | undefined {
    const mode = row.modes === 'legacy' ? 32 : 64;
    const unit = drawUnit({ mode, choices, decoder: this.decoder }, row, false);
    if (unit === undefined) return undefined;
    return { mode, units: [unit], initial: initialState(choices, mode), approximation, comparableWithHost: host };
  }

  /** Half of the programs end with what can stand nowhere else; few may hold what is the machine's own, so these have more of it. */
  private lastClasses(choices: Choices, own: boolean): readonly RowClass[] {
    if (this.ending.length === 0 || !oneIn(choices, 2)) return this.last;
    return own && this.ownEnding.length > 0 ? this.ownEnding : this.ending;
  }

  private drawFrom(context: UnitContext, classes: readonly RowClass[], own: boolean, wild: boolean): Unit | undefined {
    const chosen = this.drawClass(context, classes, own);
    return chosen === undefined ? undefined : drawUnit(context, chosen.row, wild);
  }

  private drawClass({ mode, choices }: UnitContext, classes: readonly RowClass[], own: boolean): RowClass | undefined {
    const chosen = pick(choices, classes);
    const { row, host } = chosen;
    const exists = row.modes === 'all' || (row.modes === '64') === (mode === 64);
    return exists && (host || own) ? chosen : undefined;
  }

  private idOf(opcode: string): number {
    return this.classes.findIndex(({ row }) => row.opcode === opcode);
  }
}

function initialState(choices: Choices, mode: 64 | 32): InitialState {
  const registers = mode === 64 ? 16 : 8;
  const gpr = new BigUint64Array(16);
  for (let n = 0; n < registers; n++) gpr[n] = mode === 64 ? integer(choices) : integer(choices) & 0xffff_ffffn;
  gpr[4] = BigInt(STACK_TOP - choices.below(16) * 8);
  const xmm = new BigUint64Array(32);
  for (let n = 0; n < registers * 2; n++) xmm[n] = packed(choices);
  const ymmHigh = new BigUint64Array(32);
  for (let n = 0; n < registers * 2; n++) ymmHigh[n] = packed(choices);
  const st = new BigUint64Array(16);
  const mayTrap = oneIn(choices, 12);
  for (let n = 0; n < 8; n++) [st[n * 2], st[n * 2 + 1]] = extended(choices);
  return {
    gpr,
    rflags: 0x202 | statusFlags(choices),
    mxcsr: mxcsr(choices, mayTrap),
    fpuControl: x87Control(choices, mayTrap),
    fpuStatus: (choices.below(8) << 11) | (choices.u32() & 0x4700),
    fpuTag: oneIn(choices, 4) ? choices.below(256) : 0xff,
    xmm,
    ymmHigh,
    st,
    data: bytesOf(choices, DATA_WINDOW.length),
    stack: bytesOf(choices, STACK_WINDOW.length),
  };
}

/** Half of it numbers that mean something to floating-point instructions. */
function bytesOf(choices: Choices, length: number): Uint8Array {
  const words = new BigUint64Array(length / 8);
  for (let n = 0; n < words.length; n++) words[n] = n % 4 === 0 ? integer(choices) : packed(choices);
  return new Uint8Array(words.buffer);
}
