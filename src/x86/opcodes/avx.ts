/**
 * Rows of AVX: the VEX encodings of SSE to SSE4.2 (AES and PCLMULQDQ included) with 128-bit vectors, those of floating
 * point with 256 bits, and the instructions that AVX adds. Columns and defaults are explained in ../opcode-parser.ts.
 * `VEX.V` with `vec`, `vec/mem`, `mem` stands for two rows: 128 bits with xmm and m128, and 256 bits with ymm and m256.
 * Sources: SDM 2 (VEX forms in the instruction reference), SDM 1 §14.1-14.3; SDM 2A §2.3 (VEX).
 */

function atLength(lines: string, bits: 128 | 256): string {
  const register = bits === 128 ? 'xmm' : 'ymm';
  return lines
    .replaceAll('VEX.V.', `VEX.${bits}.`)
    .replaceAll('vec/mem', `${register}/m${bits}`)
    .replaceAll('vec', register)
    .replaceAll(/\bmem\b(?=[, ]|$)/gm, `m${bits}`);
}

/** The rows of lines in `VEX.V` notation, with defaults for each of the two lengths. */
export function bothLengths(lines: string, defaults128: string, defaults256 = defaults128): string {
  return `@ ${defaults128}\n${atLength(lines.trim(), 128)}\n@ ${defaults256}\n${atLength(lines.trim(), 256)}\n`;
}

