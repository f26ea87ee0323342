/** Builds any of the six stacks by name. */
import { buildBaseline } from './baseline.ts';
import { buildFull } from './full.ts';
import { buildNested } from './nested.ts';
import { buildPv } from './pv.ts';
import type { Stack, StackOptions } from './stack.ts';

export function buildStack(options: StackOptions): Stack {
  switch (options.stack) {
    case 'baseline':
      return buildBaseline(options);
    case 'pv':
      return buildPv(options);
    case 'kvm':
    case 'hvm':
      return buildFull(options, options.stack);
    case 'pv/kvm':
      return buildNested(options, 'kvm');
    case 'pv/hvm':
      return buildNested(options, 'hvm');
  }
}
