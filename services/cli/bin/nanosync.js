#!/usr/bin/env node
// Plain JavaScript on purpose: this file must run on whatever Node the system has. The sources need Node 24, so an older one
// hands over to the Node 24 that npm installed beside them.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const HANDED_OVER = 'NANOSYNC_HANDED_OVER';
const self = realpathSync(fileURLToPath(import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= NEEDED) await run();
else handOver();

async function run() {
  if (process.env[HANDED_OVER] === String(process.ppid) && process.channel) {
    // The channel closes when the first process is gone, even by kill -9: then so are we, in the same way.
    delete process.env[HANDED_OVER];
    process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
    process.channel.unref();
  }
  cacheCompiledSources();
  const { main } = await import('../src/main.ts');
  await main();
}

// Node turns the sources into JavaScript at each start. Kept beside the packages, which are no less trusted than the sources, the result
// makes a start twice as fast and a process 30 MB smaller; where that folder cannot be written, nothing is kept.
function cacheCompiledSources() {
  for (let folder = dirname(self); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'node_modules'))) return nodeModule.enableCompileCache(join(folder, 'node_modules', '.cache', 'nanosync'));
  }
}

function handOver() {
  const node = newerNode();
  if (node === undefined) {
    process.stderr.write(
      `nanosync needs Node ${NEEDED} or newer and this is ${process.versions.node}: run npm ci in its folder, which installs one.\n`,
    );
    process.exit(1);
  }
  // A process group of its own: a terminal's Ctrl-C reaches only this process, which passes it on once. Both getting it would
  // make it two, and the second means "at once".
  const child = spawn(node, [self, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [HANDED_OVER]: String(process.pid) },
    detached: true,
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGUSR2']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`nanosync could not run ${node}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (status, signal) => {
    if (signal === null) process.exit(status ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

// The node package's binary, in the nearest node_modules above this file.
function newerNode() {
  for (let folder = dirname(self); ; folder = dirname(folder)) {
    for (const name of ['node', 'node.exe']) {
      const candidate = join(folder, 'node_modules', 'node', 'bin', name);
      if (existsSync(candidate)) return candidate;
    }
    if (folder === dirname(folder)) return undefined;
  }
}
