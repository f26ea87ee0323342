/**
 * The bench guest under paravane in this process: `node paravane-guest.ts ENGINE MIB COMMAND-LINE`. Repeats the guest's
 * lines, with the process's CPU time (`cpu=`, ns) and the retired instructions of each kernel; at the end
 * `M BYTES` is the resident memory less the pages of the guest's memory that are not zero.
 */
import { readFileSync } from 'node:fs';
import { buildStack } from '../src/stacks/build-stack.ts';
import type { EngineName } from '../src/machine/bare-machine.ts';
import { IMAGE } from './run-kernels.ts';

const [engine, mebibytes, commandLine] = process.argv.slice(2);
const PAGE_WORDS = 512;
let line = '';
let startCpu = 0;
let startInstructions = 0n;

const stack = buildStack({
  stack: 'baseline',
  image: readFileSync(IMAGE),
  imageName: 'bench64.mb.elf',
  commandLine,
  engine: engine as EngineName,
  memoryMiB: Number(mebibytes),
  console: (bytes) => {
    for (const byte of bytes) {
      if (byte !== 10) line += String.fromCharCode(byte);
      else {
        endOfLine(line.trim());
        line = '';
      }
    }
  },
});
const end = stack.run();
const resident = process.memoryUsage.rss();
process.stdout.write(`M ${resident - nonZeroBytes()}\nDONE\n`);
if (end.reason !== 'power-off') process.stderr.write(`bench guest: ended by ${end.reason}\n`);

function endOfLine(text: string): void {
  if (text.startsWith('K ')) {
    const cpu = Math.round((cpuMicroseconds() - startCpu) * 1000);
    process.stdout.write(`${text} cpu=${cpu} instructions=${stack.instructions - startInstructions}\n`);
    return;
  }
  if (text === 'DONE') return; // comes last, after M
  process.stdout.write(`${text}\n`);
  startInstructions = stack.instructions;
  startCpu = cpuMicroseconds();
}

function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function nonZeroBytes(): number {
  const words = new BigUint64Array(stack.memory.memory.buffer, stack.memory.base, stack.memory.size / 8);
  let bytes = 0;
  for (let page = 0; page < words.length; page += PAGE_WORDS) {
    if (words.subarray(page, page + PAGE_WORDS).some((word) => word !== 0n)) bytes += PAGE_WORDS * 8;
  }
  return bytes;
}