const PACKED = `
VEX.V.NP.0F 58 /r | VADDPS vec, vec, vec/mem | | cost=addsd
VEX.V.66.0F 58 /r | VADDPD vec, vec, vec/mem | | cost=addsd
VEX.V.NP.0F 5C /r | VSUBPS vec, vec, vec/mem | | cost=addsd
VEX.V.66.0F 5C /r | VSUBPD vec, vec, vec/mem | | cost=addsd
VEX.V.NP.0F 59 /r | VMULPS vec, vec, vec/mem | | cost=mulsd
VEX.V.66.0F 59 /r | VMULPD vec, vec, vec/mem | | cost=mulsd
VEX.V.NP.0F 5E /r | VDIVPS vec, vec, vec/mem | | cost=divsd
VEX.V.66.0F 5E /r | VDIVPD vec, vec, vec/mem | | cost=divsd
VEX.V.NP.0F 5D /r | VMINPS vec, vec, vec/mem | | cost=addsd
VEX.V.66.0F 5D /r | VMINPD vec, vec, vec/mem | | cost=addsd
VEX.V.NP.0F 5F /r | VMAXPS vec, vec, vec/mem | | cost=addsd
VEX.V.66.0F 5F /r | VMAXPD vec, vec, vec/mem | | cost=addsd
VEX.V.NP.0F 51 /r | VSQRTPS vec, vec/mem | | cost=sqrtsd
VEX.V.66.0F 51 /r | VSQRTPD vec, vec/mem | | cost=sqrtsd
VEX.V.NP.0F 52 /r | VRSQRTPS vec, vec/mem
VEX.V.NP.0F 53 /r | VRCPPS vec, vec/mem
VEX.V.NP.0F 54 /r | VANDPS vec, vec, vec/mem
VEX.V.66.0F 54 /r | VANDPD vec, vec, vec/mem
VEX.V.NP.0F 55 /r | VANDNPS vec, vec, vec/mem
VEX.V.66.0F 55 /r | VANDNPD vec, vec, vec/mem
VEX.V.NP.0F 56 /r | VORPS vec, vec, vec/mem
VEX.V.66.0F 56 /r | VORPD vec, vec, vec/mem
VEX.V.NP.0F 57 /r | VXORPS vec, vec, vec/mem
VEX.V.66.0F 57 /r | VXORPD vec, vec, vec/mem
VEX.V.NP.0F C2 /r ib | VCMPPS vec, vec, vec/mem, imm8 | | cost=addsd
VEX.V.66.0F C2 /r ib | VCMPPD vec, vec, vec/mem, imm8 | | cost=addsd
VEX.V.NP.0F C6 /r ib | VSHUFPS vec, vec, vec/mem, imm8
VEX.V.66.0F C6 /r ib | VSHUFPD vec, vec, vec/mem, imm8
VEX.V.NP.0F 14 /r | VUNPCKLPS vec, vec, vec/mem
VEX.V.66.0F 14 /r | VUNPCKLPD vec, vec, vec/mem
VEX.V.NP.0F 15 /r | VUNPCKHPS vec, vec, vec/mem
VEX.V.66.0F 15 /r | VUNPCKHPD vec, vec, vec/mem
VEX.V.66.0F 7C /r | VHADDPD vec, vec, vec/mem | | cost=addsd
VEX.V.F2.0F 7C /r | VHADDPS vec, vec, vec/mem | | cost=addsd
VEX.V.66.0F 7D /r | VHSUBPD vec, vec, vec/mem | | cost=addsd
VEX.V.F2.0F 7D /r | VHSUBPS vec, vec, vec/mem | | cost=addsd
VEX.V.66.0F D0 /r | VADDSUBPD vec, vec, vec/mem | | cost=addsd
VEX.V.F2.0F D0 /r | VADDSUBPS vec, vec, vec/mem | | cost=addsd
VEX.V.NP.0F 5B /r | VCVTDQ2PS vec, vec/mem | | cost=addsd
VEX.V.66.0F 5B /r | VCVTPS2DQ vec, vec/mem | | cost=addsd
VEX.V.F3.0F 5B /r | VCVTTPS2DQ vec, vec/mem | | cost=addsd
VEX.V.66.0F 5A /r | VCVTPD2PS xmm, vec/mem | | cost=addsd
VEX.V.66.0F E6 /r | VCVTTPD2DQ xmm, vec/mem | | cost=addsd
VEX.V.F2.0F E6 /r | VCVTPD2DQ xmm, vec/mem | | cost=addsd
VEX.V.66.0F3A 08 /r ib | VROUNDPS vec, vec/mem, imm8
VEX.V.66.0F3A 09 /r ib | VROUNDPD vec, vec/mem, imm8
VEX.V.66.0F3A 0C /r ib | VBLENDPS vec, vec, vec/mem, imm8
VEX.V.66.0F3A 0D /r ib | VBLENDPD vec, vec, vec/mem, imm8
VEX.V.66.0F3A.W0 4A /r | VBLENDVPS vec, vec, vec/mem, vec/is4
VEX.V.66.0F3A.W0 4B /r | VBLENDVPD vec, vec, vec/mem, vec/is4
VEX.V.66.0F3A 40 /r ib | VDPPS vec, vec, vec/mem, imm8 | | cost=mulsd
VEX.V.66.0F38 17 /r | VPTEST vec, vec/mem | r r
`;

