/** The parts of the paravirtual half of one hypervisor, handed to the paths that need more than one of them. */
import type { Decoder } from '../../x86/decode.ts';
import type { Hypervisor } from '../hypervisor.ts';
import type { DescriptorTables } from './descriptor-tables.ts';
import type { PageTables } from './page-tables.ts';
import type { XenSlots } from './xen-slots.ts';

export interface Pv {
  readonly hypervisor: Hypervisor;
  readonly slots: XenSlots;
  readonly tables: PageTables;
  readonly descriptors: DescriptorTables;
  readonly decoder: Decoder;
}
