import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/base/errors.ts';
import { checkDomainConfig, type DomainConfig } from '../../../src/dom0/toolstack/domain-config.ts';
import { ascii, buildElf, concat, elfNote } from '../../support/elf-builder.ts';

const kernel = buildElf({
  segments: [
    { virtual: 0n, data: ascii('code') },
    { type: 4, virtual: 0n, data: concat(elfNote(5, 'xen-3.0'), elfNote(8, 'generic')) },
  ],
});
const good: DomainConfig = { name: 'guest-1', kernel, memoryMiB: 64 };

describe('a domain configuration', () => {
  it('has defaults for all but name, kernel and memory', () => {
    expect(checkDomainConfig(good)).toMatchObject({ vcpus: 1, commandLine: '', onShutdown: 'destroy', uuid: undefined });
  });

  const bzImage = new Uint8Array(0x300);
  bzImage.set(ascii('HdrS'), 0x202);
  it.each<[string, Partial<DomainConfig>]>([
    ['name "" is not', { name: '' }],
    ['name "a/b" is not', { name: 'a/b' }],
    ['memory 0 is not', { memoryMiB: 0 }],
    ['memory 1.5 is not', { memoryMiB: 1.5 }],
    ['memory NaN is not', { memoryMiB: Number.NaN }],
    ['vcpus 0 is not', { vcpus: 0 }],
    ['vcpus 33 is not', { vcpus: 33 }],
    ['the command line has 1024 bytes', { commandLine: 'x'.repeat(1024) }],
    ['characters that are not plain text', { commandLine: 'a\nb' }],
    ['characters that are not plain text', { commandLine: '\u20ac' }],
    ['a UUID has 16 bytes, not 3', { uuid: new Uint8Array(3) }],
    ['the kernel is an empty file', { kernel: new Uint8Array(0) }],
    ['compressed with gzip', { kernel: Uint8Array.of(0x1f, 0x8b, 8, 0) }],
    ['is a bzImage', { kernel: bzImage }],
    ['not an ELF file', { kernel: ascii('#!/bin/sh') }],
    ['no Xen ELF notes', { kernel: buildElf({ segments: [{ virtual: 0n, data: ascii('code') }] }) }],
  ])('is refused with one line that says "%s"', (message, change) => {
    const check = () => checkDomainConfig({ ...good, ...change });
    expect(check).toThrow(ConfigError);
    expect(check).toThrow(message);
  });
});
