/**
 * What a domain is to be: the options of a configuration file, checked. Whatever cannot work is a {@link ConfigError} of
 * one line that names the option; nothing has been created then.
 */

import { parseElf } from '../../base/elf.ts';
import { ConfigError } from '../../base/errors.ts';
import { type PvImage, readPvImage } from '../../xen-abi/elf-notes.ts';
import { LEGACY_MAX_VCPUS } from '../../xen-abi/xen.ts';

export interface DomainConfig {
  /** Letters, digits, `_`, `-`, `.`, `+`; unique among the domains. */
  readonly name: string;
  /** Default `pv`: paravirtual. `full`: second-stage paging and a PC's devices, for an unmodified kernel (multiboot, Linux, PVH). */
  readonly type?: 'pv' | 'full';
  /** The kernel's file. Only a full domain can do without: its ring 0 is then host code, which the stack brings. */
  readonly kernel?: Uint8Array;
  readonly ramdisk?: Uint8Array;
  /** Default ''. Up to 1023 bytes. */
  readonly commandLine?: string;
  readonly memoryMiB: number;
  /** Default 1. */
  readonly vcpus?: number;
  /** What happens when the domain has shut down. Default `destroy`; `preserve` keeps it to be looked at. */
  readonly onShutdown?: 'destroy' | 'preserve';
  /** 16 bytes. Default: made from the injected chance. */
  readonly uuid?: Uint8Array;
}

export type CheckedConfig = CheckedPvConfig | CheckedFullConfig;

export interface CheckedPvConfig extends CheckedOptions {
  readonly type: 'pv';
  readonly image: PvImage;
  readonly ramdisk: Uint8Array;
}

export interface CheckedFullConfig extends CheckedOptions {
  readonly type: 'full';
  /** Undefined for host code. */
  readonly kernel: Uint8Array | undefined;
  readonly ramdisk: Uint8Array | undefined;
}

interface CheckedOptions {
  readonly name: string;
  readonly commandLine: string;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly onShutdown: 'destroy' | 'preserve';
  readonly uuid: Uint8Array | undefined;
}

export function checkDomainConfig(config: DomainConfig): CheckedConfig {
  const { name, memoryMiB, vcpus = 1, commandLine = '', onShutdown = 'destroy', uuid } = config;
  if (!/^[A-Za-z0-9_.+-]{1,64}$/.test(name)) throw new ConfigError(`name ${JSON.stringify(name)} is not a name for a domain`);
  if (!Number.isInteger(memoryMiB) || memoryMiB < 1 || memoryMiB > 1 << 20)
    throw new ConfigError(`memory ${memoryMiB} is not a whole number of MiB from 1 on`);
  if (!Number.isInteger(vcpus) || vcpus < 1 || vcpus > LEGACY_MAX_VCPUS)
    throw new ConfigError(`vcpus ${vcpus} is not a number from 1 to ${LEGACY_MAX_VCPUS}`);
  if (commandLine.length > 1023) throw new ConfigError(`the command line has ${commandLine.length} bytes, more than 1023`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: exactly those are refused
  if (/[\x00-\x08\x0a-\x1f]|[^\x00-\xff]/.test(commandLine))
    throw new ConfigError('the command line has characters that are not plain text');
  if (uuid !== undefined && uuid.length !== 16) throw new ConfigError(`a UUID has 16 bytes, not ${uuid.length}`);
  const options = { name, commandLine, memoryMiB, vcpus, onShutdown, uuid };
  if (config.type === 'full') {
    const { kernel, ramdisk } = config;
    if (ramdisk !== undefined && kernel === undefined) throw new ConfigError(`domain "${name}" has a ramdisk and no kernel`);
    if (kernel !== undefined) refuseWrongFile(kernel);
    return { type: 'full', kernel, ramdisk, ...options };
  }
  if (config.kernel === undefined) throw new ConfigError(`domain "${name}" has no kernel`);
  const image = readPvImage(parseElf(unwrapped(config.kernel)));
  return { type: 'pv', image, ramdisk: config.ramdisk ?? new Uint8Array(0), ...options };
}

/** Names the usual wrong files, so that the message says more than "not an ELF file". */
function refuseWrongFile(kernel: Uint8Array): void {
  if (kernel.length === 0) throw new ConfigError('the kernel is an empty file');
  if (kernel[0] === 0x1f && kernel[1] === 0x8b) throw new ConfigError('the kernel is compressed with gzip: unpack it first');
}

function unwrapped(kernel: Uint8Array): Uint8Array {
  refuseWrongFile(kernel);
  const header = kernel.length > 0x206 ? String.fromCharCode(...kernel.subarray(0x202, 0x206)) : '';
  if (header === 'HdrS') throw new ConfigError('the kernel is a bzImage: unpack the vmlinux in it first');
  return kernel;
}
