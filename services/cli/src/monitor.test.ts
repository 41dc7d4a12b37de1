import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { Terminal } from './monitor/terminal.ts';
import { cliWith } from './testing/fakes.ts';

/** A terminal of 80x24 that keeps what was painted last. */
class FakeTerminal implements Terminal {
  readonly lost = new AbortController();
  readonly gone = this.lost.signal;
  columns = 80;
  screen = '';
  isTaken = true;
  private readonly listeners: ((input: string) => void)[] = [];

  size() {
    return { columns: this.columns, rows: 24 };
  }

  write(text: string) {
    if (!this.isTaken) throw new Error('painted on a terminal that was given back');
    this.screen = text;
  }

  onInput(listener: (input: string) => void) {
    this.listeners.push(listener);
  }

  onResize() {}

  type(input: string) {
    for (const listener of this.listeners) listener(input);
  }

  [Symbol.dispose]() {
    this.isTaken = false;
  }
}

function monitored(env: Readonly<Record<string, string>> = {}) {
  const terminal = new FakeTerminal();
  return { terminal, ...cliWith({ terminal: () => terminal, env: { PW: 'hunter2', ...env } }) };
}

it('shows what the server says until q, and gives the terminal back', async () => {
  const { cli, args, terminal } = monitored({ NO_COLOR: '1' });
  using _ = cli;
  await cli.ask('apply', ...args);
  await using api = await cli.serve({ dataDir: cli.dataDir });
  const watching = cli.run('monitor', '--interval', '0.2', '--data-dir', cli.dataDir);
  await vi.waitFor(() => expect(terminal.screen).toContain('> orders-pipeline  prod    warehouse'));
  terminal.type('\r');
  expect(terminal.screen).toContain('prod (postgres) -> warehouse (duckdb), cdc_backfill');
  expect(terminal.screen.replaceAll('\u001b[2K', '').lastIndexOf('\u001b')).toBe(0); // No colours, only the way to the top.
  terminal.type('q');
  expect(await watching).toBe(0);
  expect(terminal.isTaken).toBe(false);
  expect(api.url).toMatch(/^http:/);
});

it('goes on when the server is gone, says so, and finds the one that comes after it', async () => {
  const { cli, args, terminal } = monitored();
  using _ = cli;
  await cli.ask('apply', ...args);
  const first = await cli.serve({ dataDir: cli.dataDir });
  const watching = cli.run('monitor', 'orders-pipeline', '--interval', '0.2', '--data-dir', cli.dataDir);
  await vi.waitFor(() => expect(terminal.screen).toContain('Esc back'));
  await first[Symbol.asyncDispose]();
  rmSync(join(cli.dataDir, 'api.json'), { force: true });
  await vi.waitFor(() => expect(terminal.screen).toContain('NO ANSWER for '), { timeout: 10_000 });
  expect(terminal.screen).toContain('prod (postgres)');
  await using second = await cli.serve({ dataDir: cli.dataDir });
  await vi.waitFor(() => expect(terminal.screen).toContain('Esc back'), { timeout: 10_000 });
  terminal.columns = 120;
  await vi.waitFor(() => expect(terminal.screen).toContain(`Esc back  q quit`), { timeout: 10_000 });
  cli.stop.abort();
  expect(await watching).toBe(0);
  expect(terminal.isTaken).toBe(false);
  expect(second.url).not.toBe(first.url);
});

it('ends when nobody sits there any more', async () => {
  const { cli, args, terminal } = monitored();
  using _ = cli;
  await cli.ask('apply', ...args);
  await using api = await cli.serve({ dataDir: cli.dataDir });
  const watching = cli.run('monitor', '--data-dir', cli.dataDir);
  await vi.waitFor(() => expect(terminal.screen).not.toBe(''));
  terminal.lost.abort();
  expect(api.url).toMatch(/^http:/);
  expect(await watching).toBe(0);
});

it('refuses where there is no terminal, an interval that is none, and a pipeline that nobody knows', async () => {
  const { cli } = cliWith();
  using _ = cli;
  expect(await cli.run('monitor')).toBe(2);
  expect(cli.err.join()).toMatch(/needs a terminal .* nanosync status --watch, or nanosync status --json/);
  expect(await cli.run('monitor', '--interval', '0')).toBe(2);
  expect(cli.err).toEqual(['--interval takes seconds from 0.2 to 3600, not "0".']);
  const there = monitored();
  using _there = there.cli;
  await there.cli.ask('apply', ...there.args);
  expect(await there.cli.ask('monitor', 'nobody', '--data-dir', there.cli.dataDir)).toBe(2);
  expect(there.cli.err.join()).toContain('nobody');
  expect(there.terminal.screen).toBe('');
});
