/**
 * The one-byte opcode map without x87: arithmetic, moves, stack, branches, strings, ports, flags.
 * Columns and defaults are explained in ../opcode-row.ts. Conditional rows carry their condition in the mnemonic.
 * DEVIATION: the encodings 82 /n, D0-D3 /6, C0-C1 /6, F6-F7 /1 and SALC are those that processors accept silently
 * (AMD APM 3 appendix A), not ones that the SDM lists.
 * Sources: SDM 2 (instruction reference), SDM 2D §A.3 Table A-2.
 */

export const ARITHMETIC_OPCODES = `
@ cost=alu access=rw,r
00 /r | ADD r/m8, r8 | | lock
01 /r | ADD r/mv, rv | | lock
02 /r | ADD r8, r/m8
03 /r | ADD rv, r/mv
04 ib | ADD AL, imm8
05 iz | ADD eAX, immz
80 /0 ib | ADD r/m8, imm8 | | lock
81 /0 iz | ADD r/mv, immz | | lock
82 /0 ib | ADD r/m8, imm8 | | legacy lock
83 /0 ib | ADD r/mv, imm8s | | lock
@ cost=alu access=rw,r u=a
08 /r | OR r/m8, r8 | | lock
09 /r | OR r/mv, rv | | lock
0A /r | OR r8, r/m8
0B /r | OR rv, r/mv
0C ib | OR AL, imm8
0D iz | OR eAX, immz
80 /1 ib | OR r/m8, imm8 | | lock
81 /1 iz | OR r/mv, immz | | lock
82 /1 ib | OR r/m8, imm8 | | legacy lock
83 /1 ib | OR r/mv, imm8s | | lock
@ cost=alu access=rw,r
10 /r | ADC r/m8, r8 | | lock
11 /r | ADC r/mv, rv | | lock
12 /r | ADC r8, r/m8
13 /r | ADC rv, r/mv
14 ib | ADC AL, imm8
15 iz | ADC eAX, immz
80 /2 ib | ADC r/m8, imm8 | | lock
81 /2 iz | ADC r/mv, immz | | lock
82 /2 ib | ADC r/m8, imm8 | | legacy lock
83 /2 ib | ADC r/mv, imm8s | | lock
@ cost=alu access=rw,r
18 /r | SBB r/m8, r8 | | lock
19 /r | SBB r/mv, rv | | lock
1A /r | SBB r8, r/m8
1B /r | SBB rv, r/mv
1C ib | SBB AL, imm8
1D iz | SBB eAX, immz
80 /3 ib | SBB r/m8, imm8 | | lock
81 /3 iz | SBB r/mv, immz | | lock
82 /3 ib | SBB r/m8, imm8 | | legacy lock
83 /3 ib | SBB r/mv, imm8s | | lock
@ cost=alu access=rw,r u=a
20 /r | AND r/m8, r8 | | lock
21 /r | AND r/mv, rv | | lock
22 /r | AND r8, r/m8
23 /r | AND rv, r/mv
24 ib | AND AL, imm8
25 iz | AND eAX, immz
80 /4 ib | AND r/m8, imm8 | | lock
81 /4 iz | AND r/mv, immz | | lock
82 /4 ib | AND r/m8, imm8 | | legacy lock
83 /4 ib | AND r/mv, imm8s | | lock
@ cost=alu access=rw,r
28 /r | SUB r/m8, r8 | | lock
29 /r | SUB r/mv, rv | | lock
2A /r | SUB r8, r/m8
2B /r | SUB rv, r/mv
2C ib | SUB AL, imm8
2D iz | SUB eAX, immz
80 /5 ib | SUB r/m8, imm8 | | lock
81 /5 iz | SUB r/mv, immz | | lock
82 /5 ib | SUB r/m8, imm8 | | legacy lock
83 /5 ib | SUB r/mv, imm8s | | lock
@ cost=alu access=rw,r u=a
30 /r | XOR r/m8, r8 | | lock
31 /r | XOR r/mv, rv | | lock
32 /r | XOR r8, r/m8
33 /r | XOR rv, r/mv
34 ib | XOR AL, imm8
35 iz | XOR eAX, immz
80 /6 ib | XOR r/m8, imm8 | | lock
81 /6 iz | XOR r/mv, immz | | lock
82 /6 ib | XOR r/m8, imm8 | | legacy lock
83 /6 ib | XOR r/mv, imm8s | | lock
@ cost=alu access=r,r
38 /r | CMP r/m8, r8
39 /r | CMP r/mv, rv
3A /r | CMP r8, r/m8
3B /r | CMP rv, r/mv
3C ib | CMP AL, imm8
3D iz | CMP eAX, immz
80 /7 ib | CMP r/m8, imm8
81 /7 iz | CMP r/mv, immz
82 /7 ib | CMP r/m8, imm8 | | legacy
83 /7 ib | CMP r/mv, imm8s
@ cost=alu access=rw
40+r | INC rv | | legacy
48+r | DEC rv | | legacy
FE /0 | INC r/m8 | | lock
FE /1 | DEC r/m8 | | lock
FF /0 | INC r/mv | | lock
FF /1 | DEC r/mv | | lock
F6 /2 | NOT r/m8 | | lock
F7 /2 | NOT r/mv | | lock
F6 /3 | NEG r/m8 | | lock
F7 /3 | NEG r/mv | | lock
@ cost=alu access=r,r u=a
84 /r | TEST r/m8, r8
85 /r | TEST r/mv, rv
A8 ib | TEST AL, imm8
A9 iz | TEST eAX, immz
F6 /0 ib | TEST r/m8, imm8
F6 /1 ib | TEST r/m8, imm8
F7 /0 iz | TEST r/mv, immz
F7 /1 iz | TEST r/mv, immz
@ cost=mul access=r u=szap
F6 /4 | MUL r/m8
F7 /4 | MUL r/mv
F6 /5 | IMUL r/m8
F7 /5 | IMUL r/mv
69 /r iz | IMUL rv, r/mv, immz | w r r
6B /r ib | IMUL rv, r/mv, imm8s | w r r
@ access=r u=oszapc
F6 /6 | DIV r/m8 | | cost=div8
o16 F7 /6 | DIV r/m16 | | cost=div16
o32 F7 /6 | DIV r/m32 | | cost=div32
o64 F7 /6 | DIV r/m64 | | cost=div64
F6 /7 | IDIV r/m8 | | cost=idiv8
o16 F7 /7 | IDIV r/m16 | | cost=idiv16
o32 F7 /7 | IDIV r/m32 | | cost=idiv32
o64 F7 /7 | IDIV r/m64 | | cost=idiv64
@ cost=alu legacy
27 | DAA | | u=o
2F | DAS | | u=o
37 | AAA | | u=oszp
3F | AAS | | u=oszp
D4 ib | AAM imm8 | r | u=oac cost=div8
D5 ib | AAD imm8 | r | u=oac
D6 | SALC
@ cost=alu access=rw,r
D0 /0 | ROL r/m8, 1
D1 /0 | ROL r/mv, 1
@ cost=alu access=rw,r u=o
C0 /0 ib | ROL r/m8, imm8
C1 /0 ib | ROL r/mv, imm8
D2 /0 | ROL r/m8, CL
D3 /0 | ROL r/mv, CL
@ cost=alu access=rw,r
D0 /1 | ROR r/m8, 1
D1 /1 | ROR r/mv, 1
@ cost=alu access=rw,r u=o
C0 /1 ib | ROR r/m8, imm8
C1 /1 ib | ROR r/mv, imm8
D2 /1 | ROR r/m8, CL
D3 /1 | ROR r/mv, CL
@ cost=alu access=rw,r
D0 /2 | RCL r/m8, 1
D1 /2 | RCL r/mv, 1
@ cost=alu access=rw,r u=o
C0 /2 ib | RCL r/m8, imm8
C1 /2 ib | RCL r/mv, imm8
D2 /2 | RCL r/m8, CL
D3 /2 | RCL r/mv, CL
@ cost=alu access=rw,r
D0 /3 | RCR r/m8, 1
D1 /3 | RCR r/mv, 1
@ cost=alu access=rw,r u=o
C0 /3 ib | RCR r/m8, imm8
C1 /3 ib | RCR r/mv, imm8
D2 /3 | RCR r/m8, CL
D3 /3 | RCR r/mv, CL
@ cost=alu access=rw,r u=a
D0 /4 | SHL r/m8, 1
D1 /4 | SHL r/mv, 1
@ cost=alu access=rw,r u=oac
C0 /4 ib | SHL r/m8, imm8
C1 /4 ib | SHL r/mv, imm8
D2 /4 | SHL r/m8, CL
D3 /4 | SHL r/mv, CL
@ cost=alu access=rw,r u=a
D0 /5 | SHR r/m8, 1
D1 /5 | SHR r/mv, 1
@ cost=alu access=rw,r u=oac
C0 /5 ib | SHR r/m8, imm8
C1 /5 ib | SHR r/mv, imm8
D2 /5 | SHR r/m8, CL
D3 /5 | SHR r/mv, CL
@ cost=alu access=rw,r u=a
D0 /6 | SHL r/m8, 1
D1 /6 | SHL r/mv, 1
@ cost=alu access=rw,r u=oac
C0 /6 ib | SHL r/m8, imm8
C1 /6 ib | SHL r/mv, imm8
D2 /6 | SHL r/m8, CL
D3 /6 | SHL r/mv, CL
@ cost=alu access=rw,r u=a
D0 /7 | SAR r/m8, 1
D1 /7 | SAR r/mv, 1
@ cost=alu access=rw,r u=oa
C0 /7 ib | SAR r/m8, imm8
C1 /7 ib | SAR r/mv, imm8
D2 /7 | SAR r/m8, CL
D3 /7 | SAR r/mv, CL
@ cost=alu
o16 98 | CBW
o32 98 | CWDE
o64 98 | CDQE
o16 99 | CWD
o32 99 | CDQ
o64 99 | CQO
F5 | CMC
F8 | CLC
F9 | STC
FC | CLD
FD | STD
9E | SAHF
9F | LAHF
`;

