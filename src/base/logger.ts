/**
 * Where the program tells people what it does. Handed in like time and chance: the core never prints.
 * Messages are one line, without a level or a time; the receiver adds what it wants.
 */

export interface Logger {
  /** Something is wrong and the run goes on. */
  warn(message: string): void;
  /** A step that a user may want to see. */
  info(message: string): void;
  /** Detail for someone who looks for a fault. Callers on hot paths check {@link debugEnabled} first. */
  debug(message: string): void;
  readonly debugEnabled: boolean;
}

export const silentLogger: Logger = {
  warn() {},
  info() {},
  debug() {},
  debugEnabled: false,
};

/** A logger that puts a name before each message of a part: `xen: ...`. */
export function namedLogger(name: string, logger: Logger): Logger {
  return {
    warn: (message) => logger.warn(`${name}: ${message}`),
    info: (message) => logger.info(`${name}: ${message}`),
    debug: (message) => logger.debug(`${name}: ${message}`),
    get debugEnabled() {
      return logger.debugEnabled;
    },
  };
}
