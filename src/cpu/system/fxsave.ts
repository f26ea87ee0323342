/**
 * The 512-byte FXSAVE image of x87 and SSE state: for FXSAVE, FXRSTOR and register contexts of hypervisors.
 *
 *     0 FCW  2 FSW  4 FTW (one bit a physical register, 1 = not empty)  6 FOP  8 FIP  16 FDP  24 MXCSR  28 MXCSR_MASK
 *    32 ST0..ST7, 16 bytes each (10 used)      160 XMM0..XMM15, 16 bytes each      416 reserved, left to software
 *
 * FOP, FIP and FDP are no part of the state and are saved as zero.
 * Source: SDM 1 §10.5.1 (FXSAVE area, Tables 10-4 and 10-5).
 */
import { type CpuState, OFFSET } from '../state.ts';

export const FXSAVE_BYTES = 512;
/** Bytes that FXSAVE writes in 64-bit mode; 32-bit code has 8 XMM registers. */
export const FXSAVE_WRITTEN_64 = 416;
export const FXSAVE_WRITTEN_32 = 288;

const ST = OFFSET.st;
const XMM = OFFSET.xmm;

function topOf(status: number): number {
  return (status >> 11) & 7;
}

/** Writes the image into `into`, which keeps its bytes from 416 on. */
export function saveFxImage(state: CpuState, into: Uint8Array, xmmRegisters = 16): void {
  const view = new DataView(into.buffer, into.byteOffset, into.byteLength);
  const status = state.get32('fpuStatus');
  into.fill(0, 0, 160);
  view.setUint16(0, state.get32('fpuControl'), true);
  view.setUint16(2, status, true);
  view.setUint8(4, state.get32('fpuTag') & 0xff);
  view.setUint32(24, state.get32('mxcsr'), true);
  view.setUint32(28, state.get32('mxcsrMask'), true);
  for (let i = 0; i < 8; i++) {
    const physical = ST + ((topOf(status) + i) & 7) * 16;
    into.set(state.u8.subarray(physical, physical + 10), 32 + i * 16);
  }
  into.set(state.u8.subarray(XMM, XMM + xmmRegisters * 16), 160);
}

/** Loads the image. False, and nothing changed, when MXCSR has reserved bits set (#GP(0)). */
export function loadFxImage(state: CpuState, from: Uint8Array, xmmRegisters = 16): boolean {
  const view = new DataView(from.buffer, from.byteOffset, from.byteLength);
  const mxcsr = view.getUint32(24, true);
  if ((mxcsr & ~state.get32('mxcsrMask')) !== 0) return false;
  const status = view.getUint16(2, true);
  state.set32('fpuControl', view.getUint16(0, true));
  state.set32('fpuStatus', status);
  state.set32('fpuTag', view.getUint8(4));
  state.set32('mxcsr', mxcsr);
  for (let i = 0; i < 8; i++) {
    const physical = ST + ((topOf(status) + i) & 7) * 16;
    state.u8.set(from.subarray(32 + i * 16, 32 + i * 16 + 10), physical);
  }
  state.u8.set(from.subarray(160, 160 + xmmRegisters * 16), XMM);
  return true;
}
