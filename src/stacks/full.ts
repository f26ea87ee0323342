/**
 * Full virtualization on the bare machine: the Baseline's kernel, unmodified, in a full domain that Dom0 builds. The
 * columns HVM and KVM are the same hypervisor with another profile.
 */
import { FullDomains } from '../xen/hvm/full-domains.ts';
import { FULL_PROFILES, type FullProfile } from '../xen/hvm/profile.ts';
import { DEFAULT_MEMORY_MIB, StackHost } from './host.ts';
import type { Stack, StackOptions } from './stack.ts';
import { virtioDevices } from './virtio-devices.ts';
import { startDom0 } from './xen-layer.ts';

export type Bottom = 'kvm' | 'hvm';

/** The profile of a stack's bottom layer, with what an ablation changes. */
export function fullProfile(bottom: Bottom, options: StackOptions): FullProfile {
  const profile = FULL_PROFILES[bottom === 'kvm' ? 'kvm' : 'xen'];
  const largestLeaf = options.settings?.secondStageLeafShift?.[bottom] ?? profile.largestLeaf;
  return { ...profile, largestLeaf };
}

export function buildFull(options: StackOptions, bottom: Bottom): Stack {
  const memoryMiB = options.memoryMiB ?? DEFAULT_MEMORY_MIB;
  const vcpus = options.vcpus ?? 1;
  // Each vCPU has a processor of its own, Dom0's services the last one.
  const host = new StackHost(options, vcpus + 1, memoryMiB);
  if (vcpus > 1) host.machine.keepOneClock();
  const full = new FullDomains(fullProfile(bottom, options), { virtio: () => virtioDevices(options, host.machine.tscKhz) });
  const xen = host.layer({ platform: host.platform, layer: 0, kinds: [full] }, true);
  xen.dom0.submit({
    kind: 'create',
    config: {
      type: 'full',
      name: 'guest',
      kernel: options.image,
      memoryMiB,
      commandLine: options.commandLine ?? '',
      ...(options.ramdisk && { ramdisk: options.ramdisk }),
      vcpus,
      onShutdown: 'preserve',
    },
  });
  startDom0(xen);
  return host.stack(bottom, 1);
}
