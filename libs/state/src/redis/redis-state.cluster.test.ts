import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogFields, State } from '@nanosync/core';
import { describeState, startRedis } from '@nanosync/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { openRedisState } from './redis-state.ts';
import { type RedisServer, startRedisServer } from './testing/redis-server.ts';

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedisServer();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
});

/** Leases end by the server's own time: it is made to pass by taking it from what they have left. */
async function pass(server: RedisServer, prefix: string, ms: number): Promise<void> {
  const script = `for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('PEXPIRE', key, redis.call('PTTL', key) - tonumber(ARGV[2])) end`;
  expect(await server.command('EVAL', script, '0', `{${prefix}}:lease:*`, String(ms))).toMatch(/^\$-1/);
}

let stores = 0;
describeState('redis', async () => {
  const keyPrefix = `contract-${++stores}`;
  return {
    open: () => openRedisState({ url: redis.url, keyPrefix }),
    pass: (ms) => pass(redis, keyPrefix, ms),
    [Symbol.asyncDispose]: async () => undefined,
  };
});

describe('a Redis that fails', () => {
  let server: RedisServer;
  let state: State;
  beforeEach(async () => {
    server = await startRedisServer();
    state = await openRedisState({ url: server.url });
  });
  afterEach(async () => {
    await state[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  test('killed and started again has every write that returned', async () => {
    const versions = new Map<string, number>();
    for (let at = 0; at < 50; at++) versions.set(`k${at}`, (await state.put(`k${at}`, at, 0)) as number);
    await server.service.kill();
    await expect(state.put('k0', 'x', versions.get('k0') as number)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining(`Redis at 127.0.0.1:${server.port} does not answer`),
      hint: expect.stringContaining('state.redis.url'),
    });
    await server.service.start();
    expect((await untilBack(() => state.list('k'))).map(({ key, version }) => [key, version])).toEqual([...versions].sort());
    expect(await state.put('k0', 'y', versions.get('k0') as number)).toBeGreaterThan(versions.get('k0') as number);
  });

  test('killed under a write fails it, and does it once or not at all', async () => {
    let version = (await state.put('n', 0, 0)) as number;
    let done = 0;
    const writing = (async () => {
      for (;;) {
        version = (await state.put('n', done + 1, version)) as number;
        done++;
      }
    })();
    const failed = expect(writing).rejects.toMatchObject({ kind: 'unavailable' });
    while (done < 20) await new Promise(setImmediate);
    await server.service.kill();
    await failed;
    await server.service.start();
    const found = (await untilBack(() => state.get('n')))?.value as number;
    expect([done, done + 1]).toContain(found);
    // Nothing was sent again behind our back.
    for (let at = 0; at < 5; at++) expect((await state.get('n'))?.value).toBe(found);
  });

  test('paused does what was asked when it is resumed, and a caller that asks meanwhile is answered', async () => {
    const first = (await state.put('a', 1, 0)) as number;
    server.service.pause();
    const waiting = state.put('a', 2, first);
    server.service.resume();
    const second = (await waiting) as number;
    expect(second).toBeGreaterThan(first);
    expect(await state.put('a', 3, first)).toBeUndefined();
  });

  test('paused for long fails the calls, which are told apart when it is back', { timeout: 40_000 }, async () => {
    const first = (await state.put('a', 1, 0)) as number;
    server.service.pause();
    await expect(state.put('a', 'late', first)).rejects.toMatchObject({ kind: 'unavailable' });
    server.service.resume();
    const found = await untilBack(() => state.get('a'));
    // The write may have been done or not; who knows the version of before is beaten in the one case and first in the other.
    const again = await state.put('a', 'again', first);
    if (found?.value === 'late') expect(again).toBeUndefined();
    expect(await state.put('a', 'never', first)).toBeUndefined();
  });

  test('away makes many calls wait together, without a warning on the screen, and fail', async () => {
    const warned: string[] = [];
    const warn = ({ message }: Error) => void warned.push(message);
    process.on('warning', warn);
    await server.service.kill();
    const calls = Array.from({ length: 40 }, (_, at) => state.get(`k${at}`));
    for (const outcome of await Promise.allSettled(calls))
      expect(outcome).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable' } });
    await server.service.start();
    expect(await untilBack(() => state.get('a'))).toBeUndefined();
    await new Promise(setImmediate);
    process.off('warning', warn);
    expect(warned).toEqual([]);
  });

  test('that lost everything shows absence, and no version of before is taken', async () => {
    const before = (await state.put('a', 1, 0)) as number;
    await state.lease('l', 'one', 60_000);
    expect(await server.command('FLUSHALL')).toMatch(/^\+OK/);
    expect(await state.get('a')).toBeUndefined();
    expect(await state.list('')).toEqual([]);
    expect(await state.put('a', 2, before)).toBeUndefined();
    expect(await state.lease('l', 'two', 60_000)).toBe(true);
    const after = (await state.put('a', 3, 0)) as number;
    expect(after).toBeGreaterThan(before);
    expect(await state.put('a', 4, before)).toBeUndefined();
  });

  test('two clients that race on one key lose no write of the other', async () => {
    const other = await openRedisState({ url: server.url });
    const count = async (store: State) => {
      for (let done = 0; done < 100; ) {
        const entry = await store.get('n');
        const next = ((entry?.value as number | undefined) ?? 0) + 1;
        if ((await store.put('n', next, entry?.version ?? 0)) !== undefined) done++;
      }
    };
    await Promise.all([count(state), count(other)]);
    expect((await state.get('n'))?.value).toBe(200);
    await other[Symbol.asyncDispose]();
  });

  test('that is full or read-only says so, writes nothing, and reads on', async () => {
    await state.put('a', 1, 0);
    await server.command('CONFIG', 'SET', 'maxmemory', '1');
    const both = [
      { key: 'b', value: 1, expected: 0 },
      { key: 'c', value: 1, expected: 0 },
    ];
    await expect(state.putAll(both)).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringContaining('no memory left') });
    expect((await state.list('')).map(({ key }) => key)).toEqual(['a']);
    await server.command('CONFIG', 'SET', 'maxmemory', '0');
    await server.command('REPLICAOF', '127.0.0.1', '1');
    await expect(state.put('b', 1, 0)).rejects.toMatchObject({
      kind: 'unavailable',
      message: expect.stringContaining('read-only replica'),
    });
    await server.command('REPLICAOF', 'NO', 'ONE');
    expect(await untilBack(() => state.put('b', 1, 0))).toBeGreaterThan(0);
  });

  test('a closed store refuses', async () => {
    await state[Symbol.asyncDispose]();
    await expect(state.get('a')).rejects.toMatchObject({ kind: 'unavailable', message: 'The state store is closed.' });
  });
});

