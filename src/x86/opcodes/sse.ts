/**
 * Rows of SSE and SSE2 and their successors up to SSE4.2, SSE4A, AES, PCLMULQDQ and SHA: floating-point part first,
 * then moves and conversions, then packed integers. The packed integer rows that exist in MMX are in mmx.ts.
 * Columns and defaults are explained in ../opcode-row.ts.
 * Sources: SDM 2 (instruction reference), SDM 2D §A.3 Tables; AMD APM 4 for SSE4A.
 */

export const FLOATING_POINT_OPCODES = `
@ cost=sse access=rw,r,r
NP 0F 58 /r | ADDPS xmm, xmm/m128 | | feature=SSE cost=addsd
66 0F 58 /r | ADDPD xmm, xmm/m128 | | feature=SSE2 cost=addsd
F3 0F 58 /r | ADDSS xmm, xmm/m32 | | feature=SSE cost=addsd
F2 0F 58 /r | ADDSD xmm, xmm/m64 | | feature=SSE2 cost=addsd
NP 0F 5C /r | SUBPS xmm, xmm/m128 | | feature=SSE cost=addsd
66 0F 5C /r | SUBPD xmm, xmm/m128 | | feature=SSE2 cost=addsd
F3 0F 5C /r | SUBSS xmm, xmm/m32 | | feature=SSE cost=addsd
F2 0F 5C /r | SUBSD xmm, xmm/m64 | | feature=SSE2 cost=addsd
NP 0F 59 /r | MULPS xmm, xmm/m128 | | feature=SSE cost=mulsd
66 0F 59 /r | MULPD xmm, xmm/m128 | | feature=SSE2 cost=mulsd
F3 0F 59 /r | MULSS xmm, xmm/m32 | | feature=SSE cost=mulsd
F2 0F 59 /r | MULSD xmm, xmm/m64 | | feature=SSE2 cost=mulsd
NP 0F 5E /r | DIVPS xmm, xmm/m128 | | feature=SSE cost=divsd
66 0F 5E /r | DIVPD xmm, xmm/m128 | | feature=SSE2 cost=divsd
F3 0F 5E /r | DIVSS xmm, xmm/m32 | | feature=SSE cost=divsd
F2 0F 5E /r | DIVSD xmm, xmm/m64 | | feature=SSE2 cost=divsd
NP 0F 51 /r | SQRTPS xmm, xmm/m128 | w r | feature=SSE cost=sqrtsd
66 0F 51 /r | SQRTPD xmm, xmm/m128 | w r | feature=SSE2 cost=sqrtsd
F3 0F 51 /r | SQRTSS xmm, xmm/m32 | | feature=SSE cost=sqrtsd
F2 0F 51 /r | SQRTSD xmm, xmm/m64 | | feature=SSE2 cost=sqrtsd
NP 0F 5D /r | MINPS xmm, xmm/m128 | | feature=SSE cost=addsd
66 0F 5D /r | MINPD xmm, xmm/m128 | | feature=SSE2 cost=addsd
F3 0F 5D /r | MINSS xmm, xmm/m32 | | feature=SSE cost=addsd
F2 0F 5D /r | MINSD xmm, xmm/m64 | | feature=SSE2 cost=addsd
NP 0F 5F /r | MAXPS xmm, xmm/m128 | | feature=SSE cost=addsd
66 0F 5F /r | MAXPD xmm, xmm/m128 | | feature=SSE2 cost=addsd
F3 0F 5F /r | MAXSS xmm, xmm/m32 | | feature=SSE cost=addsd
F2 0F 5F /r | MAXSD xmm, xmm/m64 | | feature=SSE2 cost=addsd
NP 0F 52 /r | RSQRTPS xmm, xmm/m128 | w r | feature=SSE
F3 0F 52 /r | RSQRTSS xmm, xmm/m32 | | feature=SSE
NP 0F 53 /r | RCPPS xmm, xmm/m128 | w r | feature=SSE
F3 0F 53 /r | RCPSS xmm, xmm/m32 | | feature=SSE
NP 0F 54 /r | ANDPS xmm, xmm/m128 | | feature=SSE
66 0F 54 /r | ANDPD xmm, xmm/m128 | | feature=SSE2
NP 0F 55 /r | ANDNPS xmm, xmm/m128 | | feature=SSE
66 0F 55 /r | ANDNPD xmm, xmm/m128 | | feature=SSE2
NP 0F 56 /r | ORPS xmm, xmm/m128 | | feature=SSE
66 0F 56 /r | ORPD xmm, xmm/m128 | | feature=SSE2
NP 0F 57 /r | XORPS xmm, xmm/m128 | | feature=SSE
66 0F 57 /r | XORPD xmm, xmm/m128 | | feature=SSE2
NP 0F C2 /r ib | CMPPS xmm, xmm/m128, imm8 | | feature=SSE cost=addsd
66 0F C2 /r ib | CMPPD xmm, xmm/m128, imm8 | | feature=SSE2 cost=addsd
F3 0F C2 /r ib | CMPSS xmm, xmm/m32, imm8 | | feature=SSE cost=addsd
F2 0F C2 /r ib | CMPSD xmm, xmm/m64, imm8 | | feature=SSE2 cost=addsd
NP 0F 2E /r | UCOMISS xmm, xmm/m32 | r r | feature=SSE
66 0F 2E /r | UCOMISD xmm, xmm/m64 | r r | feature=SSE2
NP 0F 2F /r | COMISS xmm, xmm/m32 | r r | feature=SSE
66 0F 2F /r | COMISD xmm, xmm/m64 | r r | feature=SSE2
NP 0F C6 /r ib | SHUFPS xmm, xmm/m128, imm8 | | feature=SSE
66 0F C6 /r ib | SHUFPD xmm, xmm/m128, imm8 | | feature=SSE2
NP 0F 14 /r | UNPCKLPS xmm, xmm/m128 | | feature=SSE
66 0F 14 /r | UNPCKLPD xmm, xmm/m128 | | feature=SSE2
NP 0F 15 /r | UNPCKHPS xmm, xmm/m128 | | feature=SSE
66 0F 15 /r | UNPCKHPD xmm, xmm/m128 | | feature=SSE2
@ cost=addsd access=rw,r feature=SSE3
66 0F 7C /r | HADDPD xmm, xmm/m128
F2 0F 7C /r | HADDPS xmm, xmm/m128
66 0F 7D /r | HSUBPD xmm, xmm/m128
F2 0F 7D /r | HSUBPS xmm, xmm/m128
66 0F D0 /r | ADDSUBPD xmm, xmm/m128
F2 0F D0 /r | ADDSUBPS xmm, xmm/m128
@ cost=sse access=rw,r,r feature=SSE4.1
66 0F 38 14 /r | BLENDVPS xmm, xmm/m128
66 0F 38 15 /r | BLENDVPD xmm, xmm/m128
66 0F 3A 08 /r ib | ROUNDPS xmm, xmm/m128, imm8 | w r r
66 0F 3A 09 /r ib | ROUNDPD xmm, xmm/m128, imm8 | w r r
66 0F 3A 0A /r ib | ROUNDSS xmm, xmm/m32, imm8
66 0F 3A 0B /r ib | ROUNDSD xmm, xmm/m64, imm8
66 0F 3A 0C /r ib | BLENDPS xmm, xmm/m128, imm8
66 0F 3A 0D /r ib | BLENDPD xmm, xmm/m128, imm8
66 0F 3A 21 /r ib | INSERTPS xmm, xmm/m32, imm8
66 0F 3A 40 /r ib | DPPS xmm, xmm/m128, imm8 | | cost=mulsd
66 0F 3A 41 /r ib | DPPD xmm, xmm/m128, imm8 | | cost=mulsd
`;

