import { describe, expect, it } from 'vitest';
import { restoreStream, saveStream } from '../../../src/base/persist.ts';
import { audit } from '../../../src/xen/pv/audit.ts';
import { PvDomains } from '../../../src/xen/pv/pv-domains.ts';
import { startHypervisor } from '../../../src/xen/start.ts';
import { restoreHypervisor, saveHypervisor } from '../../../src/xen/save-state.ts';
import { fakePlatform } from './fake-platform.ts';
import { SmallDomain } from './small-domain.ts';

describe('the saved state of a hypervisor with PV domains', () => {
  it('restores into counts that agree with a recount, and saves to the same bytes', () => {
    const d = new SmallDomain();
    d.call(2, d.put([d.makeTable(20, {})]), 512);
    d.mmuext(15, d.table(0));
    const bytes = saveStream((writer) => saveHypervisor(d.hypervisor, writer));
    const platform = fakePlatform(2048);
    const kind = new PvDomains();
    const other = startHypervisor(platform, { kinds: [kind], placement: () => 0 });
    platform.memory.bytes.set(d.memory.bytes);
    restoreStream(bytes, (reader) => restoreHypervisor(other, reader));
    expect(audit(kind.parts)).toEqual([]);
    expect([...kind.parts.tables.flush.lastFlush]).toEqual([...d.pv.tables.flush.lastFlush]);
    const again = saveStream((writer) => saveHypervisor(other, writer));
    expect(Buffer.from(again).equals(Buffer.from(bytes))).toBe(true);
  });
});
