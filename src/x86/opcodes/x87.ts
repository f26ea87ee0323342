/**
 * Rows of the x87 floating-point unit, opcodes D8 to DF: memory forms by group digit, register forms with fixed ModRM.
 * Columns and defaults are explained in ../opcode-row.ts.
 * DEVIATION: the aliases D9 D8+i, DB E0/E1/E4, DC D0+i, DC D8+i, DD C8+i, DE D0+i, DF C0+i, DF C8+i, DF D0+i and DF D8+i are not
 * in the SDM; processors execute them as the rows below say.
 * Sources: SDM 2 (instruction reference), SDM 2D §A.5 Tables; AMD APM 5 (FFREEP).
 */

export const X87_OPCODES = `
@ access=r,r feature=FPU
D8 /0 | FADD m32 | | cost=addsd
D8 /1 | FMUL m32 | | cost=mulsd
D8 /2 | FCOM m32 | | cost=addsd
D8 /3 | FCOMP m32 | | cost=addsd
D8 /4 | FSUB m32 | | cost=addsd
D8 /5 | FSUBR m32 | | cost=addsd
D8 /6 | FDIV m32 | | cost=divsd
D8 /7 | FDIVR m32 | | cost=divsd
DC /0 | FADD m64 | | cost=addsd
DC /1 | FMUL m64 | | cost=mulsd
DC /2 | FCOM m64 | | cost=addsd
DC /3 | FCOMP m64 | | cost=addsd
DC /4 | FSUB m64 | | cost=addsd
DC /5 | FSUBR m64 | | cost=addsd
DC /6 | FDIV m64 | | cost=divsd
DC /7 | FDIVR m64 | | cost=divsd
DA /0 | FIADD m32 | | cost=addsd
DA /1 | FIMUL m32 | | cost=mulsd
DA /2 | FICOM m32 | | cost=addsd
DA /3 | FICOMP m32 | | cost=addsd
DA /4 | FISUB m32 | | cost=addsd
DA /5 | FISUBR m32 | | cost=addsd
DA /6 | FIDIV m32 | | cost=divsd
DA /7 | FIDIVR m32 | | cost=divsd
DE /0 | FIADD m16 | | cost=addsd
DE /1 | FIMUL m16 | | cost=mulsd
DE /2 | FICOM m16 | | cost=addsd
DE /3 | FICOMP m16 | | cost=addsd
DE /4 | FISUB m16 | | cost=addsd
DE /5 | FISUBR m16 | | cost=addsd
DE /6 | FIDIV m16 | | cost=divsd
DE /7 | FIDIVR m16 | | cost=divsd
D8 C0+i | FADD ST(0), ST(i) | rw r | cost=addsd
D8 C8+i | FMUL ST(0), ST(i) | rw r | cost=mulsd
D8 D0+i | FCOM ST(i) | | cost=addsd
D8 D8+i | FCOMP ST(i) | | cost=addsd
D8 E0+i | FSUB ST(0), ST(i) | rw r | cost=addsd
D8 E8+i | FSUBR ST(0), ST(i) | rw r | cost=addsd
D8 F0+i | FDIV ST(0), ST(i) | rw r | cost=divsd
D8 F8+i | FDIVR ST(0), ST(i) | rw r | cost=divsd
DC C0+i | FADD ST(i), ST(0) | rw r | cost=addsd
DC C8+i | FMUL ST(i), ST(0) | rw r | cost=mulsd
DC E0+i | FSUBR ST(i), ST(0) | rw r | cost=addsd
DC E8+i | FSUB ST(i), ST(0) | rw r | cost=addsd
DC F0+i | FDIVR ST(i), ST(0) | rw r | cost=divsd
DC F8+i | FDIV ST(i), ST(0) | rw r | cost=divsd
DE C0+i | FADDP ST(i), ST(0) | rw r | cost=addsd
DE C8+i | FMULP ST(i), ST(0) | rw r | cost=mulsd
DE E0+i | FSUBRP ST(i), ST(0) | rw r | cost=addsd
DE E8+i | FSUBP ST(i), ST(0) | rw r | cost=addsd
DE F0+i | FDIVRP ST(i), ST(0) | rw r | cost=divsd
DE F8+i | FDIVP ST(i), ST(0) | rw r | cost=divsd
DC D0+i | FCOM ST(i) | | cost=addsd
DC D8+i | FCOMP ST(i) | | cost=addsd
DE D0+i | FCOMP ST(i) | | cost=addsd
DE D9 | FCOMPP | | cost=addsd
DA E9 | FUCOMPP | | cost=addsd
DD E0+i | FUCOM ST(i) | | cost=addsd
DD E8+i | FUCOMP ST(i) | | cost=addsd
DB E8+i | FUCOMI ST(0), ST(i) | | cost=addsd
DB F0+i | FCOMI ST(0), ST(i) | | cost=addsd
DF E8+i | FUCOMIP ST(0), ST(i) | | cost=addsd
DF F0+i | FCOMIP ST(0), ST(i) | | cost=addsd
@ cost=sse access=rw,r feature=CMOV
DA C0+i | FCMOVB ST(0), ST(i)
DA C8+i | FCMOVE ST(0), ST(i)
DA D0+i | FCMOVBE ST(0), ST(i)
DA D8+i | FCMOVU ST(0), ST(i)
DB C0+i | FCMOVNB ST(0), ST(i)
DB C8+i | FCMOVNE ST(0), ST(i)
DB D0+i | FCMOVNBE ST(0), ST(i)
DB D8+i | FCMOVNU ST(0), ST(i)
@ cost=sse access=r feature=FPU
D9 /0 | FLD m32
DD /0 | FLD m64
DB /5 | FLD m80
D9 C0+i | FLD ST(i)
DF /0 | FILD m16
DB /0 | FILD m32
DF /5 | FILD m64
DF /4 | FBLD m80 | | cost=other
D9 /5 | FLDCW m16
D9 /4 | FLDENV m | | cost=other
DD /4 | FRSTOR m | | cost=other
@ cost=sse access=w feature=FPU
D9 /2 | FST m32
DD /2 | FST m64
DD D0+i | FST ST(i)
D9 /3 | FSTP m32
DD /3 | FSTP m64
DB /7 | FSTP m80
DD D8+i | FSTP ST(i)
D9 D8+i | FSTPNCE ST(i)
DF D0+i | FSTP ST(i)
DF D8+i | FSTP ST(i)
DF /2 | FIST m16
DB /2 | FIST m32
DF /3 | FISTP m16
DB /3 | FISTP m32
DF /7 | FISTP m64
DF /1 | FISTTP m16 | | feature=SSE3
DB /1 | FISTTP m32 | | feature=SSE3
DD /1 | FISTTP m64 | | feature=SSE3
DF /6 | FBSTP m80 | | cost=other
D9 /7 | FNSTCW m16
DD /7 | FNSTSW m16
DF E0 | FNSTSW AX
D9 /6 | FNSTENV m | | cost=other
DD /6 | FNSAVE m | | cost=other
D9 C8+i | FXCH ST(i) | rw
DD C8+i | FXCH ST(i) | rw
DF C8+i | FXCH ST(i) | rw
DD C0+i | FFREE ST(i)
DF C0+i | FFREEP ST(i)
@ cost=sse feature=FPU
D9 D0 | FNOP
D9 E0 | FCHS
D9 E1 | FABS
D9 E4 | FTST
D9 E5 | FXAM
D9 E8 | FLD1
D9 E9 | FLDL2T
D9 EA | FLDL2E
D9 EB | FLDPI
D9 EC | FLDLG2
D9 ED | FLDLN2
D9 EE | FLDZ
D9 F6 | FDECSTP
D9 F7 | FINCSTP
DB E0 | FNENI
DB E1 | FNDISI
DB E2 | FNCLEX
DB E3 | FNINIT
DB E4 | FNSETPM
@ cost=other feature=FPU
D9 F0 | F2XM1
D9 F1 | FYL2X
D9 F2 | FPTAN
D9 F3 | FPATAN
D9 F4 | FXTRACT
D9 F5 | FPREM1
D9 F8 | FPREM
D9 F9 | FYL2XP1
D9 FA | FSQRT | | cost=sqrtsd
D9 FB | FSINCOS
D9 FC | FRNDINT
D9 FD | FSCALE
D9 FE | FSIN
D9 FF | FCOS
`;
