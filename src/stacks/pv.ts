/** One layer of Xen on the bare machine, with the guest as a PV domain that Dom0 builds. */
import { DEFAULT_MEMORY_MIB, StackHost } from './host.ts';
import type { Stack, StackOptions } from './stack.ts';
import { startDom0 } from './xen-layer.ts';

export function buildPv(options: StackOptions): Stack {
  const memoryMiB = options.memoryMiB ?? DEFAULT_MEMORY_MIB;
  const host = new StackHost(options, 2, memoryMiB);
  const xen = host.layer({ platform: host.platform, layer: 0 }, true);
  xen.dom0.submit({
    kind: 'create',
    config: { name: 'guest', kernel: options.image, memoryMiB, commandLine: options.commandLine ?? '', onShutdown: 'preserve' },
  });
  startDom0(xen);
  return host.stack('pv', 1);
}