const MOVES = `
VEX.V.NP.0F 10 /r | VMOVUPS vec, vec/mem
VEX.V.NP.0F 11 /r | VMOVUPS vec/mem, vec
VEX.V.66.0F 10 /r | VMOVUPD vec, vec/mem
VEX.V.66.0F 11 /r | VMOVUPD vec/mem, vec
VEX.V.NP.0F 28 /r | VMOVAPS vec, vec/mem
VEX.V.NP.0F 29 /r | VMOVAPS vec/mem, vec
VEX.V.66.0F 28 /r | VMOVAPD vec, vec/mem
VEX.V.66.0F 29 /r | VMOVAPD vec/mem, vec
VEX.V.66.0F 6F /r | VMOVDQA vec, vec/mem
VEX.V.66.0F 7F /r | VMOVDQA vec/mem, vec
VEX.V.F3.0F 6F /r | VMOVDQU vec, vec/mem
VEX.V.F3.0F 7F /r | VMOVDQU vec/mem, vec
VEX.V.NP.0F 2B /r | VMOVNTPS mem, vec
VEX.V.66.0F 2B /r | VMOVNTPD mem, vec
VEX.V.66.0F E7 /r | VMOVNTDQ mem, vec
VEX.V.F2.0F F0 /r | VLDDQU vec, mem
VEX.V.F3.0F 12 /r | VMOVSLDUP vec, vec/mem
VEX.V.F3.0F 16 /r | VMOVSHDUP vec, vec/mem
VEX.V.NP.0F 50 /r | VMOVMSKPS r32, vec
VEX.V.66.0F 50 /r | VMOVMSKPD r32, vec
VEX.V.66.0F38.W0 0C /r | VPERMILPS vec, vec, vec/mem
VEX.V.66.0F38.W0 0D /r | VPERMILPD vec, vec, vec/mem
VEX.V.66.0F3A.W0 04 /r ib | VPERMILPS vec, vec/mem, imm8
VEX.V.66.0F3A.W0 05 /r ib | VPERMILPD vec, vec/mem, imm8
VEX.V.66.0F38.W0 0E /r | VTESTPS vec, vec/mem | r r
VEX.V.66.0F38.W0 0F /r | VTESTPD vec, vec/mem | r r
VEX.V.66.0F38.W0 18 /r | VBROADCASTSS vec, m32
VEX.V.66.0F38.W0 2C /r | VMASKMOVPS vec, vec, mem
VEX.V.66.0F38.W0 2D /r | VMASKMOVPD vec, vec, mem
VEX.V.66.0F38.W0 2E /r | VMASKMOVPS mem, vec, vec | rw r r
VEX.V.66.0F38.W0 2F /r | VMASKMOVPD mem, vec, vec | rw r r
`;

