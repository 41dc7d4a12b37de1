import { PipelineError } from '@nanosync/core';
import { expect, test } from 'vitest';
import { listen, parseListen, plain } from './listener.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

test('an address is host and port; port 0 takes a free one, and nothing but paths that are known is answered', async () => {
  await using listener = await listen(LOOPBACK, {
    '/well': async () => plain(200, 'well'),
    '/broken': async () => Promise.reject(new Error('no')),
  });
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(`${listener.url}${path}`, { method });
    return [response.status, await response.text()];
  };
  expect(await ask('/well?a=1')).toEqual([200, 'well\n']);
  expect(await ask('/well', 'HEAD')).toEqual([200, '']);
  expect(await ask('/well', 'POST')).toEqual([405, 'only GET\n']);
  expect(await ask('/broken')).toEqual([500, 'no\n']);
  for (const path of ['/', '/elsewhere', '/__proto__', '/toString']) expect((await ask(path))[0]).toBe(404);
});

test('an address that is taken is refused with its cure', async () => {
  await using first = await listen(LOOPBACK, {});
  const port = Number(new URL(first.url).port);
  await expect(listen({ ...LOOPBACK, port }, {})).rejects.toMatchObject({ kind: 'config', message: expect.stringContaining('EADDRINUSE') });
  await expect(listen({ ...LOOPBACK, port }, {})).rejects.toBeInstanceOf(PipelineError);
});

test('addresses are read', () => {
  expect(parseListen('127.0.0.1:9464')).toEqual({ host: '127.0.0.1', port: 9464 });
  expect(parseListen(':9464')).toEqual({ host: '0.0.0.0', port: 9464 });
  expect(parseListen('[::1]:0')).toEqual({ host: '::1', port: 0 });
  for (const text of ['9464', 'localhost', 'a:b', '127.0.0.1:70000', 'http://x:1']) expect(parseListen(text)).toBeUndefined();
});
