/**
 * The commands of `paravane`, by name, each with a loader that imports its module when it is chosen.
 * A command module has the shape {@link CommandModule}.
 */

import type { ArgumentsCamelCase, Argv } from 'yargs';

export interface CommandModule {
  /** Declares positional arguments and options; may be asynchronous. */
  builder(y: Argv): Argv | Promise<Argv>;
  /** Runs the command; resolves to the exit status. A ConfigError becomes one line and status 2. */
  handler(argv: ArgumentsCamelCase): Promise<number>;
}

export interface SingleCommand {
  /** yargs notation: name, then `<required>` and `[optional]` positional arguments. */
  command: string;
  describe: string;
  load: () => Promise<CommandModule>;
}

/** Commands under a common first word. */
export interface CommandGroup {
  command: string;
  describe: string;
  commands: readonly SingleCommand[];
}

export type CommandEntry = SingleCommand | CommandGroup;

const racsCommands: readonly SingleCommand[] = [
  { command: 'init', describe: 'Make the directories, buckets and markers of an array', load: () => import('./racs/init.ts') },
  { command: 'status', describe: 'Which providers answer, and what the array can bear', load: () => import('./racs/status.ts') },
  { command: 'put <file> <key>', describe: 'Store a file', load: () => import('./racs/put.ts') },
  { command: 'get <key> [file]', describe: 'Fetch an object', load: () => import('./racs/get.ts') },
  { command: 'ls [prefix]', describe: 'List objects', load: () => import('./racs/ls.ts') },
  { command: 'rm <keys..>', describe: 'Delete objects', load: () => import('./racs/rm.ts') },
  { command: 'scrub', describe: 'Read every share and say which are bad', load: () => import('./racs/scrub.ts') },
  { command: 'repair', describe: 'Put missing and damaged shares back', load: () => import('./racs/repair.ts') },
  { command: 'collect', describe: 'Delete shares that belong to nothing', load: () => import('./racs/collect.ts') },
  { command: 'add-provider <file>', describe: 'Add a provider to the configuration', load: () => import('./racs/add-provider.ts') },
  { command: 'drain <provider>', describe: 'Move all shares away from a provider', load: () => import('./racs/drain.ts') },
  { command: 'migrate <k> <n>', describe: 'Re-code all objects', load: () => import('./racs/migrate.ts') },
  {
    command: 'disk <action> [names..]',
    describe: 'Make, list, snapshot, clone, collect and remove disks',
    load: () => import('./racs/disk.ts'),
  },
  { command: 'nbd <disks..>', describe: 'Serve disks over NBD', load: () => import('./racs/nbd.ts') },
  { command: 'proxy', describe: 'Serve the array over S3', load: () => import('./racs/proxy.ts') },
  { command: 'cost', describe: 'What keeping an archive costs, and leaving a provider', load: () => import('./racs/cost.ts') },
];

export const commands: readonly CommandEntry[] = [
  { command: 'fit', describe: 'Fit the timing parameters to the published single-layer cells', load: () => import('./fit.ts') },
  { command: 'table', describe: 'Measure the nested microbenchmark table', load: () => import('./table.ts') },
  {
    command: 'vectors <dir>',
    describe: 'run golden instruction vectors on the engines',
    load: () => import('./vectors.ts'),
  },
  { command: 'fuzz', describe: 'Compare generated programs on the engines and the host processor', load: () => import('./fuzz.ts') },
  { command: 'lockstep <image>', describe: 'Run one stack on two engines and find where they differ', load: () => import('./lockstep.ts') },
  { command: 'racs', describe: 'A redundant array of cloud stores: objects, disks and what they cost', commands: racsCommands },
  { command: 'run [image]', describe: 'Run one guest in one stack', load: () => import('./run.ts') },
];