export const MOVE_OPCODES = `
@ cost=mov access=w,r
88 /r | MOV r/m8, r8
89 /r | MOV r/mv, rv
8A /r | MOV r8, r/m8
8B /r | MOV rv, r/mv
8C /r | MOV rv/m16, Sreg
8E /r | MOV Sreg, r/m16 | | cost=other
A0 | MOV AL, moffs8
A1 | MOV eAX, moffsv
A2 | MOV moffs8, AL
A3 | MOV moffsv, eAX
B0+r ib | MOV r8, imm8
B8+r iv | MOV rv, immv
C6 /0 ib | MOV r/m8, imm8
C7 /0 iz | MOV r/mv, immz
63 /r | MOVSXD rv, r/m32 | | 64
8D /r | LEA rv, m | w - | cost=lea
C4 /r | LES rv, m16:v | | legacy cost=other
C5 /r | LDS rv, m16:v | | legacy cost=other
D7 | XLAT m8 | r | mem=bx
@ cost=xchg access=rw,rw
86 /r | XCHG r/m8, r8 | | lock
87 /r | XCHG r/mv, rv | | lock
F3 REX.B0 90 | PAUSE | | cost=other
REX.B0 90 | NOP | | cost=alu
90+r | XCHG eAX, rv
@ cost=mov access=r d64
50+r | PUSH rv
68 iz | PUSH immz
6A ib | PUSH imm8s
FF /6 | PUSH r/mv
06 | PUSH ES | | legacy
0E | PUSH CS | | legacy
16 | PUSH SS | | legacy
1E | PUSH DS | | legacy
@ cost=mov access=w d64
58+r | POP rv
8F /0 | POP r/mv
07 | POP ES | | legacy cost=other
17 | POP SS | | legacy cost=other
1F | POP DS | | legacy cost=other
@ cost=other
o16 60 | PUSHA | | legacy
o32 60 | PUSHAD | | legacy
o16 61 | POPA | | legacy
o32 61 | POPAD | | legacy
o16 9C | PUSHF | | d64
o32 9C | PUSHFD | | legacy
o64 9C | PUSHFQ | | d64
o16 9D | POPF | | d64
o32 9D | POPFD | | legacy
o64 9D | POPFQ | | d64
C8 iw ib | ENTER imm16, imm8 | r r | d64
C9 | LEAVE | | d64 cost=mov
`;

