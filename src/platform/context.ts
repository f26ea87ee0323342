/** Register state of one vCPU while it is not running: plain data, made by {@link newCpuContext}. */

export interface SegmentState {
  selector: number;
  base: bigint;
  /** In bytes, inclusive, after granularity. */
  limit: number;
  /** Descriptor bits 8..15 and 20..23 as in the second dword of a descriptor, shifted right by 8: type, S, DPL, P, AVL, L, D/B, G. */
  attributes: number;
}

export interface CpuContext {
  gpr: BigUint64Array; // 16, encoding order
  rip: bigint;
  rflags: bigint;
  segments: SegmentState[]; // ES CS SS DS FS GS
  kernelGsBase: bigint;
  cr0: bigint;
  cr2: bigint;
  cr3: bigint;
  cr4: bigint;
  efer: bigint;
  star: bigint;
  lstar: bigint;
  cstar: bigint;
  fmask: bigint;
  sysenterCs: bigint;
  sysenterEsp: bigint;
  sysenterEip: bigint;
  pat: bigint;
  tscAux: bigint;
  xcr0: bigint;
  gdtr: { base: bigint; limit: number };
  idtr: { base: bigint; limit: number };
  ldtr: SegmentState;
  tr: SegmentState;
  debug: BigUint64Array; // DR0..DR3, DR6, DR7
  /** FXSAVE image: x87, MXCSR, XMM0..15. */
  fxsave: Uint8Array; // 512
  /** Bits 255:128 of the 16 vector registers, two words each. */
  upperHalves: BigUint64Array;
  /** 1 while interrupts are held off by MOV SS or STI. */
  interruptShadow: number;
  halted: boolean;
}

export function newCpuContext(): CpuContext {
  const segment = (): SegmentState => ({ selector: 0, base: 0n, limit: 0, attributes: 0 });
  const fxsave = new Uint8Array(512);
  fxsave[0] = 0x7f; // FCW 037F
  fxsave[1] = 0x03;
  fxsave[24] = 0x80; // MXCSR 1F80
  fxsave[25] = 0x1f;
  return {
    gpr: new BigUint64Array(16),
    rip: 0n,
    rflags: 2n,
    segments: [segment(), segment(), segment(), segment(), segment(), segment()],
    kernelGsBase: 0n,
    cr0: 0n,
    cr2: 0n,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
    star: 0n,
    lstar: 0n,
    cstar: 0n,
    fmask: 0n,
    sysenterCs: 0n,
    sysenterEsp: 0n,
    sysenterEip: 0n,
    pat: 0x0007040600070406n,
    tscAux: 0n,
    xcr0: 1n,
    gdtr: { base: 0n, limit: 0 },
    idtr: { base: 0n, limit: 0 },
    ldtr: segment(),
    tr: segment(),
    debug: new BigUint64Array([0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n]),
    fxsave,
    upperHalves: new BigUint64Array(32),
    interruptShadow: 0,
    halted: false,
  };
}
