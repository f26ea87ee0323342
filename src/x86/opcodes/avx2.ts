/**
 * Rows of AVX2: integers (both lengths are here, those of 128 bits being AVX), broadcasts, permutations across lanes, shifts
 * by vectors, masked moves and gathers. The notation with `vec` is explained in avx.ts.
 * Sources: SDM 2 (instruction reference), SDM 1 §14.6-14.7.
 */
import { bothLengths, INTEGER } from './avx.ts';

const BOTH = `
VEX.V.66.0F38.W0 18 /r | VBROADCASTSS vec, xmm
VEX.V.66.0F38.W0 78 /r | VPBROADCASTB vec, xmm/m8
VEX.V.66.0F38.W0 79 /r | VPBROADCASTW vec, xmm/m16
VEX.V.66.0F38.W0 58 /r | VPBROADCASTD vec, xmm/m32
VEX.V.66.0F38.W0 59 /r | VPBROADCASTQ vec, xmm/m64
VEX.V.66.0F3A.W0 02 /r ib | VPBLENDD vec, vec, vec/mem, imm8
VEX.V.66.0F38.W0 45 /r | VPSRLVD vec, vec, vec/mem
VEX.V.66.0F38.W1 45 /r | VPSRLVQ vec, vec, vec/mem
VEX.V.66.0F38.W0 46 /r | VPSRAVD vec, vec, vec/mem
VEX.V.66.0F38.W0 47 /r | VPSLLVD vec, vec, vec/mem
VEX.V.66.0F38.W1 47 /r | VPSLLVQ vec, vec, vec/mem
VEX.V.66.0F38.W0 8C /r | VPMASKMOVD vec, vec, mem
VEX.V.66.0F38.W1 8C /r | VPMASKMOVQ vec, vec, mem
VEX.V.66.0F38.W0 8E /r | VPMASKMOVD mem, vec, vec | rw r r
VEX.V.66.0F38.W1 8E /r | VPMASKMOVQ mem, vec, vec | rw r r
`;

const ONE_LENGTH = `@ cost=sse access=w,r,r,r feature=AVX2 protected
VEX.256.66.0F38.W0 19 /r | VBROADCASTSD ymm, xmm
VEX.256.66.0F38.W0 5A /r | VBROADCASTI128 ymm, m128
VEX.256.66.0F38.W0 36 /r | VPERMD ymm, ymm, ymm/m256
VEX.256.66.0F38.W0 16 /r | VPERMPS ymm, ymm, ymm/m256
VEX.256.66.0F3A.W1 00 /r ib | VPERMQ ymm, ymm/m256, imm8
VEX.256.66.0F3A.W1 01 /r ib | VPERMPD ymm, ymm/m256, imm8
VEX.256.66.0F3A.W0 46 /r ib | VPERM2I128 ymm, ymm, ymm/m256, imm8
VEX.256.66.0F3A.W0 38 /r ib | VINSERTI128 ymm, ymm, xmm/m128, imm8
VEX.256.66.0F3A.W0 39 /r ib | VEXTRACTI128 xmm/m128, ymm, imm8
`;

const EXTENSIONS = `@ cost=sse access=w,r,r,r feature=AVX2 protected
VEX.256.66.0F38 20 /r | VPMOVSXBW ymm, xmm/m128
VEX.256.66.0F38 21 /r | VPMOVSXBD ymm, xmm/m64
VEX.256.66.0F38 22 /r | VPMOVSXBQ ymm, xmm/m32
VEX.256.66.0F38 23 /r | VPMOVSXWD ymm, xmm/m128
VEX.256.66.0F38 24 /r | VPMOVSXWQ ymm, xmm/m64
VEX.256.66.0F38 25 /r | VPMOVSXDQ ymm, xmm/m128
VEX.256.66.0F38 30 /r | VPMOVZXBW ymm, xmm/m128
VEX.256.66.0F38 31 /r | VPMOVZXBD ymm, xmm/m64
VEX.256.66.0F38 32 /r | VPMOVZXBQ ymm, xmm/m32
VEX.256.66.0F38 33 /r | VPMOVZXWD ymm, xmm/m128
VEX.256.66.0F38 34 /r | VPMOVZXWQ ymm, xmm/m64
VEX.256.66.0F38 35 /r | VPMOVZXDQ ymm, xmm/m128
`;

/** Destination and mask are written as elements arrive. */
const GATHERS = `@ cost=sse access=rw,r,rw,r feature=AVX2 protected
VEX.128.66.0F38.W0 90 /r | VPGATHERDD xmm, vm32x/m32, xmm
VEX.256.66.0F38.W0 90 /r | VPGATHERDD ymm, vm32y/m32, ymm
VEX.128.66.0F38.W1 90 /r | VPGATHERDQ xmm, vm32x/m64, xmm
VEX.256.66.0F38.W1 90 /r | VPGATHERDQ ymm, vm32x/m64, ymm
VEX.128.66.0F38.W0 91 /r | VPGATHERQD xmm, vm64x/m32, xmm
VEX.256.66.0F38.W0 91 /r | VPGATHERQD xmm, vm64y/m32, xmm
VEX.128.66.0F38.W1 91 /r | VPGATHERQQ xmm, vm64x/m64, xmm
VEX.256.66.0F38.W1 91 /r | VPGATHERQQ ymm, vm64y/m64, ymm
VEX.128.66.0F38.W0 92 /r | VGATHERDPS xmm, vm32x/m32, xmm
VEX.256.66.0F38.W0 92 /r | VGATHERDPS ymm, vm32y/m32, ymm
VEX.128.66.0F38.W1 92 /r | VGATHERDPD xmm, vm32x/m64, xmm
VEX.256.66.0F38.W1 92 /r | VGATHERDPD ymm, vm32x/m64, ymm
VEX.128.66.0F38.W0 93 /r | VGATHERQPS xmm, vm64x/m32, xmm
VEX.256.66.0F38.W0 93 /r | VGATHERQPS xmm, vm64y/m32, xmm
VEX.128.66.0F38.W1 93 /r | VGATHERQPD xmm, vm64x/m64, xmm
VEX.256.66.0F38.W1 93 /r | VGATHERQPD ymm, vm64y/m64, ymm
`;

const AVX = 'cost=sse access=w,r,r,r feature=AVX protected';
const AVX2 = 'cost=sse access=w,r,r,r feature=AVX2 protected';

export const AVX2_OPCODES = [bothLengths(INTEGER, AVX, AVX2), bothLengths(BOTH, AVX2), ONE_LENGTH, EXTENSIONS, GATHERS].join('');
