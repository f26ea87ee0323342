/**
 * Interface of full (HVM) domains: hvm_op and its parameters, the hypercall page of VMCALL stubs, the CPUID leaves, and
 * the first context of a vCPU.
 * Sources: Xen public/hvm/hvm_op.h, hvm/params.h, hvm/hvm_vcpu.h, arch-x86/cpuid.h, memory.h (XENMAPSPACE_*).
 */

import { struct } from './layout.ts';

export const HVMOP_set_param = 0;
export const HVMOP_get_param = 1;
export const HVMOP_flush_tlbs = 5;
export const HVMOP_set_evtchn_upcall_vector = 23;
export const hvmOpNames: readonly (string | undefined)[] = Object.assign(new Array<string | undefined>(26).fill(undefined), {
  0: 'set_param',
  1: 'get_param',
  2: 'set_pci_intx_level',
  3: 'set_isa_irq_level',
  4: 'set_pci_link_route',
  5: 'flush_tlbs',
  9: 'pagetable_dying',
  10: 'get_time',
  15: 'get_mem_type',
  23: 'set_evtchn_upcall_vector',
  24: 'guest_request_vm_event',
  25: 'altp2m',
});

export const xen_hvm_param = struct('xen_hvm_param', 16, { domid: [0, 'u16'], index: [4, 'u32'], value: [8, 'u64'] });
export const xen_hvm_evtchn_upcall_vector = struct('xen_hvm_evtchn_upcall_vector', 8, { vcpu: [0, 'u32'], vector: [4, 'u8'] });

export const HVM_PARAM_CALLBACK_IRQ = 0;
export const HVM_PARAM_STORE_PFN = 1;
export const HVM_PARAM_STORE_EVTCHN = 2;
export const HVM_PARAM_VM86_TSS = 15;
export const HVM_PARAM_CONSOLE_PFN = 17;
export const HVM_PARAM_CONSOLE_EVTCHN = 18;
export const HVM_PARAM_ACPI_IOPORTS_LOCATION = 19;
export const HVM_PARAM_VM_GENERATION_ID_ADDR = 34;
export const HVM_PARAM_ALTP2M = 35;
export const HVM_PARAM_X87_FIP_WIDTH = 36;
export const HVM_PARAM_VM86_TSS_SIZED = 37;
export const HVM_NR_PARAMS = 39;

/** Bits 63:56 of HVM_PARAM_CALLBACK_IRQ. */
export const HVM_PARAM_CALLBACK_TYPE_GSI = 0n;
export const HVM_PARAM_CALLBACK_TYPE_PCI_INTX = 1n;
export const HVM_PARAM_CALLBACK_TYPE_VECTOR = 2n;

export const XENMAPSPACE_shared_info = 0;
export const XENMAPSPACE_grant_table = 1;
export const xen_add_to_physmap = struct('xen_add_to_physmap', [16, 24], {
  domid: [0, 'u16'],
  size: [2, 'u16'],
  space: [4, 'u32'],
  idx: [8, 'word'],
  gpfn: [[12, 16], 'word'],
});

export const VCPU_HVM_MODE_32B = 0;
export const VCPU_HVM_MODE_64B = 1;
export const VCPU_HVM_CONTEXT_BYTES = 128;
/** The union's two blocks begin at offset 8. Attributes (`_ar`) are type, S, DPL, P in bits 7:0, then AVL, L, D/B, G. */
export const vcpu_hvm_context_32 = struct('vcpu_hvm_context (32-bit)', VCPU_HVM_CONTEXT_BYTES, {
  mode: [0, 'u32'],
  eax: [8, 'u32'],
  ecx: [12, 'u32'],
  edx: [16, 'u32'],
  ebx: [20, 'u32'],
  esp: [24, 'u32'],
  ebp: [28, 'u32'],
  esi: [32, 'u32'],
  edi: [36, 'u32'],
  eip: [40, 'u32'],
  eflags: [44, 'u32'],
  cr0: [48, 'u32'],
  cr3: [52, 'u32'],
  cr4: [56, 'u32'],
  efer: [64, 'u64'],
  cs_base: [72, 'u32'],
  ds_base: [76, 'u32'],
  ss_base: [80, 'u32'],
  es_base: [84, 'u32'],
  tr_base: [88, 'u32'],
  cs_limit: [92, 'u32'],
  ds_limit: [96, 'u32'],
  ss_limit: [100, 'u32'],
  es_limit: [104, 'u32'],
  tr_limit: [108, 'u32'],
  cs_ar: [112, 'u16'],
  ds_ar: [114, 'u16'],
  ss_ar: [116, 'u16'],
  es_ar: [118, 'u16'],
  tr_ar: [120, 'u16'],
});
export const vcpu_hvm_context_64 = struct('vcpu_hvm_context (64-bit)', VCPU_HVM_CONTEXT_BYTES, {
  mode: [0, 'u32'],
  rax: [8, 'u64'],
  rcx: [16, 'u64'],
  rdx: [24, 'u64'],
  rbx: [32, 'u64'],
  rsp: [40, 'u64'],
  rbp: [48, 'u64'],
  rsi: [56, 'u64'],
  rdi: [64, 'u64'],
  rip: [72, 'u64'],
  rflags: [80, 'u64'],
  cr0: [88, 'u64'],
  cr3: [96, 'u64'],
  cr4: [104, 'u64'],
  efer: [112, 'u64'],
});

/** MSR through which a guest has the hypercall page written: gfn << 12 | page index. */
export const MSR_HYPERCALL_PAGE = 0x4000_0000;
/** First of the hypervisor's CPUID leaves. */
export const HYPERVISOR_LEAF = 0x4000_0000;

const stubBytes = 32;
const stubs = 128;
const iret = 23;

/** 128 stubs: mov eax, n; vmcall; ret. The iret stub is ud2. */
export function hvmHypercallPage(): Uint8Array {
  const page = new Uint8Array(stubs * stubBytes);
  for (let n = 0; n < stubs; n++) page.set(n === iret ? [0x0f, 0x0b] : [0xb8, n, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3], n * stubBytes);
  return page;
}
