import type { ApiClient, StatusAnswer } from '@nanosync/api';
import { describeError, PipelineError } from '@nanosync/core';
import { listenForShutdown } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { apiOf } from '../endpoint.ts';
import { keysOf } from '../monitor/keys.ts';
import { painted } from '../monitor/paint.ts';
import type { Screen } from '../monitor/screen.ts';
import { afterKey, screenLines, screenOf } from '../monitor/screen.ts';
import type { Terminal } from '../monitor/terminal.ts';
import type { CommonOptions } from './common.ts';

/** The options of `monitor`. */
export interface MonitorOptions extends CommonOptions {
  readonly interval?: string;
}

/** Without an answer for so long, what is shown is said to be old. */
const MOST_MS = 10_000;
/** How often it is painted, so that its clock goes and a terminal that does not tell of a new size is followed. */
const PAINT_EVERY_MS = 1000;

/** Shows all pipelines on the whole terminal until its user leaves. A server that goes away meanwhile is waited for. */
export async function monitor(context: CliContext, name: string | undefined, options: MonitorOptions): Promise<number> {
  const everyMs = intervalOf(options.interval);
  if (context.terminal === undefined)
    throw new PipelineError('config', 'nanosync monitor needs a terminal that it can paint on, for its input and its output.', {
      hint: 'Elsewhere use: nanosync status --watch, or nanosync status --json',
    });
  const api = apiOf(context, options);
  const answer = await api.call('status', {});
  // The server's own sentence for a name that it does not know.
  if (name !== undefined && !answer.pipelines.some((one) => one.name === name)) await api.call('pipeline', { params: { name } });
  using shutdown = listenForShutdown(context.exitNow);
  using terminal = context.terminal();
  const leaving = new AbortController();
  const { stop } = context;
  const signal = AbortSignal.any([
    ...[shutdown.signal, context.outputGone, terminal.gone, leaving.signal],
    ...(stop === undefined ? [] : [stop]),
  ]);
  const live = new LiveScreen(context, terminal, screenOf(answer, context.clock.nowMs(), name ?? null), () => leaving.abort());
  live.paint();
  // What breaks the one ends the other: nothing is painted on a terminal that was given back.
  const look = looking(live, { context, options, api, everyMs, signal }).finally(() => leaving.abort());
  await Promise.all([look, painting(live, context, signal)]);
  return EXIT_OK;
}

/** The screen as it changes: by keys, by answers, by the terminal. */
class LiveScreen {
  private readonly context: CliContext;
  private readonly terminal: Terminal;
  private readonly colours: boolean;
  private screen: Screen;

  constructor(context: CliContext, terminal: Terminal, screen: Screen, leave: () => void) {
    this.context = context;
    this.terminal = terminal;
    this.screen = screen;
    this.colours = !context.env.NO_COLOR;
    terminal.onInput((input) => {
      for (const key of keysOf(input)) {
        const next = afterKey(this.screen, key, terminal.size());
        if (next === undefined) return leave();
        this.screen = next;
      }
      this.paint();
    });
    terminal.onResize(() => this.paint());
  }

  answered(answer: StatusAnswer): void {
    this.screen = { ...this.screen, answer, answeredMs: this.context.clock.nowMs(), trouble: null };
    this.paint();
  }

  failed(reason: string): void {
    this.screen = { ...this.screen, trouble: reason };
    this.paint();
  }

  paint(): void {
    const { redact } = this.context.redactor;
    const lines = screenLines(this.screen, this.terminal.size(), this.context.clock.nowMs());
    const shown = lines.map((spans) => spans.map((span) => ({ ...span, text: redact(span.text) })));
    this.terminal.write(painted(shown, this.colours));
  }
}

interface Looking {
  readonly context: CliContext;
  readonly options: MonitorOptions;
  readonly api: ApiClient;
  readonly everyMs: number;
  readonly signal: AbortSignal;
}

/** Asks again and again. After a failure the address is read anew: an embedded server has another port and token each time it starts. */
async function looking(live: LiveScreen, { context, options, api, everyMs, signal }: Looking): Promise<void> {
  let client: ApiClient | undefined = api;
  while (true) {
    await context.clock.sleep(everyMs, signal);
    if (signal.aborted) return;
    try {
      client ??= apiOf(context, options);
      live.answered(await client.call('status', {}, AbortSignal.any([signal, AbortSignal.timeout(MOST_MS)])));
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof PipelineError)) throw error;
      client = undefined;
      live.failed(describeError(error));
    }
  }
}

async function painting(live: LiveScreen, { clock }: CliContext, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(PAINT_EVERY_MS, signal);
    if (!signal.aborted) live.paint();
  }
}

function intervalOf(interval: string | undefined): number {
  if (interval === undefined) return 1000;
  const seconds = /^\d+(?:\.\d+)?$/.test(interval) ? Number(interval) : 0;
  if (seconds >= 0.2 && seconds <= 3600) return seconds * 1000;
  throw new PipelineError('config', `--interval takes seconds from 0.2 to 3600, not ${JSON.stringify(interval.slice(0, 40))}.`);
}
