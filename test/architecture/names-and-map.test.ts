import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { listFiles, readSources, repositoryRoot } from './source-graph.ts';

const sources = readSources('src', 'bench', 'test');
const srcFolders = [...new Set(readSources('src').flatMap(({ path }) => ancestors(path)))].sort();

describe('names', () => {
  it('of source files are kebab-case', () => {
    const kebab = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.bench|\.d)?\.(ts|js)$/;
    expect(sources.map(({ path }) => path).filter((path) => !kebab.test(path.split('/').at(-1)!))).toEqual([]);
  });

  it('of files and folders in src/ are not drawers for everything', () => {
    const drawer = /^(utils?|utilities|commons?|helpers?|misc|shared|managers?|lib|stuff)(\.(ts|js))?$/;
    expect(listFiles('src').filter((path) => path.split('/').some((part) => drawer.test(part)))).toEqual([]);
  });
});

describe('every source file in src/', () => {
  const inSrc = readSources('src');

  it('begins with a header comment', () => {
    const begins = (text: string) => /^(#!.*\n)?\s*\/\*\*/.test(text);
    expect(inSrc.filter(({ text }) => !begins(text)).map(({ path }) => path)).toEqual([]);
  });

  it('says in its header why it is long, when it has more than 500 lines ("Long because ...")', () => {
    const long = inSrc.filter(({ text }) => text.split('\n').length > 500);
    expect(long.filter(({ text }) => !/Long because/.test(text.slice(0, text.indexOf('*/')))).map(({ path }) => path)).toEqual([]);
  });

  it('keeps no mutable state in the module', () => {
    const found = inSrc.flatMap(({ path, text }) =>
      [...text.matchAll(/^(?:export )?(?:let|var) \w+/gm)].map(([line]) => `${path}: ${line}`),
    );
    expect(found).toEqual([]);
  });
});

describe('the map in src/README.md', () => {
  const map = [...readFileSync(join(repositoryRoot, 'src/README.md'), 'utf8').matchAll(/^\| `([a-z0-9/-]+)\/` \|/gm)].map((row) => row[1]!);

  it('has a row for every folder of src/', () => {
    expect(srcFolders.filter((folder) => !map.includes(folder))).toEqual([]);
  });

  it('has no row for a folder that is not there, and none twice', () => {
    expect(map.filter((folder, i) => !srcFolders.includes(folder) || map.indexOf(folder) !== i)).toEqual([]);
  });
});

/** The folders above a file, below src/: `xen`, `xen/pv`. */
function ancestors(path: string): string[] {
  const folders = path.split('/').slice(1, -1);
  return folders.map((_, i) => folders.slice(0, i + 1).join('/'));
}