export const CONTROL_OPCODES = `
@ cost=branch access=r f64
70 cb | JO rel8
71 cb | JNO rel8
72 cb | JB rel8
73 cb | JAE rel8
74 cb | JE rel8
75 cb | JNE rel8
76 cb | JBE rel8
77 cb | JA rel8
78 cb | JS rel8
79 cb | JNS rel8
7A cb | JP rel8
7B cb | JNP rel8
7C cb | JL rel8
7D cb | JGE rel8
7E cb | JLE rel8
7F cb | JG rel8
E0 cb | LOOPNE rel8
E1 cb | LOOPE rel8
E2 cb | LOOP rel8
a16 E3 cb | JCXZ rel8 | | legacy
a32 E3 cb | JECXZ rel8
a64 E3 cb | JRCXZ rel8 | | 64
E9 cz | JMP relz
EB cb | JMP rel8
FF /4 | JMP r/mv
E8 cz | CALL relz | | cost=call
FF /2 | CALL r/mv | | cost=call
C2 iw | RET imm16 | | cost=ret
C3 | RET | | cost=ret
@ cost=other access=r
9A cp | CALL ptr16:z | | legacy
EA cp | JMP ptr16:z | | legacy
FF /3 | CALL m16:v
FF /5 | JMP m16:v
CA iw | RETF imm16
CB | RETF
CC | INT3 | | cost=int
CD ib | INT imm8 | | cost=int
CE | INTO | | legacy cost=int
F1 | INT1 | | cost=int
o16 CF | IRET | | cost=iret
o32 CF | IRETD | | cost=iret
o64 CF | IRETQ | | cost=iret
62 /r | BOUND rv, m | r r | legacy
63 /r | ARPL r/m16, r16 | rw r | legacy protected
F4 | HLT | | cost=hlt
FA | CLI
FB | STI
9B | WAIT
`;

