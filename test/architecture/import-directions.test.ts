import { describe, expect, it } from 'vitest';
import { importBreaches } from './import-rules.ts';
import { importCycles, importsOf, readSources, sourceFile } from './source-graph.ts';

const sources = readSources('src', 'bench');

describe('import directions', () => {
  it('hold for every import in src/ and bench/, `import type` included (src/README.md, "Who imports whom")', () => {
    expect(importBreaches(sources)).toEqual([]);
  });

  it('have no circle between files', () => {
    expect(importCycles(sources).map((cycle) => [...cycle, cycle[0]].join(' -> '))).toEqual([]);
  });

  it.each([
    ['src/xen/domain.ts', "import type { Cpu } from '../cpu/cpu.ts';", 'xen may not import cpu'],
    ['src/dom0/a.ts', "import { x } from '../xen/domain.ts';", 'dom0 may not import xen'],
    ['src/base/a.ts', "export * from '../x86/registers.ts';", 'base may not import x86'],
    ['src/cli/a.ts', "const m = await import('../web/page.ts');", 'cli may not import web'],
    ['bench/main.ts', "import { main } from '../src/cli/main.ts';", 'bench may not import cli'],
    ['src/xen/a.ts', "import {\n  readFileSync,\n} from 'node:fs';", 'imports node:fs, which only'],
    ['src/machine/a.ts', "import chalk from 'chalk';", 'imports chalk, which only'],
    ['src/machine/a.ts', "import 'left-pad';", 'the package left-pad, which nothing here may use'],
    ['src/utilities/a.ts', "import { x } from '../base/errors.ts';", 'the table of import directions does not know'],
    ['src/machine/a.ts', "import { x } from '../../test/support/x.ts';", 'machine may not import test'],
  ])('refuse in %s: %s', (path, text, message) => {
    const breaches = importBreaches([sourceFile(path, text)]);
    expect(breaches).toHaveLength(1);
    expect(breaches[0]).toContain(`${path} `);
    expect(breaches[0]).toContain(message);
  });

  it('see a circle through a type import', () => {
    const files = [
      sourceFile('src/xen/b.ts', "import type { C } from './c.ts';"),
      sourceFile('src/xen/c.ts', "import { a } from './a.ts';"),
      sourceFile('src/xen/a.ts', "import { b } from './b.ts';"),
    ];
    expect(importCycles(files)).toEqual([['src/xen/a.ts', 'src/xen/b.ts', 'src/xen/c.ts']]);
  });

  it('do not take comments and strings for imports', () => {
    const text = `
      /** import { a } from './a.ts'; */
      // import { b } from './b.ts';
      import { type C, c } from './c.ts';
      export type { D } from "./d.ts";
      const text = 'import of frames';
      fail(\`nothing to import \${a} from '\${b}'\`);
      type E = import('./e.ts').E;
    `;
    expect(importsOf(text)).toEqual(['./c.ts', './d.ts', './e.ts']);
  });
});