const SCALAR = `@ cost=sse access=w,r,r,r feature=AVX protected
VEX.LIG.F3.0F 58 /r | VADDSS xmm, xmm, xmm/m32 | | cost=addsd
VEX.LIG.F2.0F 58 /r | VADDSD xmm, xmm, xmm/m64 | | cost=addsd
VEX.LIG.F3.0F 5C /r | VSUBSS xmm, xmm, xmm/m32 | | cost=addsd
VEX.LIG.F2.0F 5C /r | VSUBSD xmm, xmm, xmm/m64 | | cost=addsd
VEX.LIG.F3.0F 59 /r | VMULSS xmm, xmm, xmm/m32 | | cost=mulsd
VEX.LIG.F2.0F 59 /r | VMULSD xmm, xmm, xmm/m64 | | cost=mulsd
VEX.LIG.F3.0F 5E /r | VDIVSS xmm, xmm, xmm/m32 | | cost=divsd
VEX.LIG.F2.0F 5E /r | VDIVSD xmm, xmm, xmm/m64 | | cost=divsd
VEX.LIG.F3.0F 5D /r | VMINSS xmm, xmm, xmm/m32 | | cost=addsd
VEX.LIG.F2.0F 5D /r | VMINSD xmm, xmm, xmm/m64 | | cost=addsd
VEX.LIG.F3.0F 5F /r | VMAXSS xmm, xmm, xmm/m32 | | cost=addsd
VEX.LIG.F2.0F 5F /r | VMAXSD xmm, xmm, xmm/m64 | | cost=addsd
VEX.LIG.F3.0F 51 /r | VSQRTSS xmm, xmm, xmm/m32 | | cost=sqrtsd
VEX.LIG.F2.0F 51 /r | VSQRTSD xmm, xmm, xmm/m64 | | cost=sqrtsd
VEX.LIG.F3.0F 52 /r | VRSQRTSS xmm, xmm, xmm/m32
VEX.LIG.F3.0F 53 /r | VRCPSS xmm, xmm, xmm/m32
VEX.LIG.F3.0F C2 /r ib | VCMPSS xmm, xmm, xmm/m32, imm8 | | cost=addsd
VEX.LIG.F2.0F C2 /r ib | VCMPSD xmm, xmm, xmm/m64, imm8 | | cost=addsd
VEX.LIG.NP.0F 2E /r | VUCOMISS xmm, xmm/m32 | r r
VEX.LIG.66.0F 2E /r | VUCOMISD xmm, xmm/m64 | r r
VEX.LIG.NP.0F 2F /r | VCOMISS xmm, xmm/m32 | r r
VEX.LIG.66.0F 2F /r | VCOMISD xmm, xmm/m64 | r r
VEX.LIG.F3.0F 2A /r | VCVTSI2SS xmm, xmm, r/my | | cost=addsd
VEX.LIG.F2.0F 2A /r | VCVTSI2SD xmm, xmm, r/my | | cost=addsd
VEX.LIG.F3.0F 2C /r | VCVTTSS2SI ry, xmm/m32 | | cost=addsd
VEX.LIG.F2.0F 2C /r | VCVTTSD2SI ry, xmm/m64 | | cost=addsd
VEX.LIG.F3.0F 2D /r | VCVTSS2SI ry, xmm/m32 | | cost=addsd
VEX.LIG.F2.0F 2D /r | VCVTSD2SI ry, xmm/m64 | | cost=addsd
VEX.LIG.F3.0F 5A /r | VCVTSS2SD xmm, xmm, xmm/m32 | | cost=addsd
VEX.LIG.F2.0F 5A /r | VCVTSD2SS xmm, xmm, xmm/m64 | | cost=addsd
VEX.LIG.66.0F3A 0A /r ib | VROUNDSS xmm, xmm, xmm/m32, imm8
VEX.LIG.66.0F3A 0B /r ib | VROUNDSD xmm, xmm, xmm/m64, imm8
VEX.LIG.F3.0F 10 /r | VMOVSS xmm, m32
VEX.LIG.F3.0F 10 /r | VMOVSS xmm, xmm, xmm
VEX.LIG.F3.0F 11 /r | VMOVSS m32, xmm
VEX.LIG.F3.0F 11 /r | VMOVSS xmm/m32, xmm, xmm | | reg
VEX.LIG.F2.0F 10 /r | VMOVSD xmm, m64
VEX.LIG.F2.0F 10 /r | VMOVSD xmm, xmm, xmm
VEX.LIG.F2.0F 11 /r | VMOVSD m64, xmm
VEX.LIG.F2.0F 11 /r | VMOVSD xmm/m64, xmm, xmm | | reg
`;