export const STRING_OPCODES = `
@ cost=string rep
A4 | MOVS m8, m8 | w r | mem=si
A5 | MOVS mv, mv | w r | mem=si
A6 | CMPS m8, m8 | r r | mem=si
A7 | CMPS mv, mv | r r | mem=si
AA | STOS m8, AL | w r | mem=es:di
AB | STOS mv, eAX | w r | mem=es:di
AC | LODS AL, m8 | w r | mem=si
AD | LODS eAX, mv | w r | mem=si
AE | SCAS AL, m8 | r r | mem=es:di
AF | SCAS eAX, mv | r r | mem=es:di
6C | INS m8, DX | w r | cost=io mem=es:di
6D | INS mv, DX | w r | cost=io max32 mem=es:di
6E | OUTS DX, m8 | r r | cost=io mem=si
6F | OUTS DX, mv | r r | cost=io max32 mem=si
@ cost=io
E4 ib | IN AL, imm8 | w r
E5 ib | IN eAX, imm8 | w r | max32
E6 ib | OUT imm8, AL | r r
E7 ib | OUT imm8, eAX | r r | max32
EC | IN AL, DX | w r
ED | IN eAX, DX | w r | max32
EE | OUT DX, AL | r r
EF | OUT DX, eAX | r r | max32
`;
