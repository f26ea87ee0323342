/** What every device model owes: its saved state is plain data, a copy, and brings an equal device to the same answers. */
import { expect, it } from 'vitest';
import { hashStream } from '../../src/base/persist.ts';

export interface Device {
  save(): unknown;
  restore(data: unknown): void;
}

/**
 * @param make a new device; @param use brings it into some state; @param observe everything that can be seen of it,
 * changing it as it likes.
 */
export function deviceContract<D extends Device>(make: () => D, use: (device: D) => void, observe: (device: D) => unknown): void {
  it('restored into a new one, answers as the saved one does', () => {
    const first = make();
    use(first);
    const saved = first.save();
    const seen = observe(first);
    const second = make();
    second.restore(saved);
    expect(observe(second)).toEqual(seen);
    expect(seen).not.toEqual(observe(make()));
  });

  it('saves a copy that can be written to a stream, and that later use does not change', () => {
    const device = make();
    use(device);
    const saved = device.save();
    const hash = (): string => hashStream((writer) => writer.plain(saved));
    const before = hash();
    observe(device);
    use(device);
    expect(hash()).toBe(before);
  });
}
