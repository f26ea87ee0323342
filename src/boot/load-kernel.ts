/** Loads a kernel by whichever protocol its image offers: multiboot first, then Linux, then PVH. */
import { ConfigError } from '../base/errors.ts';
import { type BootOptions, type FlatStart, isLinuxImage, loadLinux } from './linux.ts';
import type { LoaderMemory } from './memory-map.ts';
import { findMultibootHeader, loadMultiboot } from './multiboot.ts';
import { isPvhImage, loadPvh } from './pvh.ts';

/** @throws {ConfigError} when the image offers none of them, is damaged, or does not fit. */
export function loadKernel(memory: LoaderMemory, image: Uint8Array, options: BootOptions): FlatStart {
  if (findMultibootHeader(image) >= 0) {
    if (options.ramdisk !== undefined) throw new ConfigError(`${options.name}: a multiboot kernel takes no ramdisk here`);
    return loadMultiboot(memory, image, options.name, options.commandLine);
  }
  if (isLinuxImage(image)) return loadLinux(memory, image, options);
  if (isPvhImage(image)) return loadPvh(memory, image, options);
  throw new ConfigError(`${options.name}: no multiboot header, no Linux header and no PVH note`);
}