export const XMM_MOVE_OPCODES = `
@ cost=sse access=w,r feature=SSE
NP 0F 10 /r | MOVUPS xmm, xmm/m128
NP 0F 11 /r | MOVUPS xmm/m128, xmm
F3 0F 10 /r | MOVSS xmm, xmm/m32 | rw r
F3 0F 11 /r | MOVSS xmm/m32, xmm | rw r
NP 0F 12 /r | MOVLPS xmm, m64 | rw r
NP 0F 12 /r | MOVHLPS xmm, xmm | rw r
NP 0F 13 /r | MOVLPS m64, xmm
NP 0F 16 /r | MOVHPS xmm, m64 | rw r
NP 0F 16 /r | MOVLHPS xmm, xmm | rw r
NP 0F 17 /r | MOVHPS m64, xmm
NP 0F 28 /r | MOVAPS xmm, xmm/m128
NP 0F 29 /r | MOVAPS xmm/m128, xmm
NP 0F 2B /r | MOVNTPS m128, xmm
NP 0F 50 /r | MOVMSKPS r32, xmm
@ cost=sse access=w,r feature=SSE2
66 0F 10 /r | MOVUPD xmm, xmm/m128
66 0F 11 /r | MOVUPD xmm/m128, xmm
F2 0F 10 /r | MOVSD xmm, xmm/m64 | rw r
F2 0F 11 /r | MOVSD xmm/m64, xmm | rw r
66 0F 12 /r | MOVLPD xmm, m64 | rw r
66 0F 13 /r | MOVLPD m64, xmm
66 0F 16 /r | MOVHPD xmm, m64 | rw r
66 0F 17 /r | MOVHPD m64, xmm
66 0F 28 /r | MOVAPD xmm, xmm/m128
66 0F 29 /r | MOVAPD xmm/m128, xmm
66 0F 2B /r | MOVNTPD m128, xmm
66 0F 50 /r | MOVMSKPD r32, xmm
66 REX.W 0F 6E /r | MOVQ xmm, r/m64
66 0F 6E /r | MOVD xmm, r/m32
66 REX.W 0F 7E /r | MOVQ r/m64, xmm
66 0F 7E /r | MOVD r/m32, xmm
F3 0F 7E /r | MOVQ xmm, xmm/m64
66 0F D6 /r | MOVQ xmm/m64, xmm
66 0F 6F /r | MOVDQA xmm, xmm/m128
66 0F 7F /r | MOVDQA xmm/m128, xmm
F3 0F 6F /r | MOVDQU xmm, xmm/m128
F3 0F 7F /r | MOVDQU xmm/m128, xmm
66 0F E7 /r | MOVNTDQ m128, xmm
66 0F D7 /r | PMOVMSKB r32, xmm
66 0F F7 /r | MASKMOVDQU xmm, xmm | r r | mem=di
66 0F C4 /r ib | PINSRW xmm, r32/m16, imm8 | rw r r
66 0F C5 /r ib | PEXTRW r32, xmm, imm8 | w r r
@ cost=sse access=w,r feature=SSE3
F2 0F 12 /r | MOVDDUP xmm, xmm/m64
F3 0F 12 /r | MOVSLDUP xmm, xmm/m128
F3 0F 16 /r | MOVSHDUP xmm, xmm/m128
F2 0F F0 /r | LDDQU xmm, m128
@ cost=sse access=w,r,r feature=SSE4.1
66 0F 38 2A /r | MOVNTDQA xmm, m128
66 0F 3A 14 /r ib | PEXTRB r32/m8, xmm, imm8
66 0F 3A 15 /r ib | PEXTRW r32/m16, xmm, imm8
66 REX.W 0F 3A 16 /r ib | PEXTRQ r/m64, xmm, imm8
66 0F 3A 16 /r ib | PEXTRD r/m32, xmm, imm8
66 0F 3A 17 /r ib | EXTRACTPS r/m32, xmm, imm8
66 0F 3A 20 /r ib | PINSRB xmm, r32/m8, imm8 | rw r r
66 REX.W 0F 3A 22 /r ib | PINSRQ xmm, r/m64, imm8 | rw r r
66 0F 3A 22 /r ib | PINSRD xmm, r/m32, imm8 | rw r r
@ cost=sse access=rw,r,r,r feature=SSE4A
66 0F 78 /0 ib ib | EXTRQ xmm, imm8, imm8
66 0F 79 /r | EXTRQ xmm, xmm
F2 0F 78 /r ib ib | INSERTQ xmm, xmm, imm8, imm8
F2 0F 79 /r | INSERTQ xmm, xmm
F3 0F 2B /r | MOVNTSS m32, xmm | w r
F2 0F 2B /r | MOVNTSD m64, xmm | w r
`;

