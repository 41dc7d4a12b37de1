import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { installEmulator } from './bigquery-install.ts';
import { findJava } from './java.ts';
import { installKafka } from './kafka.ts';
import { findRedis } from './redis-install.ts';

let folder: string;

/** A system that has nothing, with an empty cache. */
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'nanosync-tools-'));
  vi.stubEnv('NANOSYNC_CACHE', join(folder, 'cache'));
  vi.stubEnv('PATH', folder);
  vi.stubEnv('JAVA_HOME', '');
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function tool(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

test.each([
  ['java', findJava, /needs java, which is not installed: install a Java 17/],
  ['mvn', installKafka, /needs mvn, which is not installed: install Apache Maven/],
  ['python3', installEmulator, /needs python3, which is not installed: install Python 3.11/],
  ['apt-get', findRedis, /needs apt-get, which is not installed: install Redis 7/],
] as const)('a system without %s is told what to do', async (_, start, sentence) => {
  await expect(start()).rejects.toThrow(sentence);
});

test('so is one whose Java is too old', async () => {
  tool('java', 'echo \'openjdk version "11.0.2" 2019-01-15\' >&2');
  await expect(findJava()).rejects.toThrow(/java is version 11: install a Java 17/);
  tool('java', 'echo \'java version "1.8.0_202"\' >&2');
  await expect(findJava()).rejects.toThrow(/is version 8/);
  tool('java', 'echo \'openjdk version "21" 2023-09-19\' >&2');
  await expect(findJava()).resolves.toBe('java');
});

test('so is one whose Python makes no virtual environments', async () => {
  tool('python3', 'echo Python 3.9.2');
  await expect(installEmulator()).rejects.toThrow(/python3 is version 3.9: install Python 3.11/);
  tool(
    'python3',
    '[ "$1" = --version ] && { echo Python 3.12.1; exit; }; echo "The virtual environment was not created successfully because ensurepip is not available." >&2; exit 1',
  );
  await expect(installEmulator()).rejects.toThrow(/makes no virtual environments: .*python3-venv/);
});

test('so is one that cannot download Redis, whose own lists were tried', async () => {
  tool('apt-get', `echo "$@" >> ${join(folder, 'asked')}; echo 'E: Unable to locate package' >&2; exit 100`);
  for (const each of ['sh', 'echo']) symlinkSync(`/bin/${each}`, join(folder, each));
  await expect(findRedis()).rejects.toThrow(/Redis could not be downloaded: install Redis 7/);
});

test('a Redis that is too old is not taken', async () => {
  tool('redis-server', "echo 'Redis server v=6.2.1 sha=0'");
  await expect(findRedis()).rejects.toThrow(/apt-get/);
  tool('redis-server', "echo 'Redis server v=7.0.15 sha=0'");
  await expect(findRedis()).resolves.toEqual({ command: 'redis-server', env: {} });
});
