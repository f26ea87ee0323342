/**
 * The source files of a tree and what each imports, `import type` included, for the tests of the house's rules.
 * Reads text, not syntax trees: comments are blanked first, then the forms `import ... from`, `export ... from`,
 * `import '...'` and `import('...')` are looked for.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** From the root of the repository, with slashes: `src/xen/domain.ts`. */
  path: string;
  text: string;
  /** Specifiers as written, in order. */
  imports: string[];
}

export function sourceFile(path: string, text: string): SourceFile {
  return { path, text, imports: importsOf(text) };
}

/** All .ts and .js files below the given top-level folders; a missing folder has none. */
export function readSources(...folders: string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    listFiles(folder)
      .filter((path) => /\.(ts|js)$/.test(path))
      .map((path) => sourceFile(path, readFileSync(join(repositoryRoot, path), 'utf8'))),
  );
}

/** Every file below a folder of the repository, sorted, with slashes. */
export function listFiles(folder: string): string[] {
  try {
    return readdirSync(join(repositoryRoot, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(repositoryRoot, join(entry.parentPath, entry.name)).split(sep).join('/'))
      .sort();
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return [];
    throw error;
  }
}

export function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, ' ').replace(/^(\s*)\/\/.*$/gm, '$1');
  const statement =
    /^\s*(?:import|export)\b[^;'"`]*?\bfrom\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]/gm;
  return [...code.matchAll(statement)].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

/** The path that a relative specifier names, or null for a package. */
export function targetOf(file: SourceFile, specifier: string): string | null {
  return specifier.startsWith('.') ? posix.join(dirname(file.path), specifier) : null;
}

/** Circles of imports, each once, beginning with its alphabetically first file. */
export function importCycles(files: SourceFile[]): string[][] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const state = new Map<string, 'open' | 'done'>();
  const trail: string[] = [];
  const cycles = new Map<string, string[]>();
  const visit = (path: string): void => {
    const file = byPath.get(path);
    if (!file || state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      const cycle = trail.slice(trail.indexOf(path));
      const first = cycle.indexOf([...cycle].sort()[0]!);
      const turned = [...cycle.slice(first), ...cycle.slice(0, first)];
      cycles.set(turned.join(), turned);
      return;
    }
    state.set(path, 'open');
    trail.push(path);
    for (const specifier of file.imports) {
      const target = targetOf(file, specifier);
      if (target !== null) visit(target);
    }
    trail.pop();
    state.set(path, 'done');
  };
  for (const file of files) visit(file.path);
  return [...cycles.values()];
}