const ONE_LENGTH = `@ cost=sse access=w,r,r,r feature=AVX protected
VEX.128.NP.0F 77 | VZEROUPPER
VEX.256.NP.0F 77 | VZEROALL
VEX.256.66.0F38.W0 19 /r | VBROADCASTSD ymm, m64
VEX.256.66.0F38.W0 1A /r | VBROADCASTF128 ymm, m128
VEX.256.66.0F3A.W0 06 /r ib | VPERM2F128 ymm, ymm, ymm/m256, imm8
VEX.256.66.0F3A.W0 18 /r ib | VINSERTF128 ymm, ymm, xmm/m128, imm8
VEX.256.66.0F3A.W0 19 /r ib | VEXTRACTF128 xmm/m128, ymm, imm8
VEX.128.F2.0F 12 /r | VMOVDDUP xmm, xmm/m64
VEX.256.F2.0F 12 /r | VMOVDDUP ymm, ymm/m256
VEX.128.NP.0F 5A /r | VCVTPS2PD xmm, xmm/m64 | | cost=addsd
VEX.256.NP.0F 5A /r | VCVTPS2PD ymm, xmm/m128 | | cost=addsd
VEX.128.F3.0F E6 /r | VCVTDQ2PD xmm, xmm/m64 | | cost=addsd
VEX.256.F3.0F E6 /r | VCVTDQ2PD ymm, xmm/m128 | | cost=addsd
VEX.128.66.0F3A 41 /r ib | VDPPD xmm, xmm, xmm/m128, imm8 | | cost=mulsd
VEX.128.66.0F3A 21 /r ib | VINSERTPS xmm, xmm, xmm/m32, imm8
VEX.128.66.0F3A 17 /r ib | VEXTRACTPS r/m32, xmm, imm8
VEX.128.NP.0F 12 /r | VMOVLPS xmm, xmm, m64
VEX.128.NP.0F 12 /r | VMOVHLPS xmm, xmm, xmm
VEX.128.NP.0F 13 /r | VMOVLPS m64, xmm
VEX.128.66.0F 12 /r | VMOVLPD xmm, xmm, m64
VEX.128.66.0F 13 /r | VMOVLPD m64, xmm
VEX.128.NP.0F 16 /r | VMOVHPS xmm, xmm, m64
VEX.128.NP.0F 16 /r | VMOVLHPS xmm, xmm, xmm
VEX.128.NP.0F 17 /r | VMOVHPS m64, xmm
VEX.128.66.0F 16 /r | VMOVHPD xmm, xmm, m64
VEX.128.66.0F 17 /r | VMOVHPD m64, xmm
VEX.128.NP.0F AE /2 | VLDMXCSR m32 | r
VEX.128.NP.0F AE /3 | VSTMXCSR m32 | w
VEX.128.66.0F.W0 6E /r | VMOVD xmm, r/m32
VEX.128.66.0F.W1 6E /r | VMOVQ xmm, r/m64 | | 64
VEX.128.66.0F.W1 6E /r | VMOVD xmm, r/m32 | | legacy
VEX.128.66.0F.W0 7E /r | VMOVD r/m32, xmm
VEX.128.66.0F.W1 7E /r | VMOVQ r/m64, xmm | | 64
VEX.128.66.0F.W1 7E /r | VMOVD r/m32, xmm | | legacy
VEX.128.F3.0F 7E /r | VMOVQ xmm, xmm/m64
VEX.128.66.0F D6 /r | VMOVQ xmm/m64, xmm
VEX.128.66.0F F7 /r | VMASKMOVDQU xmm, xmm | r r | mem=di
VEX.128.66.0F C4 /r ib | VPINSRW xmm, xmm, r32/m16, imm8
VEX.128.66.0F3A 20 /r ib | VPINSRB xmm, xmm, r32/m8, imm8
VEX.128.66.0F3A.W0 22 /r ib | VPINSRD xmm, xmm, r/m32, imm8
VEX.128.66.0F3A.W1 22 /r ib | VPINSRQ xmm, xmm, r/m64, imm8 | | 64
VEX.128.66.0F C5 /r ib | VPEXTRW r32, xmm, imm8
VEX.128.66.0F3A 14 /r ib | VPEXTRB r32/m8, xmm, imm8
VEX.128.66.0F3A 15 /r ib | VPEXTRW r32/m16, xmm, imm8
VEX.128.66.0F3A.W0 16 /r ib | VPEXTRD r/m32, xmm, imm8
VEX.128.66.0F3A.W1 16 /r ib | VPEXTRQ r/m64, xmm, imm8 | | 64
VEX.128.66.0F38 41 /r | VPHMINPOSUW xmm, xmm/m128
VEX.128.66.0F3A 60 /r ib | VPCMPESTRM xmm, xmm/m128, imm8 | r r r
VEX.128.66.0F3A 61 /r ib | VPCMPESTRI xmm, xmm/m128, imm8 | r r r
VEX.128.66.0F3A 62 /r ib | VPCMPISTRM xmm, xmm/m128, imm8 | r r r
VEX.128.66.0F3A 63 /r ib | VPCMPISTRI xmm, xmm/m128, imm8 | r r r
VEX.128.66.0F3A 44 /r ib | VPCLMULQDQ xmm, xmm, xmm/m128, imm8 | | feature=PCLMULQDQ
VEX.128.66.0F38 DB /r | VAESIMC xmm, xmm/m128 | | feature=AES
VEX.128.66.0F38 DC /r | VAESENC xmm, xmm, xmm/m128 | | feature=AES
VEX.128.66.0F38 DD /r | VAESENCLAST xmm, xmm, xmm/m128 | | feature=AES
VEX.128.66.0F38 DE /r | VAESDEC xmm, xmm, xmm/m128 | | feature=AES
VEX.128.66.0F38 DF /r | VAESDECLAST xmm, xmm, xmm/m128 | | feature=AES
VEX.128.66.0F3A DF /r ib | VAESKEYGENASSIST xmm, xmm/m128, imm8 | | feature=AES
`;

