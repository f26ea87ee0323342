/**
 * What every component with `save()` and `restore()` must do. A test file calls {@link itKeepsThePersistContract} once
 * per component; `create` builds it in its first state, `disturb` brings it into one that uses all of its fields.
 */

import { expect, it } from 'vitest';
import { type Persistent, restoreStream, saveStream } from '../../src/base/persist.ts';

export function itKeepsThePersistContract<T extends Persistent>(options: { create: () => T; disturb: (component: T) => void }): void {
  const save = (component: T) => saveStream((writer) => component.save(writer));
  const disturbed = () => {
    const component = options.create();
    options.disturb(component);
    return component;
  };

  it('saves the same bytes twice, so saving changes nothing', () => {
    const component = disturbed();
    expect(save(component)).toEqual(save(component));
  });

  it('saves something that the disturbance changed', () => {
    expect(save(disturbed())).not.toEqual(save(options.create()));
  });

  it('restored into a fresh component, saves the same bytes again', () => {
    const bytes = save(disturbed());
    const fresh = options.create();
    restoreStream(bytes, (reader) => fresh.restore(reader));
    expect(save(fresh)).toEqual(bytes);
  });

  it('restored over a component in another state, leaves nothing of that state', () => {
    const bytes = save(options.create());
    const component = disturbed();
    restoreStream(bytes, (reader) => component.restore(reader));
    expect(save(component)).toEqual(bytes);
  });

  it('refuses a stream that was cut', () => {
    const bytes = save(disturbed());
    const component = options.create();
    expect(() => restoreStream(bytes.subarray(0, bytes.length - 2), (reader) => component.restore(reader))).toThrow('saved state: at byte');
  });
}