describe('opening', () => {
  test('says what an absent server, a wrong password or a missing right is', async () => {
    await expect(openRedisState({ url: 'redis://127.0.0.1:1' })).rejects.toMatchObject({
      kind: 'unavailable',
      hint: expect.stringMatching(/^Start it/),
    });
    await using server = await startRedisServer();
    await server.command('ACL', 'SETUSER', 'reader', 'on', '>secret', '~*', '+@read', '+@connection', '+info');
    await server.command('CONFIG', 'SET', 'requirepass', 'hunter2');
    await expect(openRedisState({ url: server.url })).rejects.toMatchObject({
      kind: 'prerequisite',
      message: expect.stringContaining('password'),
    });
    const wrong = openRedisState({ url: server.url, username: 'default', password: 'wrong' });
    await expect(wrong).rejects.toMatchObject({ kind: 'prerequisite', message: expect.stringContaining('refuses this user') });
    await using state = await openRedisState({ url: `redis://default:hunter2@127.0.0.1:${server.port}/3` });
    expect(await state.put('a', 1, 0)).toBeGreaterThan(0);
    const reader = await openRedisState({ url: server.url, username: 'reader', password: 'secret' });
    await expect(reader.put('b', 1, 0)).rejects.toMatchObject({ kind: 'prerequisite', hint: expect.stringContaining('ACL SETUSER') });
    await reader[Symbol.asyncDispose]();
  });

  test('the rights that the hint names suffice', async () => {
    await using server = await startRedisServer();
    await server.command(
      'ACL',
      'SETUSER',
      'sync',
      'on',
      '>secret',
      '~{nanosync}*',
      '+@read',
      '+@write',
      '+@scripting',
      '+@connection',
      '+info',
      '+time',
    );
    await using state = await openRedisState({ url: server.url, username: 'sync', password: 'secret', log: silent([]) });
    const version = (await state.put('a', 1, 0)) as number;
    expect(await state.list('a')).toHaveLength(1);
    expect(await state.lease('l', 'one', 1000)).toBe(true);
    await state.release('l', 'one');
    expect(await state.remove('a', version)).toBe(true);
  });

  test('over TLS, with a certificate of our own', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'nanosync-tls-'));
    await using server = await startRedis({ directory: folder, secured: true, settings: { 'tls-auth-clients': ['optional'] } });
    const { url, port, secured } = server.address;
    const file = (name: string) => readFileSync(join(folder, 'certificates', name), 'utf8');
    const ca = readFileSync(secured?.ca ?? '', 'utf8');
    await using state = await openRedisState({ url, tls: { ca, cert: file('cert.pem'), key: file('key.pem') } });
    expect(await state.put('a', 1, 0)).toBeGreaterThan(0);
    const hint = expect.stringContaining('state.redis.tls.ca');
    await expect(openRedisState({ url })).rejects.toMatchObject({ kind: 'prerequisite', hint });
    const plain = openRedisState({ url: redis.url, tls: { ca } });
    await expect(plain).rejects.toMatchObject({ kind: 'unavailable', hint: expect.stringContaining('rediss://') });
    await expect(openRedisState({ url: url.replace('rediss', 'redis') })).rejects.toMatchObject({ kind: 'unavailable' });
    await expect(openRedisState({ url: `rediss://127.0.0.1:${port}`, tls: { ca } })).rejects.toThrow(/wants a password/);
    await server.kill();
    rmSync(folder, { recursive: true });
  });

  test('warns of what the server may lose', async () => {
    const said: string[] = [];
    await using state = await openRedisState({ url: redis.url, keyPrefix: 'durable', log: silent(said) });
    expect(said).toEqual([]);
    await using second = await startRedisServer({ appendfsync: ['everysec'], 'maxmemory-policy': ['allkeys-lru'] });
    await using careless = await openRedisState({ url: second.url, log: silent(said) });
    await using third = await startRedisServer({ appendonly: ['no'] });
    await using memory = await openRedisState({ url: third.url, log: silent(said) });
    expect(said).toEqual([
      expect.stringContaining('last second'),
      expect.stringContaining('throw the state away'),
      expect.stringContaining('no append-only file'),
    ]);
    expect(await state.check?.()).toEqual([]);
    const told = [...((await careless.check?.()) ?? []), ...((await memory.check?.()) ?? [])];
    expect(told.map(({ what, mild }) => [said.find((line) => line.endsWith(what)) !== undefined, mild])).toEqual(
      said.map(() => [true, true]),
    );
  });

  test('a node of a Redis Cluster takes our scripts, since all keys lie in one slot', async () => {
    await using server = await startRedisServer({ 'cluster-enabled': ['yes'] });
    const opening = () => openRedisState({ url: server.url });
    await expect(opening()).rejects.toMatchObject({ kind: 'unavailable' }); // It has no slots yet.
    expect(await server.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')).toMatch(/^\+OK/);
    await vi.waitUntil(async () => (await server.command('CLUSTER', 'INFO')).includes('cluster_state:ok'), {
      timeout: 20_000,
      interval: 20,
    });
    await using state = await opening();
    const entries = [
      { key: 'a', value: 1, expected: 0 },
      { key: 'b', value: 2, expected: 0 },
    ];
    expect(await state.putAll(entries)).toBe(true);
    expect(await state.list('')).toHaveLength(2);
    expect(await state.lease('l', 'one', 1000)).toBe(true);
    await state.release('l', 'one');
    expect(await state.isLeased('l')).toBe(false);
    expect(await state.remove('a')).toBe(true);
  });

  test('refuses a newer format, and keys of somebody else', async () => {
    await redis.command('HSET', '{newer}:meta', 'format', '2');
    await expect(openRedisState({ url: redis.url, keyPrefix: 'newer' })).rejects.toMatchObject({ kind: 'newer-version' });
    await redis.command('SET', '{taken}:entries', 'x');
    await using state = await openRedisState({ url: redis.url, keyPrefix: 'taken' });
    await expect(state.put('a', 1, 0)).rejects.toMatchObject({ kind: 'prerequisite', hint: expect.stringContaining('key_prefix') });
    for (const keyPrefix of ['', 'a{b}', 'a b'])
      await expect(openRedisState({ url: redis.url, keyPrefix })).rejects.toMatchObject({ kind: 'config' });
    for (const url of ['localhost:6379', 'http://x', 'redis://', 'redis://x/one'])
      await expect(openRedisState({ url })).rejects.toMatchObject({ kind: 'config' });
  });
});

/** Tries again while the store is away, as services do. */
async function untilBack<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await call();
    } catch (error) {
      if ((error as { kind?: string }).kind !== 'unavailable' || tries === 20) throw error;
    }
  }
}

function silent(said: string[]) {
  const line = () => undefined;
  const log = {
    debug: line,
    info: line,
    error: line,
    warn: (message: string, fields?: LogFields) => void said.push(`${message}: ${fields?.reason}`),
    with: () => log,
  };
  return log;
}
