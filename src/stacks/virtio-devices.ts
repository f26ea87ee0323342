/** The devices on PCI that a run's options ask for: entropy by its seed, then the disks. Multiboot kernels get them, too. */
import { VirtioBlock } from '../devices/virtio/block.ts';
import type { VirtioDevice } from '../devices/virtio/device.ts';
import { VirtioEntropy } from '../devices/virtio/entropy.ts';
import { OverlayImage } from '../devices/virtio/overlay-image.ts';
import type { StackOptions } from './stack.ts';

export function virtioDevices(options: StackOptions, tscKhz: number): VirtioDevice[] {
  const disks = (options.disks ?? []).map(({ name, medium }) => new VirtioBlock(new OverlayImage(medium), name, tscKhz));
  return [new VirtioEntropy(options.seed ?? 0n), ...disks];
}
