/**
 * Host code's access to virtual memory through the tables of the code that was interrupted: a hypervisor copying from or
 * to a guest. Walks set accessed and dirty bits, as the hardware would for the hypervisor's own instructions; nothing is
 * entered in the lookup table and nothing is charged (the hypervisor charges its path).
 */
import { PAGE_SIZE } from '../../memory/physical-memory.ts';
import type { VirtualFault } from '../../platform/cpu.ts';
import { isCanonical } from '../../x86/page-table-entry.ts';
import type { Processor } from '../processor.ts';
import { walkTables } from './walk.ts';
import { Access } from './walk-result.ts';

export function readVirtual(processor: Processor, linear: bigint, into: Uint8Array, asUser: boolean): VirtualFault | undefined {
  for (let done = 0; done < into.length; ) {
    const address = BigInt.asUintN(64, linear + BigInt(done));
    const machine = resolve(processor, address, Access.READ, asUser);
    if (typeof machine !== 'number') return machine;
    const part = Math.min(into.length - done, PAGE_SIZE - (machine % PAGE_SIZE));
    into.set(processor.memory.readBytes(machine, part), done);
    done += part;
  }
  return undefined;
}

/** Bytes before the fault are written. */
export function writeVirtual(processor: Processor, linear: bigint, from: Uint8Array, asUser: boolean): VirtualFault | undefined {
  for (let done = 0; done < from.length; ) {
    const address = BigInt.asUintN(64, linear + BigInt(done));
    const machine = resolve(processor, address, Access.WRITE, asUser);
    if (typeof machine !== 'number') return machine;
    const part = Math.min(from.length - done, PAGE_SIZE - (machine % PAGE_SIZE));
    processor.memory.writeBytes(machine, from.subarray(done, done + part));
    done += part;
  }
  return undefined;
}

/** Machine address in RAM, or the fault. A non-canonical or unbacked address is reported as "not present". */
function resolve(processor: Processor, linear: bigint, access: Access, asUser: boolean): number | VirtualFault {
  const { walk, memory } = processor;
  const absent = (access === Access.WRITE ? 2 : 0) | (asUser ? 4 : 0);
  if (!isCanonical(linear)) return { address: linear, errorCode: absent };
  if (!walkTables(processor, linear, access, asUser, false)) return { address: linear, errorCode: walk.errorCode };
  if (walk.machine < 0 || walk.machine >= memory.size) return { address: linear, errorCode: absent };
  return walk.machine;
}
