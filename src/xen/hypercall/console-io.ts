/**
 * HYPERVISOR_console_io (18): the hypervisor's own console, which belongs to Dom0, as in a release build of Xen. Each
 * line that is written is reported with its domain.
 * Source: Xen public/xen.h CONSOLEIO_*.
 */

import { E2BIG, EFAULT, ENOSYS, EPERM } from '../../xen-abi/errno.ts';
import { CONSOLEIO_read, CONSOLEIO_write, VIRQ_CONSOLE } from '../../xen-abi/xen.ts';
import type { Domain } from '../domain.ts';
import { sendGlobalVirq } from '../event-delivery.ts';
import { copyToGuest, guestRangeOk, loadFromGuest } from '../guest-access.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { type Hypercall, result, subOperation } from './table.ts';

const pieceBytes = 128;
const longestLine = 256;
const largestCount = 0x7fff_ffffn;

export const consoleIo: Hypercall = {
  number: 18,
  name: 'console_io',
  argumentCount: 3,
  suffix: subOperation(['write', 'read']),
  handler(hypervisor, vcpu, args) {
    const command = Number(BigInt.asUintN(32, args[0] ?? 0n));
    const count = BigInt.asUintN(32, args[1] ?? 0n);
    const pointer = args[2] ?? 0n;
    const { domain } = vcpu;
    if (domain.id !== 0) return BigInt(-EPERM);
    switch (command) {
      case CONSOLEIO_write: {
        if (!guestRangeOk(vcpu, pointer, count)) return BigInt(-EFAULT);
        for (let done = 0n; done < count; done += BigInt(pieceBytes)) {
          const length = Number(count - done < BigInt(pieceBytes) ? count - done : pieceBytes);
          const piece = loadFromGuest(hypervisor, vcpu, pointer + done, length);
          if (piece === undefined) return BigInt(-EFAULT);
          write(hypervisor, domain, piece);
        }
        return 0n;
      }
      case CONSOLEIO_read: {
        if (count > largestCount) return BigInt(-E2BIG);
        const bytes = hypervisor.consoleInput.slice(0, Number(count));
        if (bytes.length === 0) return 0n;
        const copied = copyToGuest(hypervisor, vcpu, pointer, Uint8Array.from(bytes));
        if (copied < 0) return result(copied);
        hypervisor.consoleInput.splice(0, bytes.length);
        return BigInt(bytes.length);
      }
      default:
        hypervisor.unknown(domain, 'sub-operation', `console_io.${command}`);
        return BigInt(-ENOSYS);
    }
  },
};

/** Buffers until a newline; bytes that cannot be printed are dropped. */
function write(hypervisor: Hypervisor, domain: Domain, bytes: Uint8Array): void {
  for (const byte of bytes) {
    if (byte !== 0x0a) {
      if ((byte >= 0x20 && byte < 0x7f) || byte === 0x09) domain.consoleLine += String.fromCharCode(byte);
      if (domain.consoleLine.length < longestLine) continue;
    }
    hypervisor.guestLine(domain, domain.consoleLine);
    domain.consoleLine = '';
  }
}

/** Input of the hypervisor's console, which belongs to Dom0. No bytes: only makes Dom0 look. */
export function pushConsoleInput(hypervisor: Hypervisor, bytes: Uint8Array): void {
  for (const byte of bytes) hypervisor.consoleInput.push(byte);
  sendGlobalVirq(hypervisor, VIRQ_CONSOLE);
}
