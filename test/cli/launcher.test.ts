import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const launcher = fileURLToPath(new URL('../../src/cli/launcher.js', import.meta.url));

/** Makes Node say that it is version 20, but only in the first process: the relaunched one is what it is. */
const pretendOld =
  'data:text/javascript,if(!process.env.PARAVANE_RELAUNCHED)' +
  'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.1.0"}})';

function run(args: string[], env: Record<string, string> = {}): Promise<{ status: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

describe('the launcher', () => {
  let lonely = '';
  beforeAll(async () => {
    lonely = await mkdtemp(join(tmpdir(), 'paravane-launcher-'));
    await mkdir(join(lonely, 'cli'));
    await writeFile(join(lonely, 'package.json'), '{"type":"module"}');
    await copyFile(launcher, join(lonely, 'cli/launcher.js'));
  });
  afterAll(() => rm(lonely, { recursive: true }));

  it('runs the command line on a Node that executes TypeScript', async () => {
    expect(await run([launcher, '--version'])).toEqual({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: '' });
  });

  it.runIf(process.platform === 'linux' && process.arch === 'x64')(
    'starts again on the Node 26 of node_modules when Node is old',
    async () => {
      const { status, stdout } = await run(['--import', pretendOld, launcher, '--version']);
      expect([status, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
    },
  );

  it('says in one line what is missing when Node is old and there is no other, status 2', async () => {
    const { status, stdout, stderr } = await run(['--import', pretendOld, join(lonely, 'cli/launcher.js')]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^paravane: Node 24 or newer is needed, this is v.*\n$/);
  });
});

describe('the command line', () => {
  it.each([
    ['no command', []],
    ['an unknown option', ['--no-such-option']],
  ])('answers %s with one line and status 2', async (_, args) => {
    const { status, stdout, stderr } = await run([launcher, ...args]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^paravane: .+\n$/);
  });
});