export const CONVERSION_OPCODES = `
@ cost=addsd access=w,r feature=SSE
NP 0F 2A /r | CVTPI2PS xmm, mm/m64 | rw r
F3 0F 2A /r | CVTSI2SS xmm, r/my | rw r
NP 0F 2C /r | CVTTPS2PI mm, xmm/m64
F3 0F 2C /r | CVTTSS2SI ry, xmm/m32
NP 0F 2D /r | CVTPS2PI mm, xmm/m64
F3 0F 2D /r | CVTSS2SI ry, xmm/m32
@ cost=addsd access=w,r feature=SSE2
66 0F 2A /r | CVTPI2PD xmm, mm/m64
F2 0F 2A /r | CVTSI2SD xmm, r/my | rw r
66 0F 2C /r | CVTTPD2PI mm, xmm/m128
F2 0F 2C /r | CVTTSD2SI ry, xmm/m64
66 0F 2D /r | CVTPD2PI mm, xmm/m128
F2 0F 2D /r | CVTSD2SI ry, xmm/m64
NP 0F 5A /r | CVTPS2PD xmm, xmm/m64
66 0F 5A /r | CVTPD2PS xmm, xmm/m128
F3 0F 5A /r | CVTSS2SD xmm, xmm/m32 | rw r
F2 0F 5A /r | CVTSD2SS xmm, xmm/m64 | rw r
NP 0F 5B /r | CVTDQ2PS xmm, xmm/m128
66 0F 5B /r | CVTPS2DQ xmm, xmm/m128
F3 0F 5B /r | CVTTPS2DQ xmm, xmm/m128
66 0F E6 /r | CVTTPD2DQ xmm, xmm/m128
F3 0F E6 /r | CVTDQ2PD xmm, xmm/m64
F2 0F E6 /r | CVTPD2DQ xmm, xmm/m128
`;

