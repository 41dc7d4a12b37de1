import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { unpackRedis } from './redis-install.ts';
import { runTool } from './tool.ts';

test.skipIf(!existsSync('/usr/bin/apt-get'))(
  'Redis runs from packages that were unpacked and not installed',
  { timeout: 300_000 },
  async () => {
    const cache = mkdtempSync(join(tmpdir(), 'nanosync-redis-'));
    vi.stubEnv('NANOSYNC_CACHE', cache);
    try {
      const { command, env } = await unpackRedis();
      expect(command.startsWith(cache)).toBe(true);
      expect(await runTool(command, { args: ['--version'], env, cure: '' })).toMatch(/Redis server v=\d/);
    } finally {
      vi.unstubAllEnvs();
      rmSync(cache, { recursive: true });
    }
  },
);
