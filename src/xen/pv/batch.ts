/**
 * Arrays of requests in guest memory, as mmu_update and mmuext_op take them: range check of the whole, copy of each,
 * the `done` count, and the end of a slice of a long array. A count may be anything up to 2^31, so a call handles a
 * slice and lets the guest repeat its instruction with the rest, marked by MMU_UPDATE_PREEMPTED in the count.
 * Source: Xen public/xen.h HYPERVISOR_mmu_update.
 */
import { EFAULT } from '../../xen-abi/errno.ts';
import { copyToGuest, guestArrayOk, loadFromGuest } from '../guest-access.ts';
import type { HypercallResult } from '../hypercall/table.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { Vcpu } from '../vcpu.ts';

const PREEMPTED = 0x8000_0000n;
/** Requests of one slice: well under a millisecond of modelled time. */
const SLICE = 1024;

/**
 * Runs `handle` on up to a slice of requests until one fails.
 * @param args requests, count, pdone and what else the call has, in order.
 * @param proceed stores the arguments for the rest of the array where the repeated call finds them; false if it
 *   cannot be repeated (a multicall): then everything is done at once.
 */
export function runBatch(
  hypervisor: Hypervisor,
  vcpu: Vcpu,
  args: readonly bigint[],
  elementBytes: number,
  handle: (request: DataView) => number,
  proceed: (next: readonly bigint[]) => boolean,
): HypercallResult {
  const array = args[0] ?? 0n;
  const countArgument = BigInt.asUintN(32, args[1] ?? 0n);
  const donePointer = args[2] ?? 0n;
  const count = Number(countArgument & ~PREEMPTED);
  let before = 0;
  if ((countArgument & PREEMPTED) !== 0n && donePointer !== 0n) {
    const bytes = loadFromGuest(hypervisor, vcpu, donePointer, 4);
    if (bytes === undefined) return BigInt(-EFAULT);
    before = new DataView(bytes.buffer).getUint32(0, true);
  }
  if (!guestArrayOk(vcpu, array, BigInt(count), elementBytes)) return BigInt(-EFAULT);
  let result = 0;
  let handled = 0;
  let sliceEnd = Math.min(count, SLICE);
  while (handled < count) {
    if (handled === sliceEnd) {
      const next = [array + BigInt(handled * elementBytes), BigInt(count - handled) | PREEMPTED, donePointer, ...args.slice(3)];
      if (proceed(next)) {
        writeDone(hypervisor, vcpu, donePointer, before + handled);
        return 'restart';
      }
      sliceEnd = count;
    }
    const bytes = loadFromGuest(hypervisor, vcpu, array + BigInt(handled * elementBytes), elementBytes);
    if (bytes === undefined) {
      result = -EFAULT;
      break;
    }
    result = handle(new DataView(bytes.buffer));
    if (result < 0) break;
    handled++;
  }
  // Written on success, too: some guests look at nothing else. A pointer that cannot be written is no error.
  writeDone(hypervisor, vcpu, donePointer, before + handled);
  return BigInt(result);
}

function writeDone(hypervisor: Hypervisor, vcpu: Vcpu, pointer: bigint, count: number): void {
  if (pointer === 0n) return;
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, count, true);
  copyToGuest(hypervisor, vcpu, pointer, bytes);
}
