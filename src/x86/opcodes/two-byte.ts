/**
 * The two-byte (0F) and three-byte (0F 38, 0F 3A) maps without vector instructions: conditional moves, bit
 * operations, atomic operations, system instructions, hints, fences, state save; and the VEX rows of BMI.
 * Columns and defaults are explained in ../opcode-row.ts.
 * Sources: SDM 2 (instruction reference), SDM 2D §A.3 Tables; AMD APM 3 §3 for SVM, MONITORX, CLZERO.
 */

export const CONDITIONAL_OPCODES = `
@ cost=branch access=r f64
0F 80 cz | JO relz
0F 81 cz | JNO relz
0F 82 cz | JB relz
0F 83 cz | JAE relz
0F 84 cz | JE relz
0F 85 cz | JNE relz
0F 86 cz | JBE relz
0F 87 cz | JA relz
0F 88 cz | JS relz
0F 89 cz | JNS relz
0F 8A cz | JP relz
0F 8B cz | JNP relz
0F 8C cz | JL relz
0F 8D cz | JGE relz
0F 8E cz | JLE relz
0F 8F cz | JG relz
@ cost=alu access=w
0F 90 /r | SETO r/m8
0F 91 /r | SETNO r/m8
0F 92 /r | SETB r/m8
0F 93 /r | SETAE r/m8
0F 94 /r | SETE r/m8
0F 95 /r | SETNE r/m8
0F 96 /r | SETBE r/m8
0F 97 /r | SETA r/m8
0F 98 /r | SETS r/m8
0F 99 /r | SETNS r/m8
0F 9A /r | SETP r/m8
0F 9B /r | SETNP r/m8
0F 9C /r | SETL r/m8
0F 9D /r | SETGE r/m8
0F 9E /r | SETLE r/m8
0F 9F /r | SETG r/m8
@ cost=alu access=rw,r feature=CMOV
0F 40 /r | CMOVO rv, r/mv
0F 41 /r | CMOVNO rv, r/mv
0F 42 /r | CMOVB rv, r/mv
0F 43 /r | CMOVAE rv, r/mv
0F 44 /r | CMOVE rv, r/mv
0F 45 /r | CMOVNE rv, r/mv
0F 46 /r | CMOVBE rv, r/mv
0F 47 /r | CMOVA rv, r/mv
0F 48 /r | CMOVS rv, r/mv
0F 49 /r | CMOVNS rv, r/mv
0F 4A /r | CMOVP rv, r/mv
0F 4B /r | CMOVNP rv, r/mv
0F 4C /r | CMOVL rv, r/mv
0F 4D /r | CMOVGE rv, r/mv
0F 4E /r | CMOVLE rv, r/mv
0F 4F /r | CMOVG rv, r/mv
`;

export const INTEGER_OPCODES = `
@ cost=alu access=r,r u=osap
0F A3 /r | BT r/mv, rv
0F BA /4 ib | BT r/mv, imm8
@ cost=alu access=rw,r u=osap
0F AB /r | BTS r/mv, rv | | lock
0F B3 /r | BTR r/mv, rv | | lock
0F BB /r | BTC r/mv, rv | | lock
0F BA /5 ib | BTS r/mv, imm8 | | lock
0F BA /6 ib | BTR r/mv, imm8 | | lock
0F BA /7 ib | BTC r/mv, imm8 | | lock
@ cost=alu access=rw,r,r u=oac
0F A4 /r ib | SHLD r/mv, rv, imm8
0F A5 /r | SHLD r/mv, rv, CL
0F AC /r ib | SHRD r/mv, rv, imm8
0F AD /r | SHRD r/mv, rv, CL
@ cost=alu access=w,r
F3 0F B8 /r | POPCNT rv, r/mv | | feature=POPCNT
F3 0F BC /r | TZCNT rv, r/mv | | feature=BMI1 u=osap
F3 0F BD /r | LZCNT rv, r/mv | | feature=LZCNT u=osap
0F BC /r | BSF rv, r/mv | rw r | u=osapc
0F BD /r | BSR rv, r/mv | rw r | u=osapc
0F AF /r | IMUL rv, r/mv | rw r | cost=mul u=szap
0F B6 /r | MOVZX rv, r/m8
0F B7 /r | MOVZX rv, r/m16
0F BE /r | MOVSX rv, r/m8
0F BF /r | MOVSX rv, r/m16
0F C8+r | BSWAP rv | rw
NP 0F C3 /r | MOVNTI my, ry | | feature=SSE2 cost=mov
NFx 0F 38 F0 /r | MOVBE rv, mv | | feature=MOVBE cost=mov
NFx 0F 38 F1 /r | MOVBE mv, rv | | feature=MOVBE cost=mov
F2 0F 38 F0 /r | CRC32 ry, r/m8 | rw r | feature=SSE4.2
F2 0F 38 F1 /r | CRC32 ry, r/mv | rw r | feature=SSE4.2
66 0F 38 F6 /r | ADCX ry, r/my | rw r | feature=ADX
F3 0F 38 F6 /r | ADOX ry, r/my | rw r | feature=ADX
@ cost=xchg access=rw,rw
0F B0 /r | CMPXCHG r/m8, r8 | rw r | lock
0F B1 /r | CMPXCHG r/mv, rv | rw r | lock
0F C0 /r | XADD r/m8, r8 | | lock
0F C1 /r | XADD r/mv, rv | | lock
W0 0F C7 /1 | CMPXCHG8B m64 | rw | lock feature=CX8
REX.W 0F C7 /1 | CMPXCHG16B m128 | rw | lock feature=CX16
NFx 0F C7 /6 | RDRAND rv | w | reg feature=RDRAND cost=other
NFx 0F C7 /7 | RDSEED rv | w | reg feature=RDSEED cost=other
F3 0F C7 /7 | RDPID ry | w | reg f64 feature=RDPID cost=other
@ cost=alu
0F 0D /1 | PREFETCHW m8 | -
0F 0D /r | PREFETCH m8 | -
0F 18 /0 | PREFETCHNTA m8 | -
0F 18 /1 | PREFETCHT0 m8 | -
0F 18 /2 | PREFETCHT1 m8 | -
0F 18 /3 | PREFETCHT2 m8 | -
0F 18 /r | NOP r/mv | -
0F 19 /r | NOP r/mv | -
0F 1A /r | NOP r/mv | -
0F 1B /r | NOP r/mv | -
0F 1C /r | NOP r/mv | -
0F 1D /r | NOP r/mv | -
F3 0F 1E FA | ENDBR64
F3 0F 1E FB | ENDBR32
0F 1E /r | NOP r/mv | -
0F 1F /r | NOP r/mv | -
`;