export const XMM_INTEGER_OPCODES = `
@ cost=sse access=rw,r,r feature=SSE2
66 0F 60 /r | PUNPCKLBW xmm, xmm/m128
66 0F 61 /r | PUNPCKLWD xmm, xmm/m128
66 0F 62 /r | PUNPCKLDQ xmm, xmm/m128
66 0F 63 /r | PACKSSWB xmm, xmm/m128
66 0F 64 /r | PCMPGTB xmm, xmm/m128
66 0F 65 /r | PCMPGTW xmm, xmm/m128
66 0F 66 /r | PCMPGTD xmm, xmm/m128
66 0F 67 /r | PACKUSWB xmm, xmm/m128
66 0F 68 /r | PUNPCKHBW xmm, xmm/m128
66 0F 69 /r | PUNPCKHWD xmm, xmm/m128
66 0F 6A /r | PUNPCKHDQ xmm, xmm/m128
66 0F 6B /r | PACKSSDW xmm, xmm/m128
66 0F 74 /r | PCMPEQB xmm, xmm/m128
66 0F 75 /r | PCMPEQW xmm, xmm/m128
66 0F 76 /r | PCMPEQD xmm, xmm/m128
66 0F D1 /r | PSRLW xmm, xmm/m128
66 0F D2 /r | PSRLD xmm, xmm/m128
66 0F D3 /r | PSRLQ xmm, xmm/m128
66 0F D4 /r | PADDQ xmm, xmm/m128
66 0F D5 /r | PMULLW xmm, xmm/m128
66 0F D8 /r | PSUBUSB xmm, xmm/m128
66 0F D9 /r | PSUBUSW xmm, xmm/m128
66 0F DA /r | PMINUB xmm, xmm/m128
66 0F DB /r | PAND xmm, xmm/m128
66 0F DC /r | PADDUSB xmm, xmm/m128
66 0F DD /r | PADDUSW xmm, xmm/m128
66 0F DE /r | PMAXUB xmm, xmm/m128
66 0F DF /r | PANDN xmm, xmm/m128
66 0F E0 /r | PAVGB xmm, xmm/m128
66 0F E1 /r | PSRAW xmm, xmm/m128
66 0F E2 /r | PSRAD xmm, xmm/m128
66 0F E3 /r | PAVGW xmm, xmm/m128
66 0F E4 /r | PMULHUW xmm, xmm/m128
66 0F E5 /r | PMULHW xmm, xmm/m128
66 0F E8 /r | PSUBSB xmm, xmm/m128
66 0F E9 /r | PSUBSW xmm, xmm/m128
66 0F EA /r | PMINSW xmm, xmm/m128
66 0F EB /r | POR xmm, xmm/m128
66 0F EC /r | PADDSB xmm, xmm/m128
66 0F ED /r | PADDSW xmm, xmm/m128
66 0F EE /r | PMAXSW xmm, xmm/m128
66 0F EF /r | PXOR xmm, xmm/m128
66 0F F1 /r | PSLLW xmm, xmm/m128
66 0F F2 /r | PSLLD xmm, xmm/m128
66 0F F3 /r | PSLLQ xmm, xmm/m128
66 0F F4 /r | PMULUDQ xmm, xmm/m128
66 0F F5 /r | PMADDWD xmm, xmm/m128
66 0F F6 /r | PSADBW xmm, xmm/m128
66 0F F8 /r | PSUBB xmm, xmm/m128
66 0F F9 /r | PSUBW xmm, xmm/m128
66 0F FA /r | PSUBD xmm, xmm/m128
66 0F FB /r | PSUBQ xmm, xmm/m128
66 0F FC /r | PADDB xmm, xmm/m128
66 0F FD /r | PADDW xmm, xmm/m128
66 0F FE /r | PADDD xmm, xmm/m128
66 0F 6C /r | PUNPCKLQDQ xmm, xmm/m128
66 0F 6D /r | PUNPCKHQDQ xmm, xmm/m128
66 0F 71 /2 ib | PSRLW xmm, imm8
66 0F 71 /4 ib | PSRAW xmm, imm8
66 0F 71 /6 ib | PSLLW xmm, imm8
66 0F 72 /2 ib | PSRLD xmm, imm8
66 0F 72 /4 ib | PSRAD xmm, imm8
66 0F 72 /6 ib | PSLLD xmm, imm8
66 0F 73 /2 ib | PSRLQ xmm, imm8
66 0F 73 /6 ib | PSLLQ xmm, imm8
66 0F 73 /3 ib | PSRLDQ xmm, imm8
66 0F 73 /7 ib | PSLLDQ xmm, imm8
66 0F 70 /r ib | PSHUFD xmm, xmm/m128, imm8 | w r r
F3 0F 70 /r ib | PSHUFHW xmm, xmm/m128, imm8 | w r r
F2 0F 70 /r ib | PSHUFLW xmm, xmm/m128, imm8 | w r r
@ cost=sse access=rw,r,r feature=SSSE3
66 0F 38 00 /r | PSHUFB xmm, xmm/m128
66 0F 38 01 /r | PHADDW xmm, xmm/m128
66 0F 38 02 /r | PHADDD xmm, xmm/m128
66 0F 38 03 /r | PHADDSW xmm, xmm/m128
66 0F 38 04 /r | PMADDUBSW xmm, xmm/m128
66 0F 38 05 /r | PHSUBW xmm, xmm/m128
66 0F 38 06 /r | PHSUBD xmm, xmm/m128
66 0F 38 07 /r | PHSUBSW xmm, xmm/m128
66 0F 38 08 /r | PSIGNB xmm, xmm/m128
66 0F 38 09 /r | PSIGNW xmm, xmm/m128
66 0F 38 0A /r | PSIGND xmm, xmm/m128
66 0F 38 0B /r | PMULHRSW xmm, xmm/m128
66 0F 38 1C /r | PABSB xmm, xmm/m128 | w r
66 0F 38 1D /r | PABSW xmm, xmm/m128 | w r
66 0F 38 1E /r | PABSD xmm, xmm/m128 | w r
66 0F 3A 0F /r ib | PALIGNR xmm, xmm/m128, imm8
@ cost=sse access=rw,r,r feature=SSE4.1
66 0F 38 10 /r | PBLENDVB xmm, xmm/m128
66 0F 38 28 /r | PMULDQ xmm, xmm/m128
66 0F 38 29 /r | PCMPEQQ xmm, xmm/m128
66 0F 38 2B /r | PACKUSDW xmm, xmm/m128
66 0F 38 38 /r | PMINSB xmm, xmm/m128
66 0F 38 39 /r | PMINSD xmm, xmm/m128
66 0F 38 3A /r | PMINUW xmm, xmm/m128
66 0F 38 3B /r | PMINUD xmm, xmm/m128
66 0F 38 3C /r | PMAXSB xmm, xmm/m128
66 0F 38 3D /r | PMAXSD xmm, xmm/m128
66 0F 38 3E /r | PMAXUW xmm, xmm/m128
66 0F 38 3F /r | PMAXUD xmm, xmm/m128
66 0F 38 40 /r | PMULLD xmm, xmm/m128
66 0F 38 17 /r | PTEST xmm, xmm/m128 | r r
66 0F 38 41 /r | PHMINPOSUW xmm, xmm/m128 | w r
66 0F 38 20 /r | PMOVSXBW xmm, xmm/m64 | w r
66 0F 38 21 /r | PMOVSXBD xmm, xmm/m32 | w r
66 0F 38 22 /r | PMOVSXBQ xmm, xmm/m16 | w r
66 0F 38 23 /r | PMOVSXWD xmm, xmm/m64 | w r
66 0F 38 24 /r | PMOVSXWQ xmm, xmm/m32 | w r
66 0F 38 25 /r | PMOVSXDQ xmm, xmm/m64 | w r
66 0F 38 30 /r | PMOVZXBW xmm, xmm/m64 | w r
66 0F 38 31 /r | PMOVZXBD xmm, xmm/m32 | w r
66 0F 38 32 /r | PMOVZXBQ xmm, xmm/m16 | w r
66 0F 38 33 /r | PMOVZXWD xmm, xmm/m64 | w r
66 0F 38 34 /r | PMOVZXWQ xmm, xmm/m32 | w r
66 0F 38 35 /r | PMOVZXDQ xmm, xmm/m64 | w r
66 0F 3A 0E /r ib | PBLENDW xmm, xmm/m128, imm8
66 0F 3A 42 /r ib | MPSADBW xmm, xmm/m128, imm8
@ cost=sse access=r,r,r feature=SSE4.2
66 0F 38 37 /r | PCMPGTQ xmm, xmm/m128 | rw r
66 0F 3A 60 /r ib | PCMPESTRM xmm, xmm/m128, imm8
66 0F 3A 61 /r ib | PCMPESTRI xmm, xmm/m128, imm8
66 0F 3A 62 /r ib | PCMPISTRM xmm, xmm/m128, imm8
66 0F 3A 63 /r ib | PCMPISTRI xmm, xmm/m128, imm8
@ cost=sse access=rw,r,r
66 0F 3A 44 /r ib | PCLMULQDQ xmm, xmm/m128, imm8 | | feature=PCLMULQDQ
66 0F 38 DB /r | AESIMC xmm, xmm/m128 | w r | feature=AES
66 0F 38 DC /r | AESENC xmm, xmm/m128 | | feature=AES
66 0F 38 DD /r | AESENCLAST xmm, xmm/m128 | | feature=AES
66 0F 38 DE /r | AESDEC xmm, xmm/m128 | | feature=AES
66 0F 38 DF /r | AESDECLAST xmm, xmm/m128 | | feature=AES
66 0F 3A DF /r ib | AESKEYGENASSIST xmm, xmm/m128, imm8 | w r r | feature=AES
NP 0F 38 C8 /r | SHA1NEXTE xmm, xmm/m128 | | feature=SHA
NP 0F 38 C9 /r | SHA1MSG1 xmm, xmm/m128 | | feature=SHA
NP 0F 38 CA /r | SHA1MSG2 xmm, xmm/m128 | | feature=SHA
NP 0F 38 CB /r | SHA256RNDS2 xmm, xmm/m128 | | feature=SHA
NP 0F 38 CC /r | SHA256MSG1 xmm, xmm/m128 | | feature=SHA
NP 0F 38 CD /r | SHA256MSG2 xmm, xmm/m128 | | feature=SHA
NP 0F 3A CC /r ib | SHA1RNDS4 xmm, xmm/m128, imm8 | | feature=SHA
`;
