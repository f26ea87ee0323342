/**
 * Handlers of instruction forms, in the function table that records name them by. The first instruction of a form gets
 * it a handler of its own, in a small module. Where the guest spends its time is sampled each time that it stops because
 * time has come; when it is found often enough in handlers of their own, the forms seen most are joined in one function,
 * which takes all their places in the table. That changes speed and nothing else.
 */
import type { CostModel } from '../../timing/model.ts';
import type { Instruction } from '../../x86/instruction.ts';
import type { Definition } from '../algebra.ts';
import { HandlerCompiler, type HandlerForm, type HandlerModule, type HandlerServices, hostFunctionImports } from './handlers.ts';
import { handlerKey, SLOT } from './record.ts';
import { SubroutineLinker } from './subroutine-linker.ts';

const TABLE_STEP = 4096;
/** More would make a function that takes V8 long to compile. */
const MOST_JOINED = 400;
/** Samples outside the joined function before the first joining; each next one waits for twice as many. */
const FIRST_PATIENCE = 8;

interface Form extends HandlerForm {
  samples: number;
  joined: boolean;
}

export class HandlerTable {
  readonly functions = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_STEP });
  private readonly memory: WebAssembly.Memory;
  private readonly compiler: HandlerCompiler;
  private readonly linker: SubroutineLinker;
  private readonly slots = new Map<string, number>();
  /** By slot, less SLOT.firstHandler. */
  private readonly forms: Form[] = [];
  private services!: HandlerServices;
  private patience = FIRST_PATIENCE;
  private outside = 0;

  constructor(memory: WebAssembly.Memory, memoryPages: number, model: CostModel) {
    this.memory = memory;
    this.compiler = new HandlerCompiler(memoryPages, model);
    this.linker = new SubroutineLinker(memory, memoryPages, hostFunctionImports());
  }

  /** What handlers import; set once, before the first of them. */
  provide(services: HandlerServices): void {
    this.services = services;
  }

  /** Slot of the handler of an instruction's form, which is made when it is the first of it. */
  slotOf(instruction: Instruction, definition: Definition, twelfths: number): number {
    const key = handlerKey(instruction);
    let slot = this.slots.get(key);
    if (slot === undefined) {
      slot = SLOT.firstHandler + this.forms.length;
      const form: Form = { slot, instruction, definition, twelfths, samples: 0, joined: false };
      this.install(slot, this.compiler.single(form));
      this.slots.set(key, slot);
      this.forms.push(form);
    }
    return slot;
  }

  /** Execution stopped before an instruction with the handler of this slot. */
  sample(slot: number): void {
    const form = this.forms[slot - SLOT.firstHandler];
    if (form === undefined) return;
    form.samples++;
    if (form.joined || ++this.outside < this.patience) return;
    this.outside = 0;
    this.patience *= 2;
    this.join();
  }

  /** Forms whose handlers are joined in one function. */
  get joinedForms(): number {
    return this.forms.filter(({ joined }) => joined).length;
  }

  private join(): void {
    const chosen = [...this.forms].sort((a, b) => b.samples - a.samples || a.slot - b.slot).slice(0, MOST_JOINED);
    const handler = this.link(this.compiler.joined(chosen));
    for (const form of chosen) {
      form.joined = true;
      this.functions.set(form.slot, handler);
    }
  }

  /** Puts the function of a module elsewhere in the table. */
  install(slot: number, module: HandlerModule): void {
    this.put(slot, this.link(module));
  }
  put(slot: number, handler: unknown): void {
    while (slot >= this.functions.length) this.functions.grow(TABLE_STEP);
    this.functions.set(slot, handler);
  }

  private link({ bytes, hostFunctions, subroutines }: HandlerModule): unknown {
    const imports = {
      e: { memory: this.memory, handlers: this.functions, ...this.services },
      ...this.linker.imports(hostFunctions, subroutines),
    };
    return new WebAssembly.Instance(new WebAssembly.Module(bytes), imports as unknown as WebAssembly.Imports).exports.f;
  }
}
