import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { clusterStack } from './cluster-stack.ts';
import { removeStack, SERVICE_NAMES, startNamed } from './stack.ts';

const directory = mkdtempSync(join(tmpdir(), 'nanosync-stack-test-'));
afterAll(() => removeStack(directory));

describe.each(SERVICE_NAMES)('%s', { timeout: 300_000 }, (name) => {
  test('answers, can be killed and is back at the same place', async () => {
    await using service = await startNamed(name, { directory });
    await service.check();
    await service.kill();
    await expect(service.check()).rejects.toThrow();
    await service.start();
    await service.check();
  });
});

test('shared services are started on first use and stay', async () => {
  const { redis } = await clusterStack('redis');
  expect(redis.url).toMatch(/^redis:\/\/127\.0\.0\.1:\d+$/);
  expect(await clusterStack('redis')).toEqual({ redis });
});
