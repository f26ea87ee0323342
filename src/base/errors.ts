/**
 * The two errors of the outside world, and the check for our own bugs.
 * Guest faults are values, never Errors; hypercall failures are negative errnos; neither is here.
 * Messages are one line, since the command line prints them as they are.
 */

/** A wrong option, configuration or input file. The command line answers with its message and exit status 2. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
  }
}

/** A store, network or file of the outside world failed, or gave an answer that we cannot use. */
export class BackendError extends Error {
  override readonly name = 'BackendError';
  /** A word for programs, upper case: `OUT_OF_RANGE`, `READ_ONLY`, `TOO_FEW_SHARDS`. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(oneLine(message), options);
    this.code = code;
  }
}

/** Our own bug: an invariant of the program does not hold. Never a guest's doing. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Checks an invariant.
 * @param detail what is wrong, with the state needed to reproduce it; a function is only called on failure.
 * @throws {InvariantError} when `condition` is false.
 */
export function assert(condition: unknown, detail: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof detail === 'string' ? detail : detail());
}

/** Marks a case that the types rule out, such as the default of an exhaustive switch. */
export function unreachable(value: never, context: string): never {
  throw new InvariantError(`${context}: unexpected ${String(value)}`);
}

/** One line for people: the message of an Error and of its causes, or the value as text. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return oneLine(String(error));
  const message = oneLine(error.message || error.name);
  return error.cause === undefined ? message : `${message}: ${describeError(error.cause)}`;
}

function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, ' ').trim();
}
