/**
 * Every opcode row is executed by something that checks it: a golden vector, a generated program (both engines against one
 * another, and against the host's processor by `paravane fuzz`), or a unit test named below. Rows are collected where the
 * reference engine decodes what it executes. The list of exceptions is exact: a row that is reached may not stay in it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { CPUID_MODELS, ZEN3 } from '../../src/cpu/cpuid/models.ts';
import { Campaign } from '../../src/stacks/fuzz/campaign.ts';
import { SeededChoices } from '../../src/stacks/fuzz/choices.ts';
import type { Program } from '../../src/stacks/fuzz/program.ts';
import { CountingDecoder } from '../../src/stacks/fuzz/program-machine.ts';
import { parseVectors, type Vector } from '../../src/stacks/vectors/vector.ts';
import { VectorMachine } from '../../src/stacks/vectors/vector-machine.ts';
import type { OpcodeRow } from '../../src/x86/instruction.ts';
import { OPCODE_ROWS } from '../../src/x86/opcode-table.ts';
import { repositoryRoot } from '../architecture/source-graph.ts';

/** Vectors of each family that run here: enough to meet each form. */
const SAMPLE = 120;
/** Programs of one row each: in some of them it is not reached, for what stands before it faults. */
const PROGRAMS_OF_A_ROW = 6;

const SYSTEM_TESTS = 'test/cpu/system/system-instructions.test.ts';
const FAST_CALLS = { reason: 'leaves user code for good', test: SYSTEM_TESTS };
const withoutFeature = (feature: string) => ({ reason: `no processor model has ${feature}: raises #UD`, test: undefined });

/** Mnemonics of rows that neither vectors nor programs reach, with the reason, and the test that reaches them all the same. */
const EXCEPTIONS: Readonly<Record<string, { readonly reason: string; readonly test: string | undefined }>> = {
  SYSCALL: FAST_CALLS,
  SYSENTER: FAST_CALLS,
  RDRAND: withoutFeature('RDRAND'),
  RDSEED: withoutFeature('RDSEED'),
  VMLAUNCH: withoutFeature('VMX'),
  VMRESUME: withoutFeature('VMX'),
  VMXOFF: withoutFeature('VMX'),
  MONITOR: withoutFeature('MONITOR'),
  MWAIT: withoutFeature('MONITOR'),
  VMRUN: withoutFeature('SVM'),
  VMLOAD: withoutFeature('SVM'),
  VMSAVE: withoutFeature('SVM'),
  STGI: withoutFeature('SVM'),
  CLGI: withoutFeature('SVM'),
  SKINIT: withoutFeature('SVM'),
  INVLPGA: withoutFeature('SVM'),
  RDPKRU: withoutFeature('PKU'),
  WRPKRU: withoutFeature('PKU'),
  MONITORX: withoutFeature('MONITORX'),
  MWAITX: withoutFeature('MONITORX'),
  CLZERO: withoutFeature('CLZERO'),
  WBNOINVD: withoutFeature('WBNOINVD'),
  XSAVES: withoutFeature('XSAVES'),
  XSAVES64: withoutFeature('XSAVES'),
  XRSTORS: withoutFeature('XSAVES'),
  XRSTORS64: withoutFeature('XSAVES'),
};

function vectorsOf(file: string): Vector[] {
  const all = parseVectors(gunzipSync(readFileSync(join(repositoryRoot, 'test/vectors', file))).toString());
  const step = Math.max(1, Math.floor(all.length / SAMPLE));
  return all.filter((_, n) => n % step === 0);
}

function reachedByVectors(): Uint32Array {
  const decoder = new CountingDecoder(ZEN3.features);
  const machines = { 64: new VectorMachine(64, 'reference', { decoder }), 32: new VectorMachine(32, 'reference', { decoder }) };
  for (const file of readdirSync(join(repositoryRoot, 'test/vectors')).filter((name) => name.endsWith('.jsonl.gz'))) {
    for (const vector of vectorsOf(file)) machines[vector.mode].run(vector);
  }
  return decoder.counts;
}

const name = ({ opcode, mnemonic, operands }: OpcodeRow): string => `${opcode} | ${mnemonic} ${operands.join(', ')}`;

describe('the opcode rows', () => {
  const campaign = new Campaign({ seed: 0 });
  const ofRow = (n: number, count: number): Program[] => {
    const rowClass = campaign.generator.classes[n]!;
    return Array.from({ length: count }, (_, k) => campaign.generator.only(new SeededChoices(n, k), rowClass) ?? []).flat();
  };

  const failures: string[] = [];
  beforeAll(async () => {
    for (const { row, place } of campaign.generator.classes) {
      if (place === 'never') continue;
      for (const failure of await campaign.compare(ofRow(row.id, PROGRAMS_OF_A_ROW))) {
        if (failure !== undefined) failures.push(`${name(row)}: ${failure.lines.join('; ')}`);
      }
    }
  }, 120_000);

  it('end alike on both engines, each in programs of its own', () => {
    expect(failures).toEqual([]);
  });

  it('are all executed by a vector, a program or a unit test, but for the exceptions', { timeout: 120_000 }, () => {
    const vectors = reachedByVectors();
    const programs = campaign.counting.counts;
    const unreached = OPCODE_ROWS.filter(({ id }) => vectors[id] === 0 && programs[id] === 0);
    const expected = OPCODE_ROWS.filter(({ mnemonic }) => EXCEPTIONS[mnemonic] !== undefined);
    expect(unreached.map(name)).toEqual(expected.map(name));
    const mnemonics = new Set(OPCODE_ROWS.map(({ mnemonic }) => mnemonic));
    expect(Object.keys(EXCEPTIONS).filter((mnemonic) => !mnemonics.has(mnemonic))).toEqual([]);
  });

  it('that are excepted for want of a feature are of a feature that no processor model has', () => {
    const wanted = OPCODE_ROWS.filter(({ mnemonic }) => EXCEPTIONS[mnemonic] !== undefined && EXCEPTIONS[mnemonic].test === undefined);
    for (const row of wanted) {
      const models = [...CPUID_MODELS.values()].filter(({ features }) => row.feature === undefined || features.has(row.feature));
      expect(models.map((model) => `${model.name} has ${name(row)}`)).toEqual([]);
    }
  });

  it.each(Object.entries(EXCEPTIONS).filter(([, { test }]) => test !== undefined))(
    '%s is in the test that is said to reach it',
    (mnemonic, { test }) => {
      expect(readFileSync(join(repositoryRoot, test!), 'utf8').toUpperCase()).toContain(mnemonic);
    },
  );
});
