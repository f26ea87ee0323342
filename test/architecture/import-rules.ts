/**
 * Who may import whom, as a table and a function that finds breaches of it. `src/README.md` says the same in words.
 */

import { type SourceFile, targetOf } from './source-graph.ts';

const belowStacks = [
  ...['base', 'wasm', 'timing', 'x86', 'memory', 'xen-abi', 'racs', 'devices', 'boot', 'platform', 'cpu', 'jit', 'machine'],
  ...['xenstore', 'xen', 'dom0', 'nesting', 'services', 'debug', 'report'],
];

/** Folder of src/ (or bench/, or a file right in src/) to the folders that it may import besides itself. */
export const mayImport: Record<string, readonly string[]> = {
  base: [],
  wasm: ['base'],
  timing: ['base'],
  report: ['base', 'timing'],
  x86: ['base'],
  memory: ['base'],
  'xen-abi': ['base'],
  racs: ['base', 'wasm'],
  platform: ['base', 'memory', 'x86'],
  devices: ['base'],
  boot: ['base'],
  cpu: ['base', 'x86', 'memory', 'timing', 'wasm', 'platform'],
  jit: ['base', 'x86', 'memory', 'timing', 'wasm', 'platform', 'cpu'],
  machine: ['base', 'x86', 'memory', 'timing', 'devices', 'boot', 'platform', 'cpu', 'jit'],
  xenstore: ['base', 'xen-abi'],
  xen: ['base', 'x86', 'memory', 'timing', 'devices', 'platform', 'xen-abi'],
  dom0: ['base', 'boot', 'memory', 'xen-abi', 'xenstore'],
  nesting: ['base', 'platform', 'xen-abi', 'xen'],
  services: ['base', 'platform', 'xen-abi', 'xen', 'dom0'],
  debug: ['base', 'x86', 'platform'],
  stacks: belowStacks,
  'index.ts': [...belowStacks, 'stacks'],
  cli: [...belowStacks, 'stacks'],
  web: [...belowStacks, 'stacks'],
  bench: [...belowStacks, 'stacks'],
};

/** Packages by the folders that may use them; everything that is not listed is refused. */
const packages: { matches: RegExp; where: RegExp }[] = [
  { matches: /^node:/, where: /^(src\/cli|src\/racs\/store|bench)\// },
  { matches: /^(yargs|chalk)(\/|$)/, where: /^src\/cli\// },
  { matches: /^@noble\/hashes\//, where: /^src\/base\// },
  { matches: /^tinybench$/, where: /^bench\// },
];

/** One sentence per import that the rules do not allow, naming file and import. */
export function importBreaches(files: SourceFile[]): string[] {
  return files.flatMap((file) => file.imports.flatMap((specifier) => breach(file, specifier) ?? []));
}

function breach(file: SourceFile, specifier: string): string | null {
  const target = targetOf(file, specifier);
  if (target === null) {
    const rule = packages.find(({ matches }) => matches.test(specifier));
    if (!rule) return `${file.path} imports the package ${specifier}, which nothing here may use`;
    return rule.where.test(file.path) ? null : `${file.path} imports ${specifier}, which only ${rule.where.source} may`;
  }
  const from = layerOf(file.path);
  const to = layerOf(target);
  if (from === to) return null;
  const allowed = mayImport[from];
  if (!allowed) return `${file.path} is in ${from}, which the table of import directions does not know`;
  if (allowed.includes(to)) return null;
  return `${file.path} imports ${specifier}: ${from} may not import ${to}, only ${allowed.join(', ') || 'nothing'}`;
}

/** `src/xen/pv/traps.ts` is in `xen`, `bench/main.ts` in `bench`, `src/index.ts` is its own layer, `package.json` too. */
function layerOf(path: string): string {
  const [top, second] = path.split('/');
  return top === 'src' ? (second ?? 'src') : top!;
}
