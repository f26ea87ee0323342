/**
 * Rows of MMX and of the MMX forms that SSE, SSE2 and SSSE3 added.
 * Columns and defaults are explained in ../opcode-row.ts.
 * Sources: SDM 2 (instruction reference), SDM 2D §A.3 Table A-3.
 */

export const MMX_OPCODES = `
@ cost=sse access=w,r feature=MMX
NP REX.W 0F 6E /r | MOVQ mm, r/m64
NP 0F 6E /r | MOVD mm, r/m32
NP REX.W 0F 7E /r | MOVQ r/m64, mm
NP 0F 7E /r | MOVD r/m32, mm
NP 0F 6F /r | MOVQ mm, mm/m64
NP 0F 7F /r | MOVQ mm/m64, mm
NP 0F 77 | EMMS
@ cost=sse access=rw,r feature=MMX
NP 0F 60 /r | PUNPCKLBW mm, mm/m32
NP 0F 61 /r | PUNPCKLWD mm, mm/m32
NP 0F 62 /r | PUNPCKLDQ mm, mm/m32
NP 0F 63 /r | PACKSSWB mm, mm/m64
NP 0F 64 /r | PCMPGTB mm, mm/m64
NP 0F 65 /r | PCMPGTW mm, mm/m64
NP 0F 66 /r | PCMPGTD mm, mm/m64
NP 0F 67 /r | PACKUSWB mm, mm/m64
NP 0F 68 /r | PUNPCKHBW mm, mm/m64
NP 0F 69 /r | PUNPCKHWD mm, mm/m64
NP 0F 6A /r | PUNPCKHDQ mm, mm/m64
NP 0F 6B /r | PACKSSDW mm, mm/m64
NP 0F 74 /r | PCMPEQB mm, mm/m64
NP 0F 75 /r | PCMPEQW mm, mm/m64
NP 0F 76 /r | PCMPEQD mm, mm/m64
NP 0F D1 /r | PSRLW mm, mm/m64
NP 0F D2 /r | PSRLD mm, mm/m64
NP 0F D3 /r | PSRLQ mm, mm/m64
NP 0F D5 /r | PMULLW mm, mm/m64
NP 0F D8 /r | PSUBUSB mm, mm/m64
NP 0F D9 /r | PSUBUSW mm, mm/m64
NP 0F DB /r | PAND mm, mm/m64
NP 0F DC /r | PADDUSB mm, mm/m64
NP 0F DD /r | PADDUSW mm, mm/m64
NP 0F DF /r | PANDN mm, mm/m64
NP 0F E1 /r | PSRAW mm, mm/m64
NP 0F E2 /r | PSRAD mm, mm/m64
NP 0F E5 /r | PMULHW mm, mm/m64
NP 0F E8 /r | PSUBSB mm, mm/m64
NP 0F E9 /r | PSUBSW mm, mm/m64
NP 0F EB /r | POR mm, mm/m64
NP 0F EC /r | PADDSB mm, mm/m64
NP 0F ED /r | PADDSW mm, mm/m64
NP 0F EF /r | PXOR mm, mm/m64
NP 0F F1 /r | PSLLW mm, mm/m64
NP 0F F2 /r | PSLLD mm, mm/m64
NP 0F F3 /r | PSLLQ mm, mm/m64
NP 0F F5 /r | PMADDWD mm, mm/m64
NP 0F F8 /r | PSUBB mm, mm/m64
NP 0F F9 /r | PSUBW mm, mm/m64
NP 0F FA /r | PSUBD mm, mm/m64
NP 0F FC /r | PADDB mm, mm/m64
NP 0F FD /r | PADDW mm, mm/m64
NP 0F FE /r | PADDD mm, mm/m64
NP 0F 71 /2 ib | PSRLW mm, imm8
NP 0F 71 /4 ib | PSRAW mm, imm8
NP 0F 71 /6 ib | PSLLW mm, imm8
NP 0F 72 /2 ib | PSRLD mm, imm8
NP 0F 72 /4 ib | PSRAD mm, imm8
NP 0F 72 /6 ib | PSLLD mm, imm8
NP 0F 73 /2 ib | PSRLQ mm, imm8
NP 0F 73 /6 ib | PSLLQ mm, imm8
@ cost=sse access=rw,r,r feature=SSE
NP 0F DA /r | PMINUB mm, mm/m64
NP 0F DE /r | PMAXUB mm, mm/m64
NP 0F E0 /r | PAVGB mm, mm/m64
NP 0F E3 /r | PAVGW mm, mm/m64
NP 0F E4 /r | PMULHUW mm, mm/m64
NP 0F EA /r | PMINSW mm, mm/m64
NP 0F EE /r | PMAXSW mm, mm/m64
NP 0F F6 /r | PSADBW mm, mm/m64
NP 0F 70 /r ib | PSHUFW mm, mm/m64, imm8 | w r r
NP 0F C4 /r ib | PINSRW mm, r32/m16, imm8
NP 0F C5 /r ib | PEXTRW r32, mm, imm8 | w r r
NP 0F D7 /r | PMOVMSKB r32, mm | w r
NP 0F E7 /r | MOVNTQ m64, mm | w r
NP 0F F7 /r | MASKMOVQ mm, mm | r r | mem=di
@ cost=sse access=rw,r feature=SSE2
NP 0F D4 /r | PADDQ mm, mm/m64
NP 0F F4 /r | PMULUDQ mm, mm/m64
NP 0F FB /r | PSUBQ mm, mm/m64
F3 0F D6 /r | MOVQ2DQ xmm, mm | w r
F2 0F D6 /r | MOVDQ2Q mm, xmm | w r
@ cost=sse access=rw,r,r feature=SSSE3
NP 0F 38 00 /r | PSHUFB mm, mm/m64
NP 0F 38 01 /r | PHADDW mm, mm/m64
NP 0F 38 02 /r | PHADDD mm, mm/m64
NP 0F 38 03 /r | PHADDSW mm, mm/m64
NP 0F 38 04 /r | PMADDUBSW mm, mm/m64
NP 0F 38 05 /r | PHSUBW mm, mm/m64
NP 0F 38 06 /r | PHSUBD mm, mm/m64
NP 0F 38 07 /r | PHSUBSW mm, mm/m64
NP 0F 38 08 /r | PSIGNB mm, mm/m64
NP 0F 38 09 /r | PSIGNW mm, mm/m64
NP 0F 38 0A /r | PSIGND mm, mm/m64
NP 0F 38 0B /r | PMULHRSW mm, mm/m64
NP 0F 38 1C /r | PABSB mm, mm/m64 | w r
NP 0F 38 1D /r | PABSW mm, mm/m64 | w r
NP 0F 38 1E /r | PABSD mm, mm/m64 | w r
NP 0F 3A 0F /r ib | PALIGNR mm, mm/m64, imm8
`;
