import { expect, it } from 'vitest';
import { assert, BackendError, ConfigError, describeError, InvariantError, unreachable } from '../../src/base/errors.ts';

it('messages for people are one line', () => {
  expect([new ConfigError('bad\n  option: x').message, new BackendError('GONE', 'a\r\nb').message]).toEqual(['bad option: x', 'a b']);
});

it('a described error includes its causes', () => {
  const error = new ConfigError('cannot read disk.img', { cause: new Error('ENOENT:\nno such file') });
  expect([describeError(error), describeError('text')]).toEqual(['cannot read disk.img: ENOENT: no such file', 'text']);
});

it('assert computes its detail only when it fails', () => {
  let computed = 0;
  const detail = () => `computed ${++computed}`;
  assert(true, detail);
  expect(() => assert(false, detail)).toThrow(new InvariantError('computed 1'));
});

it('unreachable names the value that came after all', () => {
  expect(() => unreachable('x' as never, 'engine')).toThrow('engine: unexpected x');
});
