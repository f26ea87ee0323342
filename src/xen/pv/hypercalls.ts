/**
 * The hypercalls that only paravirtual domains have: numbers, names, arguments; the work is in the files of their jobs.
 * Numbers: Xen public/xen.h.
 */
import { EFAULT, ENOSYS } from '../../xen-abi/errno.ts';
import { Hypercall as Call } from '../../xen-abi/xen.ts';
import { type Hypercall, type HypercallHandler, result, subOperation } from '../hypercall/table.ts';
import type { PvVcpu, Vcpu } from '../vcpu.ts';
import { callbackOp, setCallbacks, setNmiCallback, setTrapTable } from './callbacks.ts';
import { Cost } from './cost-rows.ts';
import { getDebugRegister, setDebugRegister } from './debug-registers.ts';
import { loadFromGuest } from '../guest-access.ts';
import { mmuUpdate } from './hypercall-mmu-update.ts';
import { mmuextOp } from './hypercall-mmuext-op.ts';
import { updateVaMapping } from './hypercall-update-va-mapping.ts';
import { iret } from './iret.ts';
import type { Pv } from './pv.ts';
import { setSegmentBase } from './segment-base.ts';
import { setTaskSwitched } from './control-registers.ts';

const u32 = (value: bigint | undefined): number => Number(BigInt.asUintN(32, value ?? 0n));
const stateOf = (vcpu: Vcpu): PvVcpu => vcpu.pv as PvVcpu;
/** RAX of a SYSCALL that is not inside a multicall. */
const isDirect = (pv: Pv, vcpu: Vcpu, number: number): boolean => pv.hypervisor.cpuOf(vcpu).gpr(0) === BigInt(number);
const callbackNames = ['register', 'unregister'];
const segmentBaseNames = ['FS', 'GS_USER', 'GS_KERNEL', 'GS_USER_SEL'];

/** `parts` gives the paravirtual parts of the hypervisor that owns the table. */
export function pvHypercalls(parts: () => Pv): readonly Hypercall[] {
  const row = (
    number: number,
    name: string,
    argumentCount: number,
    handler: HypercallHandler,
    more: Pick<Hypercall, 'suffix' | 'cost'> = {},
  ): Hypercall => ({ number, name, argumentCount, handler, callers: 'pv', ...more });
  const own = { cost: 'own' } as const;

  return [
    row(Call.set_trap_table, 'set_trap_table', 1, (hypervisor, vcpu, [pointer = 0n]) => result(setTrapTable(hypervisor, vcpu, pointer))),
    row(Call.mmu_update, 'mmu_update', 4, (hypervisor, vcpu, args) => mmuUpdate(parts().tables, hypervisor, vcpu, args), own),
    row(Call.set_gdt, 'set_gdt', 2, (_hypervisor, vcpu, [list = 0n, entries]) =>
      result(parts().descriptors.setGdtFromGuest(vcpu, list, u32(entries))),
    ),
    row(
      Call.stack_switch,
      'stack_switch',
      2,
      (hypervisor, vcpu, [ss = 0n, sp = 0n]) => {
        const direct = isDirect(parts(), vcpu, Call.stack_switch);
        hypervisor.cpuOf(vcpu).charge(direct ? Cost.nullHypercall : Cost.stackSwitch);
        const state = stateOf(vcpu);
        state.kernelSs = Number(ss & 0xffffn) | 3;
        state.kernelSp = sp;
        return 0n;
      },
      own,
    ),
    row(Call.set_callbacks, 'set_callbacks', 3, (_hypervisor, vcpu, [event = 0n, failsafe = 0n, syscall = 0n]) => {
      setCallbacks(stateOf(vcpu), event, failsafe, syscall);
      return 0n;
    }),
    row(Call.fpu_taskswitch, 'fpu_taskswitch', 1, (hypervisor, vcpu, [set = 0n]) => {
      setTaskSwitched(vcpu, hypervisor.cpuOf(vcpu), BigInt.asUintN(32, set) !== 0n);
      return 0n;
    }),
    row(
      Call.set_debugreg,
      'set_debugreg',
      2,
      (hypervisor, vcpu, [register = 0n, value = 0n]) =>
        result(setDebugRegister(hypervisor, vcpu, Number(BigInt.asUintN(32, register)), value)),
      { suffix: ([register = 0n]) => `.${register}` },
    ),
    row(Call.get_debugreg, 'get_debugreg', 1, (_hypervisor, vcpu, [register]) => getDebugRegister(vcpu, u32(register))),
    row(Call.update_descriptor, 'update_descriptor', 2, (_hypervisor, vcpu, [address = 0n, descriptor = 0n]) =>
      result(parts().descriptors.updateDescriptor(vcpu.domain, address, descriptor)),
    ),
    row(
      Call.update_va_mapping,
      'update_va_mapping',
      3,
      (hypervisor, vcpu, [va = 0n, value = 0n, flags = 0n]) =>
        result(updateVaMapping(parts().tables, hypervisor, vcpu, va, value, flags, undefined)),
      { ...own, suffix: ([, , flags = 0n]) => ` flags=${flags & 3n}` },
    ),
    row(
      Call.update_va_mapping_otherdomain,
      'update_va_mapping_otherdomain',
      4,
      (hypervisor, vcpu, [va = 0n, value = 0n, flags = 0n, domid]) =>
        result(updateVaMapping(parts().tables, hypervisor, vcpu, va, value, flags, u32(domid) & 0xffff)),
      own,
    ),
    row(Call.iret, 'iret', 0, (hypervisor, vcpu) => iret(parts(), vcpu, hypervisor.cpuOf(vcpu)), own),
    row(
      Call.set_segment_base,
      'set_segment_base',
      2,
      (hypervisor, vcpu, [which = 0n, base = 0n]) =>
        result(setSegmentBase(parts(), vcpu, hypervisor.cpuOf(vcpu), BigInt.asUintN(32, which), base)),
      { ...own, suffix: subOperation(segmentBaseNames) },
    ),
    row(
      Call.mmuext_op,
      'mmuext_op',
      4,
      (hypervisor, vcpu, args) => mmuextOp(parts().tables, parts().descriptors, hypervisor, vcpu, args),
      own,
    ),
    row(
      Call.nmi_op,
      'nmi_op',
      2,
      (hypervisor, vcpu, [command, pointer = 0n]) => result(nmiOp(vcpu, u32(command), () => loadFromGuest(hypervisor, vcpu, pointer, 8))),
      { suffix: subOperation(callbackNames) },
    ),
    row(
      Call.callback_op,
      'callback_op',
      2,
      (hypervisor, vcpu, [command, pointer = 0n]) => result(callbackOp(hypervisor, vcpu, u32(command), pointer)),
      { suffix: subOperation(callbackNames) },
    ),
  ];
}

/** HYPERVISOR_nmi_op (28): the NMI callback in its older form. */
function nmiOp(vcpu: Vcpu, command: number, load: () => Uint8Array | undefined): number {
  if (command === 1) return setNmiCallback(stateOf(vcpu), 0n);
  if (command !== 0) return -ENOSYS;
  const bytes = load();
  if (bytes === undefined) return -EFAULT;
  const address = new DataView(bytes.buffer).getBigUint64(0, true);
  return setNmiCallback(stateOf(vcpu), address);
}
