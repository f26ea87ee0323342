/** Xen public/physdev.h: what a domain without devices needs of it. */

import { struct } from './layout.ts';

export const PHYSDEVOP_irq_status_query = 5;
export const PHYSDEVOP_set_iopl = 6;
export const PHYSDEVOP_set_iobitmap = 7;
export const PHYSDEVOP_apic_read = 8;
export const PHYSDEVOP_apic_write = 9;
export const PHYSDEVOP_alloc_irq_vector = 10;
export const PHYSDEVOP_eoi = 12;
export const PHYSDEVOP_map_pirq = 13;
export const PHYSDEVOP_unmap_pirq = 14;
export const PHYSDEVOP_pirq_eoi_gmfn_v1 = 17;
export const PHYSDEVOP_pirq_eoi_gmfn_v2 = 28;
export const physdevOpNames: readonly (string | undefined)[] = Object.assign(new Array<string | undefined>(33).fill(undefined), {
  5: 'irq_status_query',
  6: 'set_iopl',
  7: 'set_iobitmap',
  8: 'apic_read',
  9: 'apic_write',
  10: 'alloc_irq_vector',
  12: 'eoi',
  13: 'map_pirq',
  14: 'unmap_pirq',
  15: 'manage_pci_add',
  16: 'manage_pci_remove',
  17: 'pirq_eoi_gmfn_v1',
  19: 'restore_msi',
  20: 'manage_pci_add_ext',
  21: 'setup_gsi',
  23: 'get_free_pirq',
  24: 'pci_mmcfg_reserved',
  25: 'pci_device_add',
  26: 'pci_device_remove',
  27: 'restore_msi_ext',
  28: 'pirq_eoi_gmfn_v2',
  29: 'dbgp_op',
  30: 'prepare_msix',
  31: 'release_msix',
  32: 'pci_device_reset',
});

export const physdev_set_iopl = struct('physdev_set_iopl', 4, { iopl: [0, 'u32'] });
export const physdev_set_iobitmap = struct('physdev_set_iobitmap', [8, 16], {
  bitmap: [0, 'word'],
  nr_ports: [[4, 8], 'u32'],
});
export const physdev_irq_status_query = struct('physdev_irq_status_query', 8, { irq: [0, 'u32'], flags: [4, 'u32'] });
export const physdev_pirq_eoi_gmfn = struct('physdev_pirq_eoi_gmfn', [4, 8], { gmfn: [0, 'word'] });
