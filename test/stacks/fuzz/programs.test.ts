/**
 * Programs that fast-check draws (a tape of choices, so that it can make a failing one small) on both engines and, where
 * there is one, on the host's own processor. The long run is `paravane fuzz`.
 */
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { HostProcessor, hostProcessorMissing } from '../../../src/cli/host-processor.ts';
import { FUZZ_MODEL } from '../../../src/stacks/fuzz/model.ts';
import { Campaign } from '../../../src/stacks/fuzz/campaign.ts';
import { SeededChoices, TapeChoices } from '../../../src/stacks/fuzz/choices.ts';
import { programListing } from '../../../src/stacks/fuzz/listing.ts';
import { layOut, type Program } from '../../../src/stacks/fuzz/program.ts';
import { MINIMUM_UNITS } from '../../../src/stacks/fuzz/program-generator.ts';

const PROGRAMS = 150;
const host = hostProcessorMissing() === undefined ? new HostProcessor() : undefined;
afterAll(() => host?.close());

/** Long enough for any program; what is left over is not looked at. */
const tape = fc.array(fc.nat({ max: 0xffff_ffff }), { minLength: 4000, maxLength: 4000, size: 'max' });

describe('generated programs', () => {
  const engines = new Campaign({ seed: 0 });
  const drawn = (from: number, count: number): Program[] =>
    Array.from({ length: count }, (_, n) => engines.generator.next(new SeededChoices(20_121_124, from + n)));

  it('have at least twenty instructions of the opcode rows and read no undefined flag', () => {
    for (const program of drawn(0, 300)) {
      expect(program.units.length).toBeGreaterThanOrEqual(MINIMUM_UNITS);
      expect(layOut(program).consumesUndefined).toBe(false);
    }
  });

  it('mostly run to their end', async () => {
    const programs = drawn(300, 200);
    await engines.compare(programs);
    const executed = engines.counting.counts.reduce((sum, count) => sum + count, 0);
    const written = programs.reduce((sum, { units }) => sum + units.length, 0);
    expect(executed).toBeGreaterThan(written);
  });

  it('are the same for the same seed and number', () => {
    expect(drawn(7, 1).map((program) => programListing(program, FUZZ_MODEL))).toEqual(
      drawn(7, 1).map((program) => programListing(program, FUZZ_MODEL)),
    );
    expect(programListing(drawn(7, 1)[0]!, FUZZ_MODEL)).not.toEqual(programListing(drawn(8, 1)[0]!, FUZZ_MODEL));
  });

  it('end alike on both engines, every register and byte', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(tape, async (numbers) => {
        const program = engines.generator.next(new TapeChoices(numbers));
        const [failure] = await engines.compare([program]);
        if (failure !== undefined) throw new Error([failure.between, ...failure.lines, ...programListing(program, FUZZ_MODEL)].join('\n'));
      }),
      { numRuns: PROGRAMS },
    );
  });

  it.skipIf(host === undefined)("end as on the host's processor, but for flags that are undefined", { timeout: 120_000 }, async () => {
    const campaign = new Campaign({ seed: 0, engines: false, oracle: host! });
    await fc.assert(
      fc.asyncProperty(tape, async (numbers) => {
        const program = campaign.generator.next(new TapeChoices(numbers));
        const [failure] = await campaign.compare([program]);
        if (failure !== undefined) throw new Error([failure.between, ...failure.lines, ...programListing(program, FUZZ_MODEL)].join('\n'));
      }),
      { numRuns: PROGRAMS },
    );
  });
});
