import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PipelineRecord } from '@nanosync/core';
import { PipelineError, stateKeys } from '@nanosync/core';
import { describe, expect, it } from 'vitest';
import { claimDirectory, dataDirectoryOf } from './data-directory.ts';
import { cliWith, idleService, TestCli } from './testing/fakes.ts';

async function stored(cli: TestCli): Promise<PipelineRecord> {
  return (await cli.state().get(stateKeys.pipeline('orders-pipeline')))?.value as PipelineRecord;
}

describe('start', () => {
  it('stores the file’s pipelines, says that it serves, runs the services and stops', async () => {
    const seen: string[] = [];
    const services = ['planner', 'cdc-capture'].map((name) =>
      idleService(name, (ctx) => {
        seen.push(name);
        ctx.log.info('pipeline resuming', { name: 'orders-pipeline' });
        if (seen.length === 2) cli.stop.abort();
      }),
    );
    const { cli, args } = cliWith({ services });
    using _ = cli;
    expect(await cli.run('start', ...args)).toBe(0);
    expect(seen).toEqual(['planner', 'cdc-capture']);
    expect(cli.out.slice(0, 3)).toEqual([
      'nanosync serving — Ctrl-C to stop',
      expect.stringMatching(/^INF api listens url=http:\/\/127\.0\.0\.1:\d+$/),
      'INF pipeline resuming name=orders-pipeline',
    ]);
    expect(existsSync(join(cli.dataDir, 'api.json'))).toBe(false);
    expect((await stored(cli)).phase).toBe('created');
  });

  it('says which tables come to a pipeline that exists', async () => {
    const { cli, args, file } = cliWith({ services: [idleService('planner', () => cli.stop.abort())] });
    using _ = cli;
    await cli.ask('apply', ...args);
    writeFileSync(file, readFileSync(file, 'utf8').replace('public.orders', 'public.orders, public.items'));
    expect(await cli.run('start', ...args)).toBe(0);
    expect(cli.out).toContain(
      'INF pipeline changed pipeline=orders-pipeline effect="table public.items is added: it will be copied and then followed"',
    );
    expect((await stored(cli)).definition.source.tables).toEqual(['public.orders', 'public.items']);
  });

  it('goes on from what is stored, in JSON where nobody looks', async () => {
    const { cli, args } = cliWith({ services: [idleService('planner', () => cli.stop.abort())], isTerminal: false });
    using _ = cli;
    await cli.ask('apply', ...args);
    expect(await cli.run('start', '--data-dir', cli.dataDir)).toBe(0);
    const lines = cli.out.map((line) => JSON.parse(line) as { msg: string });
    expect(lines[0]?.msg).toBe('nanosync serving — Ctrl-C to stop');
  });

  it('resolves secrets for the services’ own connections', async () => {
    const service = {
      name: 'planner',
      run: async (ctx: Parameters<ReturnType<typeof idleService>['run']>[0]) => {
        const record = await stored(cli);
        await ctx.openSource(record.definition.source.connection);
        await ctx.openSink(record.definition.sink.connection);
        ctx.log.warn('it was hunter2');
        cli.stop.abort();
      },
    };
    const { cli, args } = cliWith({ services: [service] });
    using _ = cli;
    expect(await cli.run('start', ...args)).toBe(0);
    expect(cli.opened.at(-2)?.dsn).toBe('postgres://app:hunter2@db/shop');
    expect(cli.opened.at(-1)?.properties.path).toBe(join(cli.root, 'w.duckdb'));
    expect(cli.out).toContainEqual(expect.stringMatching(/^WRN it was \*{3} service=/));
  });

  it('ends with status 1 and the sentence when a service fails for good', async () => {
    const failing = { name: 'planner', run: () => Promise.reject(new PipelineError('defect', 'a range is read twice.')) };
    let ended = false;
    const other = idleService('sink-writer', (ctx) =>
      ctx.signal.addEventListener('abort', () => {
        ended = true;
      }),
    );
    const { cli, args } = cliWith({ services: [other, failing] });
    using _ = cli;
    expect(await cli.run('start', ...args)).toBe(1);
    expect(cli.err).toEqual(['internal error: a range is read twice. (run again with --debug to see where)']);
    expect(ended).toBe(true);
  });

  it('starts a service again after any other error', async () => {
    let runs = 0;
    const flaky = {
      name: 'cdc-capture',
      run: async () => {
        runs++;
        if (runs === 1) throw new PipelineError('unavailable', 'the source does not answer.');
        cli.stop.abort();
      },
    };
    const { cli, args } = cliWith({ services: [flaky] });
    using _ = cli;
    expect(await cli.run('start', ...args)).toBe(0);
    expect(runs).toBe(2);
    expect(
      cli.out.some((line) =>
        /^WRN service restarting service=cdc-capture kind=unavailable wait_ms=\d+ err="the source does not/.test(line),
      ),
    ).toBe(true);
  });

  it('serves nothing until a pipeline is applied; refuses a directory that another serves, a failpoint that is none, a secret that went away', async () => {
    const { cli, args } = cliWith({ services: [idleService('planner', () => cli.stop.abort())] });
    using _ = cli;
    expect(await cli.run('start', '--data-dir', cli.dataDir)).toBe(0);
    expect(cli.out.join()).toContain('INF no pipelines yet next="nanosync apply -f pipelines.yaml"');
    await cli.ask('apply', ...args);
    {
      using _claim = claimDirectory(dataDirectoryOf(cli.dataDir));
      expect(await cli.run('start', ...args)).toBe(2);
      expect(cli.err[0]).toBe(
        `${cli.dataDir} is already served by another nanosync (process ${process.pid}). Stop that one first, or give this one a directory of its own with --data-dir.`,
      );
    }
    using other = new TestCli({ env: { NANOSYNC_FAILPOINT: 'nowhere' } });
    expect(await other.run('start', ...args)).toBe(2);
    expect(other.err[0]).toContain('NANOSYNC_FAILPOINT=nowhere names no failpoint');
    using unset = new TestCli({ env: {} });
    expect(await unset.run('start', '--data-dir', cli.dataDir)).toBe(2);
    expect(unset.err[0]).toContain('needs ${env:PW}, which is not set');
  });
});
