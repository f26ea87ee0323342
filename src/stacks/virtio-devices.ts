/**
 * The devices on PCI that a run's options ask for: entropy by its seed, a network if
 * wanted, then the disks. Multiboot kernels get them, too.
 */
import { VirtioBlock } from '../devices/virtio/block.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { VirtioEntropy } from '../devices/virtio/entropy.ts';
import { NetworkResponder } from '../devices/network/responder.ts';
import { VirtioNet } from '../devices/virtio/net.ts';
import { OverlayImage } from '../devices/virtio/overlay-image.ts';
import type { StackOptions } from './stack.ts';

/** Locally administered. */
const GUEST_MAC = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

export function virtioDevices(options: StackOptions, tscKhz: number): VirtioDevice[] {
  const disks = (options.disks ?? []).map(({ name, medium }) => new VirtioBlock(new OverlayImage(medium), name, tscKhz));
  const network = options.network === true ? [new VirtioNet(new NetworkResponder(), GUEST_MAC, tscKhz)] : [];
  return [new VirtioEntropy(options.seed ?? 0n), ...network, ...disks];
}
