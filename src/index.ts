/**
 * The library: build a stack, run it, inspect it. For tests on PV semantics and for tools of one's own.
 *
 *   const stack = buildStack({ stack: 'pv', image, imageName: 'guest.elf', console: (bytes) => ... });
 *   const end = stack.run(50_000_000n);
 *   expect(end).toEqual({ reason: 'power-off' });
 *
 * Nothing here reads files, clocks or chance; two stacks in one process do not know of each other.
 */
export { ConfigError } from './base/errors.ts';
export type { EngineName } from './machine/bare-machine.ts';
export { buildStack } from './stacks/build-stack.ts';
export { cellsOf, type GuestRow, type MeasureOptions, measureStack, type Repetition, type StackMeasurement } from './stacks/measure.ts';
export { STACK_NAMES, type Stack, type StackEnd, type StackName, type StackObserver, type StackOptions } from './stacks/stack.ts';
export { fitted } from './timing/fitted.ts';
export type { Part } from './timing/ledger.ts';
export { priorValues, type ParameterValues } from './timing/parameters.ts';
