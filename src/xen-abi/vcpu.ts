/** Xen public/vcpu.h and the vCPU context of arch-x86/xen.h. */

import { struct } from './layout.ts';

export const VCPUOP_initialise = 0;
export const VCPUOP_up = 1;
export const VCPUOP_down = 2;
export const VCPUOP_is_up = 3;
export const VCPUOP_get_runstate_info = 4;
export const VCPUOP_register_runstate_memory_area = 5;
export const VCPUOP_set_periodic_timer = 6;
export const VCPUOP_stop_periodic_timer = 7;
export const VCPUOP_set_singleshot_timer = 8;
export const VCPUOP_stop_singleshot_timer = 9;
export const VCPUOP_register_vcpu_info = 10;
export const VCPUOP_send_nmi = 11;
export const VCPUOP_get_physid = 12;
export const VCPUOP_register_vcpu_time_memory_area = 13;
export const vcpuOpNames = [
  'initialise',
  'up',
  'down',
  'is_up',
  'get_runstate_info',
  'register_runstate_memory_area',
  'set_periodic_timer',
  'stop_periodic_timer',
  'set_singleshot_timer',
  'stop_singleshot_timer',
  'register_vcpu_info',
  'send_nmi',
  'get_physid',
  'register_vcpu_time_memory_area',
] as const;

export const VCPU_SSHOTTMR_future = 1;
export const XEN_RUNSTATE_UPDATE = 1n << 63n;

export const vcpu_runstate_info = struct('vcpu_runstate_info', [44, 48], {
  state: [0, 'u32'],
  state_entry_time: [[4, 8], 'u64'],
  time: [[12, 16], 'bytes32'],
});
export const vcpu_set_periodic_timer = struct('vcpu_set_periodic_timer', 8, { period_ns: [0, 'u64'] });
export const vcpu_set_singleshot_timer = struct('vcpu_set_singleshot_timer', [12, 16], {
  timeout_abs_ns: [0, 'u64'],
  flags: [8, 'u32'],
});
export const vcpu_register_vcpu_info = struct('vcpu_register_vcpu_info', 16, {
  mfn: [0, 'u64'],
  offset: [8, 'u32'],
});

export const cpu_user_regs = struct('cpu_user_regs', 200, {
  r15: [0, 'u64'],
  r14: [8, 'u64'],
  r13: [16, 'u64'],
  r12: [24, 'u64'],
  rbp: [32, 'u64'],
  rbx: [40, 'u64'],
  r11: [48, 'u64'],
  r10: [56, 'u64'],
  r9: [64, 'u64'],
  r8: [72, 'u64'],
  rax: [80, 'u64'],
  rcx: [88, 'u64'],
  rdx: [96, 'u64'],
  rsi: [104, 'u64'],
  rdi: [112, 'u64'],
  error_code: [120, 'u32'],
  entry_vector: [124, 'u32'],
  rip: [128, 'u64'],
  cs: [136, 'u16'],
  saved_upcall_mask: [140, 'u8'],
  rflags: [144, 'u64'],
  rsp: [152, 'u64'],
  ss: [160, 'u16'],
  es: [168, 'u16'],
  ds: [176, 'u16'],
  fs: [184, 'u16'],
  gs: [192, 'u16'],
});
export const cpu_user_regs_32 = struct('cpu_user_regs (32-bit)', 68, {
  ebx: [0, 'u32'],
  ecx: [4, 'u32'],
  edx: [8, 'u32'],
  esi: [12, 'u32'],
  edi: [16, 'u32'],
  ebp: [20, 'u32'],
  eax: [24, 'u32'],
  error_code: [28, 'u16'],
  entry_vector: [30, 'u16'],
  eip: [32, 'u32'],
  cs: [36, 'u16'],
  saved_upcall_mask: [38, 'u8'],
  eflags: [40, 'u32'],
  esp: [44, 'u32'],
  ss: [48, 'u16'],
  es: [52, 'u16'],
  ds: [56, 'u16'],
  fs: [60, 'u16'],
  gs: [64, 'u16'],
});
export const trap_info = struct('trap_info', [8, 16], {
  vector: [0, 'u8'],
  flags: [1, 'u8'],
  cs: [2, 'u16'],
  address: [[4, 8], 'word'],
});
export const vcpu_guest_context = struct('vcpu_guest_context', [2800, 5168], {
  fpu_ctxt: [0, 'bytes512'],
  flags: [512, 'word'],
  user_regs: [[516, 520], 'bytes200'], // only 68 of them in the 32-bit ABI
  trap_ctxt: [[584, 720], 'bytes2048'], // 256 trap_info; 4096 bytes in the 64-bit ABI
  ldt_base: [[2632, 4816], 'word'],
  ldt_ents: [[2636, 4824], 'word'],
  gdt_frames: [[2640, 4832], 'word'], // first of 16
  gdt_ents: [[2704, 4960], 'word'],
  kernel_ss: [[2708, 4968], 'word'],
  kernel_sp: [[2712, 4976], 'word'],
  ctrlreg: [[2716, 4984], 'word'], // first of 8
  debugreg: [[2748, 5048], 'word'], // first of 8
  event_callback_eip: [[2784, 5112], 'word'],
  failsafe_callback_eip: [[2792, 5120], 'word'],
  vm_assist: [[2796, 5136], 'word'],
});
/** Fields that only one of the ABIs has. */
export const vcpu_guest_context_64 = struct('vcpu_guest_context (64-bit)', 5168, {
  ctrlreg0: [4984, 'u64'],
  ctrlreg1: [4992, 'u64'],
  ctrlreg3: [5008, 'u64'],
  ctrlreg4: [5016, 'u64'],
  syscall_callback_eip: [5128, 'u64'],
  fs_base: [5144, 'u64'],
  gs_base_kernel: [5152, 'u64'],
  gs_base_user: [5160, 'u64'],
});
export const vcpu_guest_context_32 = struct('vcpu_guest_context (32-bit)', 2800, {
  ctrlreg3: [2728, 'u32'],
  event_callback_cs: [2780, 'u32'],
  failsafe_callback_cs: [2788, 'u32'],
});
export const VGCF_i387_valid = 1;
export const VGCF_in_kernel = 4;
export const VGCF_failsafe_disables_events = 8;
export const VGCF_syscall_disables_events = 16;
export const VGCF_online = 32;
