/**
 * From a full domain's serial port to its console ring, and back: the ring page lies at HVM_PARAM_CONSOLE_PFN, its event
 * channel is HVM_PARAM_CONSOLE_EVTCHN. Bytes go in lines, so that Dom0 is woken once a line; what does not fit stays in
 * `output` until the next occasion. The port belongs to the hypervisor: its events are not the guest's (consumeEvent).
 * Source: Xen public/io/console.h.
 */

import type { SharedPage } from '../../xen-abi/io/byte-ring.ts';
import { putBytes, takeBytes } from '../../xen-abi/io/byte-ring.ts';
import { consoleRing } from '../../xen-abi/io/console.ts';
import { HVM_PARAM_CONSOLE_EVTCHN, HVM_PARAM_CONSOLE_PFN } from '../../xen-abi/hvm.ts';
import { sendEvent } from '../event-channel.ts';
import type { Hypervisor } from '../hypervisor.ts';
import { frameBytes } from '../shared-info.ts';
import type { FullDomain } from './full-domain.ts';

const newline = 0x0a;
const longestPart = 128;
/** A guest that prints without a reader loses what is above this. */
const mostWaiting = 1 << 20;

export function transmitByte(hypervisor: Hypervisor, full: FullDomain, byte: number): void {
  if (full.output.length < mostWaiting) full.output.push(byte);
  if (byte === newline || full.output.length >= longestPart) flushOutput(hypervisor, full);
}

/** Moves what fits. Also called when the guest halts, ends, or its timer is due. */
export function flushOutput(hypervisor: Hypervisor, full: FullDomain): void {
  if (full.output.length === 0) return;
  const page = ringPage(hypervisor, full);
  if (page === undefined) return;
  const written = putBytes(page, consoleRing.out, Uint8Array.from(full.output.slice(0, consoleRing.out.size))) ?? 0;
  if (written === 0) return;
  full.output.splice(0, written);
  sendEvent(hypervisor, full.domain, Number(full.params[HVM_PARAM_CONSOLE_EVTCHN]));
}

/** Input that Dom0 has put into the ring goes to the serial port. */
export function receiveInput(hypervisor: Hypervisor, full: FullDomain): void {
  const page = ringPage(hypervisor, full);
  const bytes = page === undefined ? undefined : takeBytes(page, consoleRing.in, consoleRing.in.size);
  if (bytes === undefined || bytes.length === 0) return;
  for (const byte of bytes) full.devices.serial.receive(byte);
  sendEvent(hypervisor, full.domain, Number(full.params[HVM_PARAM_CONSOLE_EVTCHN]));
}

function ringPage(hypervisor: Hypervisor, full: FullDomain): SharedPage | undefined {
  const guestFrame = Number(full.params[HVM_PARAM_CONSOLE_PFN]);
  const frame = guestFrame === 0 ? -1 : full.physmap.machineFrame(guestFrame);
  if (frame < 0) return undefined;
  const { memory } = hypervisor;
  const base = frame * frameBytes;
  return {
    read: (offset, length) => memory.readBytes(base + offset, length),
    write: (offset, bytes) => memory.writeBytes(base + offset, bytes),
    readU32: (offset) => memory.readU32(base + offset),
    writeU32: (offset, value) => memory.writeU32(base + offset, value),
  };
}
