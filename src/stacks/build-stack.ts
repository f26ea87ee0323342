/** Builds any of the six stacks by name. */
import { ConfigError } from '../base/errors.ts';
import { buildBaseline } from './baseline.ts';
import { buildFull } from './full.ts';
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
    default:
      throw new ConfigError(`stack ${options.stack} is not built yet`);
  }
}