export const SYSTEM_OPCODES = `
@ cost=other
0F 00 /0 | SLDT rv/m16 | w | protected
0F 00 /1 | STR rv/m16 | w | protected
0F 00 /2 | LLDT r/m16 | r | protected
0F 00 /3 | LTR r/m16 | r | protected
0F 00 /4 | VERR r/m16 | r | protected
0F 00 /5 | VERW r/m16 | r | protected
0F 01 /0 | SGDT m | w | f64
0F 01 /1 | SIDT m | w | f64
0F 01 /2 | LGDT m | r | f64
0F 01 /3 | LIDT m | r | f64
0F 01 /4 | SMSW rv/m16 | w
0F 01 /6 | LMSW r/m16 | r | cost=cr
0F 01 /7 | INVLPG m8 | - | cost=invlpg
NP 0F 01 C1 | VMCALL
NP 0F 01 C2 | VMLAUNCH | | feature=VMX
NP 0F 01 C3 | VMRESUME | | feature=VMX
NP 0F 01 C4 | VMXOFF | | feature=VMX
NP 0F 01 C8 | MONITOR | | feature=MONITOR mem=ax
NP 0F 01 C9 | MWAIT | | feature=MONITOR
NP 0F 01 CA | CLAC | | feature=SMAP
NP 0F 01 CB | STAC | | feature=SMAP
NP 0F 01 D0 | XGETBV | | feature=XSAVE
NP 0F 01 D1 | XSETBV | | feature=XSAVE
0F 01 D8 | VMRUN | | feature=SVM
0F 01 D9 | VMMCALL
0F 01 DA | VMLOAD | | feature=SVM
0F 01 DB | VMSAVE | | feature=SVM
0F 01 DC | STGI | | feature=SVM
0F 01 DD | CLGI | | feature=SVM
0F 01 DE | SKINIT | | feature=SVM
0F 01 DF | INVLPGA | | feature=SVM
NP 0F 01 EE | RDPKRU | | feature=PKU
NP 0F 01 EF | WRPKRU | | feature=PKU
0F 01 F8 | SWAPGS | | 64
0F 01 F9 | RDTSCP | | feature=RDTSCP cost=rdtsc
NP 0F 01 FA | MONITORX | | feature=MONITORX mem=ax
NP 0F 01 FB | MWAITX | | feature=MONITORX
NP 0F 01 FC | CLZERO | | feature=CLZERO mem=ax
0F 02 /r | LAR rv, r/m16 | rw r | protected
0F 03 /r | LSL rv, r/m16 | rw r | protected
0F 05 | SYSCALL | | feature=SYSCALL cost=syscall
0F 06 | CLTS | | cost=cr
0F 07 | SYSRET | | feature=SYSCALL cost=syscall
0F 08 | INVD
F3 0F 09 | WBNOINVD | | feature=WBNOINVD
0F 09 | WBINVD
0F 0B | UD2
0F B9 /r | UD1 rv, r/mv | - -
0F FF /r | UD0 rv, r/mv | - -
0F 20 /r | MOV ry, CRn | w r | f64 anymod cost=cr u=oszapc
0F 21 /r | MOV ry, DRn | w r | f64 anymod cost=cr u=oszapc
0F 22 /r | MOV CRn, ry | w r | f64 anymod cost=cr u=oszapc
0F 23 /r | MOV DRn, ry | w r | f64 anymod cost=cr u=oszapc
0F 30 | WRMSR | | feature=MSR cost=msr
0F 31 | RDTSC | | feature=TSC cost=rdtsc
0F 32 | RDMSR | | feature=MSR cost=msr
0F 33 | RDPMC | | cost=rdtsc
0F 34 | SYSENTER | | feature=SEP cost=syscall
0F 35 | SYSEXIT | | feature=SEP cost=syscall
0F A0 | PUSH FS | r | d64 cost=mov
0F A1 | POP FS | w | d64
0F A2 | CPUID | | cost=cpuid
0F A8 | PUSH GS | r | d64 cost=mov
0F A9 | POP GS | w | d64
0F AA | RSM
0F B2 /r | LSS rv, m16:v | w r
0F B4 /r | LFS rv, m16:v | w r
0F B5 /r | LGS rv, m16:v | w r
66 0F 38 82 /r | INVPCID ry, m128 | r r | f64 feature=INVPCID cost=invlpg
`;

