/**
 * What is known about a guest that ended or was stopped: registers, page walks through every stage, the last hypercalls,
 * and names where the image has symbols. It watches the stack from outside, so it costs the guest nothing.
 * `capture` is called at the moment of a crash, when the processor still holds the guest's registers; the stack may end
 * later, when its Dom0 has heard of it.
 */
import { isElf, parseElf, symbolsOf } from '../base/elf.ts';
import { hex64 } from '../base/integer.ts';
import type { Processor } from '../cpu/processor.ts';
import { processorReport, readGuestWord, walkLines } from './processor-report.ts';
import type { HypercallEvent, StackObserver } from './stack.ts';

const CALLS_KEPT = 16;
/** Words above the stack pointer that are looked at for return addresses. */
const STACK_WORDS = 64;
const STACK_LINES = 8;
const RSP = 4;
const FUNCTION = 2;
const UNTYPED = 0;

interface Symbol {
  readonly name: string;
  readonly address: bigint;
  /** First address behind it. */
  readonly end: bigint;
}

export class GuestReport {
  readonly #symbols: readonly Symbol[];
  /** The same call again only counts: a guest that waits makes many. */
  readonly #calls: { readonly call: HypercallEvent; times: number }[] = [];
  #captured: string | undefined = undefined;

  constructor(image: Uint8Array) {
    this.#symbols = codeSymbols(image);
  }

  /** Passes everything on to `inner`, and keeps the guest's last hypercalls. Dom0's, of any layer, are not the guest's. */
  watch(inner: StackObserver | undefined): StackObserver {
    return {
      ...inner,
      hypercall: (event) => {
        if (event.domain !== 0) this.#keep(event);
        inner?.hypercall?.(event);
      },
    };
  }

  #keep(call: HypercallEvent): void {
    const last = this.#calls.at(-1);
    if (last !== undefined && sameCall(last.call, call)) last.times++;
    else if (this.#calls.push({ call, times: 1 }) > CALLS_KEPT) this.#calls.shift();
  }

  /** Keeps the report of this moment under its reason, unless there is one. */
  capture(reason: string, processor: Processor): void {
    this.#captured ??= `${reason}\n${this.now(processor)}`;
  }

  get captured(): string | undefined {
    return this.#captured;
  }

  now(processor: Processor): string {
    const { state } = processor;
    const lines = [processorReport(processor)];
    for (const address of new Set([state.get('gpr', RSP), state.get('cr2')]))
      if (address !== 0n) lines.push(...walkLines(processor, address));
    lines.push(...this.#nameLines(processor));
    if (this.#calls.length > 0) {
      lines.push('last hypercalls:');
      for (const { call, times } of this.#calls) lines.push(`  ${describeHypercall(call)}${times > 1 ? ` (${times} times)` : ''}`);
    }
    return lines.join('\n');
  }

  /** Where the code is, and what on the stack looks like return addresses. */
  #nameLines(processor: Processor): string[] {
    const { state } = processor;
    const rip = this.#name(state.get('rip'));
    if (rip === undefined) return [];
    const lines = [`code: ${rip}`];
    const top = state.get('gpr', RSP);
    for (let n = 0; n < STACK_WORDS && lines.length <= STACK_LINES; n++) {
      const word = readGuestWord(processor, BigInt.asUintN(64, top + BigInt(8 * n)));
      if (word === undefined) break;
      const name = this.#name(word);
      if (name !== undefined) lines.push(`  rsp+0x${(8 * n).toString(16)}: ${name}`);
    }
    return lines;
  }

  #name(address: bigint): string | undefined {
    const symbol = this.#symbols.findLast(({ address: start, end }) => start <= address && address < end);
    return symbol && `${hex64(address)} = ${symbol.name}+0x${(address - symbol.address).toString(16)}`;
  }
}

function sameCall(a: HypercallEvent, b: HypercallEvent): boolean {
  return a.layer === b.layer && a.name === b.name && a.result === b.result && a.args.every((value, i) => value === b.args[i]);
}

/** As `--trace hypercalls` prints it. */
export function describeHypercall(event: HypercallEvent): string {
  const args = event.args.map((value) => `0x${BigInt.asUintN(64, value).toString(16)}`).join(', ');
  const result = event.result === undefined ? '-' : BigInt.asIntN(64, event.result).toString();
  return `layer ${event.layer} d${event.domain}v${event.vcpu} ${event.name}(${args}) = ${result}`;
}

/** Symbols of the executable sections, by address. Assembly's have no size: they end where the next one begins. */
function codeSymbols(file: Uint8Array): Symbol[] {
  if (!isElf(file)) return [];
  const image = parseElf(file);
  const symbols = symbolsOf(image)
    .filter(({ type, address }) => (type === FUNCTION || type === UNTYPED) && address !== 0n)
    .sort((a, b) => (a.address < b.address ? -1 : 1));
  const code = image.segments.filter(({ flags }) => (flags & 1) !== 0);
  return symbols.flatMap(({ name, address, sizeBytes }, i) => {
    const segment = code.find(({ virtual, memoryBytes }) => virtual <= address && address < virtual + memoryBytes);
    if (segment === undefined) return [];
    const next = symbols.slice(i + 1).find((other) => other.address > address)?.address;
    return [{ name, address, end: sizeBytes > 0n ? address + sizeBytes : (next ?? segment.virtual + segment.memoryBytes) }];
  });
}
