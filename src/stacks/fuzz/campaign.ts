/**
 * Runs generated programs on the engines and, where one is given, on a host processor, and compares. Program n of a seed is
 * the same whatever runs before it, so that a failure can be repeated alone.
 */
import type { CpuidModel } from '../../cpu/cpuid/model.ts';
import { FUZZ_MODEL } from './model.ts';
import { SeededChoices } from './choices.ts';
import { differences, type FinalState, type Leniency, WORD } from './final-state.ts';
import { type InitialState, type Layout, layOut, type Program } from './program.ts';
import { ProgramGenerator } from './program-generator.ts';
import { CountingDecoder, ProgramMachine } from './program-machine.ts';

export interface Request {
  readonly mode: 64 | 32;
  readonly code: Uint8Array;
  readonly initial: InitialState;
}

/** A processor outside: answers in the order of the requests. */
export interface Oracle {
  run(requests: readonly Request[]): Promise<readonly FinalState[]>;
}

export interface CampaignOptions {
  readonly seed: number;
  readonly rows?: RegExp;
  readonly oracle?: Oracle;
  /** Compares the two engines with one another. Default true. */
  readonly engines?: boolean;
}

export interface Failure {
  readonly number: number;
  readonly program: Program;
  /** What was compared, and the first lines of what differs. */
  readonly between: string;
  readonly lines: readonly string[];
}

export class Campaign {
  readonly model: CpuidModel = FUZZ_MODEL;
  readonly generator: ProgramGenerator;
  readonly counting = new CountingDecoder(FUZZ_MODEL.features);
  private readonly options: CampaignOptions;
  private readonly reference: Readonly<Record<64 | 32, ProgramMachine>>;
  private readonly interpreter: Readonly<Record<64 | 32, ProgramMachine>>;

  constructor(options: CampaignOptions) {
    this.options = options;
    this.generator = new ProgramGenerator({
      model: this.model,
      forHost: options.engines === false,
      ...(options.rows && { rows: options.rows }),
    });
    this.reference = this.machines('reference', this.counting);
    this.interpreter = this.machines('interpreter');
  }

  /** Programs `from` to `from + count - 1`. */
  async run(from: number, count: number): Promise<Failure[]> {
    const programs = Array.from({ length: count }, (_, n) => this.generator.next(new SeededChoices(this.options.seed, from + n)));
    const compared = await this.compare(programs);
    return compared.flatMap((failure, n) =>
      failure === undefined ? [] : [{ number: from + n, program: programs[n] as Program, ...failure }],
    );
  }

  /** What differs for each program, or undefined. */
  async compare(programs: readonly Program[]): Promise<(Pick<Failure, 'between' | 'lines'> | undefined)[]> {
    const layouts = programs.map(layOut);
    const { oracle, engines = true } = this.options;
    const sent = programs.flatMap((program, n) => (oracle !== undefined && program.comparableWithHost ? [n] : []));
    const answers = oracle?.run(sent.map((n) => requestOf(programs[n] as Program, layouts[n] as Layout)));
    const results = programs.map((program, n) => {
      const { code } = layouts[n] as Layout;
      const reference = engines ? this.reference[program.mode].run(code, program.initial) : undefined;
      return { reference, interpreter: this.interpreter[program.mode].run(code, program.initial) };
    });
    const host = new Map<number, FinalState>();
    (await answers)?.forEach((answer, n) => void host.set(sent[n] as number, answer));
    return results.map(({ reference, interpreter }, n) => {
      if (typeof interpreter === 'string') return { between: 'interpreter', lines: [interpreter] };
      if (typeof reference === 'string') return { between: 'reference', lines: [reference] };
      const lines = reference === undefined ? [] : differences(reference, interpreter);
      if (lines.length > 0) return { between: 'reference, interpreter', lines };
      const answer = host.get(n);
      if (answer === undefined) return undefined;
      const found = differences(interpreter, answer, leniencyFor(programs[n] as Program, layouts[n] as Layout, answer));
      return found.length === 0 ? undefined : { between: 'interpreter, host', lines: found };
    });
  }

  private machines(engine: 'reference' | 'interpreter', decoder?: CountingDecoder): Record<64 | 32, ProgramMachine> {
    return { 64: new ProgramMachine(64, engine, this.model, decoder), 32: new ProgramMachine(32, engine, this.model, decoder) };
  }
}

function requestOf({ mode, initial }: Program, { code }: Layout): Request {
  return { mode, code, initial };
}

/** The mask of the instruction at which the program ended; RIP is behind it after an int3. */
function leniencyFor({ approximation }: Program, { undefinedAt }: Layout, { words }: FinalState): Leniency {
  const rip = Number(words[WORD.RIP] as bigint);
  return { undefined: undefinedAt.get(rip) ?? undefinedAt.get(rip - 1) ?? 0, approximation };
}