/** Integers: 256 bits are AVX2. */
export const INTEGER = `
VEX.V.66.0F 60 /r | VPUNPCKLBW vec, vec, vec/mem
VEX.V.66.0F 61 /r | VPUNPCKLWD vec, vec, vec/mem
VEX.V.66.0F 62 /r | VPUNPCKLDQ vec, vec, vec/mem
VEX.V.66.0F 63 /r | VPACKSSWB vec, vec, vec/mem
VEX.V.66.0F 64 /r | VPCMPGTB vec, vec, vec/mem
VEX.V.66.0F 65 /r | VPCMPGTW vec, vec, vec/mem
VEX.V.66.0F 66 /r | VPCMPGTD vec, vec, vec/mem
VEX.V.66.0F 67 /r | VPACKUSWB vec, vec, vec/mem
VEX.V.66.0F 68 /r | VPUNPCKHBW vec, vec, vec/mem
VEX.V.66.0F 69 /r | VPUNPCKHWD vec, vec, vec/mem
VEX.V.66.0F 6A /r | VPUNPCKHDQ vec, vec, vec/mem
VEX.V.66.0F 6B /r | VPACKSSDW vec, vec, vec/mem
VEX.V.66.0F 74 /r | VPCMPEQB vec, vec, vec/mem
VEX.V.66.0F 75 /r | VPCMPEQW vec, vec, vec/mem
VEX.V.66.0F 76 /r | VPCMPEQD vec, vec, vec/mem
VEX.V.66.0F D1 /r | VPSRLW vec, vec, xmm/m128
VEX.V.66.0F D2 /r | VPSRLD vec, vec, xmm/m128
VEX.V.66.0F D3 /r | VPSRLQ vec, vec, xmm/m128
VEX.V.66.0F D4 /r | VPADDQ vec, vec, vec/mem
VEX.V.66.0F D5 /r | VPMULLW vec, vec, vec/mem
VEX.V.66.0F D8 /r | VPSUBUSB vec, vec, vec/mem
VEX.V.66.0F D9 /r | VPSUBUSW vec, vec, vec/mem
VEX.V.66.0F DA /r | VPMINUB vec, vec, vec/mem
VEX.V.66.0F DB /r | VPAND vec, vec, vec/mem
VEX.V.66.0F DC /r | VPADDUSB vec, vec, vec/mem
VEX.V.66.0F DD /r | VPADDUSW vec, vec, vec/mem
VEX.V.66.0F DE /r | VPMAXUB vec, vec, vec/mem
VEX.V.66.0F DF /r | VPANDN vec, vec, vec/mem
VEX.V.66.0F E0 /r | VPAVGB vec, vec, vec/mem
VEX.V.66.0F E1 /r | VPSRAW vec, vec, xmm/m128
VEX.V.66.0F E2 /r | VPSRAD vec, vec, xmm/m128
VEX.V.66.0F E3 /r | VPAVGW vec, vec, vec/mem
VEX.V.66.0F E4 /r | VPMULHUW vec, vec, vec/mem
VEX.V.66.0F E5 /r | VPMULHW vec, vec, vec/mem
VEX.V.66.0F E8 /r | VPSUBSB vec, vec, vec/mem
VEX.V.66.0F E9 /r | VPSUBSW vec, vec, vec/mem
VEX.V.66.0F EA /r | VPMINSW vec, vec, vec/mem
VEX.V.66.0F EB /r | VPOR vec, vec, vec/mem
VEX.V.66.0F EC /r | VPADDSB vec, vec, vec/mem
VEX.V.66.0F ED /r | VPADDSW vec, vec, vec/mem
VEX.V.66.0F EE /r | VPMAXSW vec, vec, vec/mem
VEX.V.66.0F EF /r | VPXOR vec, vec, vec/mem
VEX.V.66.0F F1 /r | VPSLLW vec, vec, xmm/m128
VEX.V.66.0F F2 /r | VPSLLD vec, vec, xmm/m128
VEX.V.66.0F F3 /r | VPSLLQ vec, vec, xmm/m128
VEX.V.66.0F F4 /r | VPMULUDQ vec, vec, vec/mem
VEX.V.66.0F F5 /r | VPMADDWD vec, vec, vec/mem
VEX.V.66.0F F6 /r | VPSADBW vec, vec, vec/mem
VEX.V.66.0F F8 /r | VPSUBB vec, vec, vec/mem
VEX.V.66.0F F9 /r | VPSUBW vec, vec, vec/mem
VEX.V.66.0F FA /r | VPSUBD vec, vec, vec/mem
VEX.V.66.0F FB /r | VPSUBQ vec, vec, vec/mem
VEX.V.66.0F FC /r | VPADDB vec, vec, vec/mem
VEX.V.66.0F FD /r | VPADDW vec, vec, vec/mem
VEX.V.66.0F FE /r | VPADDD vec, vec, vec/mem
VEX.V.66.0F 6C /r | VPUNPCKLQDQ vec, vec, vec/mem
VEX.V.66.0F 6D /r | VPUNPCKHQDQ vec, vec, vec/mem
VEX.V.66.0F 71 /2 ib | VPSRLW vec, vec, imm8
VEX.V.66.0F 71 /4 ib | VPSRAW vec, vec, imm8
VEX.V.66.0F 71 /6 ib | VPSLLW vec, vec, imm8
VEX.V.66.0F 72 /2 ib | VPSRLD vec, vec, imm8
VEX.V.66.0F 72 /4 ib | VPSRAD vec, vec, imm8
VEX.V.66.0F 72 /6 ib | VPSLLD vec, vec, imm8
VEX.V.66.0F 73 /2 ib | VPSRLQ vec, vec, imm8
VEX.V.66.0F 73 /6 ib | VPSLLQ vec, vec, imm8
VEX.V.66.0F 73 /3 ib | VPSRLDQ vec, vec, imm8
VEX.V.66.0F 73 /7 ib | VPSLLDQ vec, vec, imm8
VEX.V.66.0F 70 /r ib | VPSHUFD vec, vec/mem, imm8
VEX.V.F3.0F 70 /r ib | VPSHUFHW vec, vec/mem, imm8
VEX.V.F2.0F 70 /r ib | VPSHUFLW vec, vec/mem, imm8
VEX.V.66.0F38 00 /r | VPSHUFB vec, vec, vec/mem
VEX.V.66.0F38 01 /r | VPHADDW vec, vec, vec/mem
VEX.V.66.0F38 02 /r | VPHADDD vec, vec, vec/mem
VEX.V.66.0F38 03 /r | VPHADDSW vec, vec, vec/mem
VEX.V.66.0F38 04 /r | VPMADDUBSW vec, vec, vec/mem
VEX.V.66.0F38 05 /r | VPHSUBW vec, vec, vec/mem
VEX.V.66.0F38 06 /r | VPHSUBD vec, vec, vec/mem
VEX.V.66.0F38 07 /r | VPHSUBSW vec, vec, vec/mem
VEX.V.66.0F38 08 /r | VPSIGNB vec, vec, vec/mem
VEX.V.66.0F38 09 /r | VPSIGNW vec, vec, vec/mem
VEX.V.66.0F38 0A /r | VPSIGND vec, vec, vec/mem
VEX.V.66.0F38 0B /r | VPMULHRSW vec, vec, vec/mem
VEX.V.66.0F38 1C /r | VPABSB vec, vec/mem
VEX.V.66.0F38 1D /r | VPABSW vec, vec/mem
VEX.V.66.0F38 1E /r | VPABSD vec, vec/mem
VEX.V.66.0F3A 0F /r ib | VPALIGNR vec, vec, vec/mem, imm8
VEX.V.66.0F38 28 /r | VPMULDQ vec, vec, vec/mem
VEX.V.66.0F38 29 /r | VPCMPEQQ vec, vec, vec/mem
VEX.V.66.0F38 2B /r | VPACKUSDW vec, vec, vec/mem
VEX.V.66.0F38 38 /r | VPMINSB vec, vec, vec/mem
VEX.V.66.0F38 39 /r | VPMINSD vec, vec, vec/mem
VEX.V.66.0F38 3A /r | VPMINUW vec, vec, vec/mem
VEX.V.66.0F38 3B /r | VPMINUD vec, vec, vec/mem
VEX.V.66.0F38 3C /r | VPMAXSB vec, vec, vec/mem
VEX.V.66.0F38 3D /r | VPMAXSD vec, vec, vec/mem
VEX.V.66.0F38 3E /r | VPMAXUW vec, vec, vec/mem
VEX.V.66.0F38 3F /r | VPMAXUD vec, vec, vec/mem
VEX.V.66.0F38 40 /r | VPMULLD vec, vec, vec/mem
VEX.V.66.0F3A 0E /r ib | VPBLENDW vec, vec, vec/mem, imm8
VEX.V.66.0F3A 42 /r ib | VMPSADBW vec, vec, vec/mem, imm8
VEX.V.66.0F38 37 /r | VPCMPGTQ vec, vec, vec/mem
VEX.V.66.0F D7 /r | VPMOVMSKB r32, vec
VEX.V.66.0F38 2A /r | VMOVNTDQA vec, mem
VEX.V.66.0F3A.W0 4C /r | VPBLENDVB vec, vec, vec/mem, vec/is4
`;

