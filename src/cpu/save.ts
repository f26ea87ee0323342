/**
 * A processor in a save stream: every field of the state that is not an engine's, and the lookup tables without the
 * engines' diversion bit, so that stream and hash are the same on every engine.
 */
import type { SaveWriter } from '../base/persist.ts';
import type { Processor } from './processor.ts';
import { FIELD_TABLE, LOOKUP_ENTRIES, LOOKUP_ENTRY_BYTES, LOOKUP_SUPERVISOR, OFFSET, TAG_TRAP_WRITES, TRANSIENT_FIELDS } from './state.ts';

const VERSION = 1;
const WRITE_TAG = 1;
const WORDS = LOOKUP_ENTRY_BYTES >> 3;

export function saveProcessor(writer: SaveWriter, processor: Processor): void {
  writer.section(`processor ${processor.index}`, VERSION, () => {
    const { state } = processor;
    for (const [name, type, count] of FIELD_TABLE) {
      if (TRANSIENT_FIELDS.has(name)) continue;
      const size = type === 'u8' ? 1 : type === 'u32' ? 4 : 8;
      writer.raw(state.u8.subarray(OFFSET[name], OFFSET[name] + size * count));
    }
    const start = LOOKUP_SUPERVISOR >> 3;
    const tables = state.u64.slice(start, start + 2 * LOOKUP_ENTRIES * WORDS);
    for (let at = WRITE_TAG; at < tables.length; at += WORDS) tables[at] &= ~TAG_TRAP_WRITES;
    writer.array(tables);
    writer.plain({ timerDeadline: processor.timerDeadline, timerVector: processor.timerVector });
  });
}