export const STATE_OPCODES = `
@ cost=other
NP REX.W 0F AE /0 | FXSAVE64 m | w | feature=FXSR
NP 0F AE /0 | FXSAVE m | w | feature=FXSR
NP REX.W 0F AE /1 | FXRSTOR64 m | r | feature=FXSR
NP 0F AE /1 | FXRSTOR m | r | feature=FXSR
NP 0F AE /2 | LDMXCSR m32 | r | feature=SSE
NP 0F AE /3 | STMXCSR m32 | w | feature=SSE
NP REX.W 0F AE /4 | XSAVE64 m | rw | feature=XSAVE
NP 0F AE /4 | XSAVE m | rw | feature=XSAVE
NP REX.W 0F AE /5 | XRSTOR64 m | r | feature=XSAVE
NP 0F AE /5 | XRSTOR m | r | feature=XSAVE
NP REX.W 0F AE /6 | XSAVEOPT64 m | rw | feature=XSAVEOPT
NP 0F AE /6 | XSAVEOPT m | rw | feature=XSAVEOPT
NP REX.W 0F C7 /3 | XRSTORS64 m | r | feature=XSAVES
NP 0F C7 /3 | XRSTORS m | r | feature=XSAVES
NP REX.W 0F C7 /4 | XSAVEC64 m | w | feature=XSAVEC
NP 0F C7 /4 | XSAVEC m | w | feature=XSAVEC
NP REX.W 0F C7 /5 | XSAVES64 m | w | feature=XSAVES
NP 0F C7 /5 | XSAVES m | w | feature=XSAVES
66 0F AE /6 | CLWB m8 | - | feature=CLWB
NP 0F AE /7 | CLFLUSH m8 | - | feature=CLFSH
66 0F AE /7 | CLFLUSHOPT m8 | - | feature=CLFLUSHOPT
F3 0F AE /0 | RDFSBASE ry | w | reg 64 feature=FSGSBASE
F3 0F AE /1 | RDGSBASE ry | w | reg 64 feature=FSGSBASE
F3 0F AE /2 | WRFSBASE ry | r | reg 64 feature=FSGSBASE
F3 0F AE /3 | WRGSBASE ry | r | reg 64 feature=FSGSBASE
NP 0F AE /5 | LFENCE | | reg feature=SSE2
NP 0F AE /6 | MFENCE | | reg feature=SSE2
NP 0F AE /7 | SFENCE | | reg feature=SSE
`;

export const BMI_OPCODES = `
@ cost=alu access=w,r,r protected
VEX.LZ.NP.0F38 F2 /r | ANDN rv, rv, r/mv | | feature=BMI1 u=ap
VEX.LZ.NP.0F38 F3 /1 | BLSR rv, r/mv | | feature=BMI1 u=ap
VEX.LZ.NP.0F38 F3 /2 | BLSMSK rv, r/mv | | feature=BMI1 u=ap
VEX.LZ.NP.0F38 F3 /3 | BLSI rv, r/mv | | feature=BMI1 u=ap
VEX.LZ.NP.0F38 F7 /r | BEXTR rv, r/mv, rv | | feature=BMI1 u=sap
VEX.LZ.NP.0F38 F5 /r | BZHI rv, r/mv, rv | | feature=BMI2 u=ap
VEX.LZ.F3.0F38 F5 /r | PEXT rv, rv, r/mv | | feature=BMI2
VEX.LZ.F2.0F38 F5 /r | PDEP rv, rv, r/mv | | feature=BMI2
VEX.LZ.F2.0F38 F6 /r | MULX rv, rv, r/mv | w w r | feature=BMI2 cost=mul
VEX.LZ.66.0F38 F7 /r | SHLX rv, r/mv, rv | | feature=BMI2
VEX.LZ.F3.0F38 F7 /r | SARX rv, r/mv, rv | | feature=BMI2
VEX.LZ.F2.0F38 F7 /r | SHRX rv, r/mv, rv | | feature=BMI2
VEX.LZ.F2.0F3A F0 /r ib | RORX rv, r/mv, imm8 | | feature=BMI2
`;