const EXTENSIONS = `@ cost=sse access=w,r,r,r feature=AVX protected
VEX.128.66.0F38 20 /r | VPMOVSXBW xmm, xmm/m64
VEX.128.66.0F38 21 /r | VPMOVSXBD xmm, xmm/m32
VEX.128.66.0F38 22 /r | VPMOVSXBQ xmm, xmm/m16
VEX.128.66.0F38 23 /r | VPMOVSXWD xmm, xmm/m64
VEX.128.66.0F38 24 /r | VPMOVSXWQ xmm, xmm/m32
VEX.128.66.0F38 25 /r | VPMOVSXDQ xmm, xmm/m64
VEX.128.66.0F38 30 /r | VPMOVZXBW xmm, xmm/m64
VEX.128.66.0F38 31 /r | VPMOVZXBD xmm, xmm/m32
VEX.128.66.0F38 32 /r | VPMOVZXBQ xmm, xmm/m16
VEX.128.66.0F38 33 /r | VPMOVZXWD xmm, xmm/m64
VEX.128.66.0F38 34 /r | VPMOVZXWQ xmm, xmm/m32
VEX.128.66.0F38 35 /r | VPMOVZXDQ xmm, xmm/m64
`;

export const AVX_OPCODES = [
  bothLengths(PACKED + MOVES, 'cost=sse access=w,r,r,r feature=AVX protected'),
  SCALAR,
  ONE_LENGTH,
  EXTENSIONS,
].join('');
