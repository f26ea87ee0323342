/**
 * Two layers: a second Xen in a full domain of the first layer (Xen or KVM), with its own Dom0 and the guest as a PV
 * domain of it. The second layer is built by the same calls as the first, on another platform.
 * The domain in between has two vCPUs: the guest's, and one for its Dom0 (Williams et al., EuroSys 2012, §5).
 */
import { ConfigError } from '../base/errors.ts';
import { Passthrough } from '../nesting/passthrough.ts';
import { VIRQ_CONSOLE } from '../xen-abi/xen.ts';
import { sendGlobalVirq } from '../xen/event-delivery.ts';
import { fullDomainPlatform } from '../xen/hvm/full-domain-platform.ts';
import { FullDomains } from '../xen/hvm/full-domains.ts';
import { type Bottom, fullProfile } from './full.ts';
import { DEFAULT_MEMORY_MIB, LAYER_MIB, StackHost } from './host.ts';
import type { Stack, StackOptions } from './stack.ts';
import { startDom0 } from './xen-layer.ts';

const CPUS = 3;
const BLANKET_VCPUS = 2;

export function buildNested(options: StackOptions, bottom: Bottom): Stack {
  const memoryMiB = options.memoryMiB ?? DEFAULT_MEMORY_MIB;
  const blanketMiB = memoryMiB + LAYER_MIB;
  const host = new StackHost(options, CPUS, blanketMiB);
  const full = new FullDomains(fullProfile(bottom, options));
  let blanket: number | undefined;
  const lower = host.layer({ platform: host.platform, layer: 0, kinds: [full] }, false, {
    created: ({ domid }) => {
      blanket = domid;
    },
  });
  lower.dom0.submit({
    kind: 'create',
    paused: true,
    config: { name: 'blanket', type: 'full', memoryMiB: blanketMiB, vcpus: BLANKET_VCPUS, onShutdown: 'preserve' },
  });
  startDom0(lower);
  host.settle();
  const domain = lower.hypervisor.domain(blanket ?? -1);
  if (domain === undefined) throw new ConfigError('the domain of the second layer was not created');
  const platform = fullDomainPlatform({
    hypervisor: lower.hypervisor,
    kind: full,
    domain,
    ...(options.settings?.nestedFlush === 'cr4-pge' && { globalFlush: 'toggle-pge' }),
  });
  const upper = host.layer({ platform, layer: 1, hypercalls: new Passthrough().hypercalls, layerBelow: true }, true);
  upper.dom0.submit({
    kind: 'create',
    config: { name: 'guest', kernel: options.image, memoryMiB, commandLine: options.commandLine ?? '', onShutdown: 'preserve' },
  });
  startDom0(upper);
  lower.dom0.submit({ kind: 'unpause', domid: domain.id });
  sendGlobalVirq(lower.hypervisor, VIRQ_CONSOLE);
  return host.stack(`pv/${bottom}`, 2);
}
