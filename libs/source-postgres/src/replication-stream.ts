import type { Clock } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Client } from 'pg';
import { LogicalReplicationService } from 'pg-logical-replication';
import { driverLsn } from './acknowledge.ts';
import type { Page } from './byte-queue.ts';
import { ByteQueue, DATA_ENTRY, KEEPALIVE_ENTRY } from './byte-queue.ts';
import type { Connect } from './connection.ts';
import { withConnection } from './connection.ts';
import type { Lsn } from './position.ts';
import { formatLsn, parseLsn } from './position.ts';
import { codeOf } from './postgres-error.ts';
import { RawPgoutput } from './raw-pgoutput.ts';
import { ShutdownWatch } from './shutdown-watch.ts';
import { slotFacts } from './slot.ts';
import type { StreamNames } from './stream-check.ts';
import { checkStream } from './stream-check.ts';
import { explainStreamError, publicationGone, shuttingDown } from './stream-error.ts';

/** The socket is paused above so many queued bytes, and read again below half of it. */
const MOST_QUEUED = 8 * 1024 * 1024;
/** Also how long a commit may lie unsent: since PostgreSQL 16 a walsender can oversleep one until it hears from us. */
const MOST_STATUS_MS = 1_000;
/** How long a slot may still be held by the walsender of a process that just died. */
const SLOT_WAIT_MS = 5_000;
const SLOT_RETRY_MS = 50;

/** Where to stream from. */
export interface StreamOptions extends StreamNames {
  readonly from: Lsn;
  /** `from` is not told to the server as safe before {@link ReplicationStream.confirm} says so. */
  readonly confirmLater?: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The replication connection: START_REPLICATION, a bounded queue of raw messages, and status to the server. The driver does
 * framing and login; acknowledging on its own is switched off, because it would report what was received as safe.
 */
export class ReplicationStream {
  private readonly queue = new ByteQueue();
  private readonly keepalive = Buffer.alloc(8);
  private readonly service: LogicalReplicationService;
  private readonly plugin: RawPgoutput;
  private readonly connect: Connect;
  private readonly options: StreamOptions;
  private readonly closing = new AbortController();
  private readonly shutdown = new ShutdownWatch();
  private paused = false;
  private failure: PipelineError | undefined;
  /** What the server is told; nothing until it is known. */
  private confirmedLsn: Lsn | undefined;
  private wake: (() => void) | undefined;
  private noted = false;

  private constructor(connect: Connect, options: StreamOptions) {
    this.connect = connect;
    this.options = options;
    if (options.confirmLater !== true) this.confirmedLsn = options.from;
    const config = connect.config('changes', { replication: 'database' });
    // The server's word that it skips a publication is a warning; the role may be set to hear errors only.
    const startup = { ...config, options: `${config.options} -c client_min_messages=warning`, replication: 'database' } as const;
    this.service = new LogicalReplicationService(startup, { acknowledge: { auto: false, timeoutSeconds: 0 } });
    hearErrorsFromTheFirst(this.service);
    this.plugin = new RawPgoutput(options, {
      message: (message) => this.receive(message),
      skipped: () => this.fail(publicationGone(options)),
    });
    this.service.on('heartbeat', (lsn, _, answer) => this.heard(lsn, answer));
    // Every failure also ends the subscription, which is where it is met; without a listener it would end the process.
    this.service.on('error', () => {});
  }

  /** Starts streaming. Throws PipelineError with the cure; waits a little for a slot that its last holder is leaving. */
  static async open(connect: Connect, options: StreamOptions): Promise<ReplicationStream> {
    if (options.signal.aborted) throw givenUp();
    const serverTimeoutMs = await checkStream(connect, options);
    const until = options.clock.monotonicMs() + SLOT_WAIT_MS;
    for (;;) {
      const stream = new ReplicationStream(connect, options);
      try {
        await stream.start();
        if (options.confirmLater === true) stream.confirm(await confirmedNow(connect, options));
        stream.repeatStatus(serverTimeoutMs).catch((error: unknown) => stream.fail(error));
        return stream;
      } catch (error) {
        stream.close();
        const held = codeOf(error) === '55006' && options.clock.monotonicMs() < until && !options.signal.aborted;
        if (!held) throw explainStreamError(error, connect, options);
        await options.clock.sleep(SLOT_RETRY_MS, options.signal);
      }
    }
  }

  /** The oldest queued page. Throws once the stream is broken and everything received was taken. */
  take(): Page | undefined {
    const page = this.queue.take();
    if (page === undefined && this.failure !== undefined) throw this.failure;
    return page;
  }

  /** Gives a page back; the socket is read again when enough was taken. */
  release(page: Page): void {
    this.queue.release(page);
    if (!this.paused || this.queue.bytes > MOST_QUEUED / 2) return;
    this.paused = false;
    this.plugin.socket?.resume();
  }

  /** Resolves once something was queued, the stream ended, or {@link notify} was called, since the last wait. */
  async wait(): Promise<void> {
    // A failure that came together with the last page was noted only once.
    if (!this.noted && this.failure === undefined)
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    this.noted = false;
    this.wake = undefined;
  }

  /** Ends the current or next {@link wait}. */
  notify(): void {
    this.noted = true;
    this.wake?.();
  }

  /** Tells the server that everything below this value is safe, now and on a timer. */
  confirm(lsn: Lsn): void {
    if (lsn !== this.confirmedLsn) this.shutdown.progressed();
    this.confirmedLsn = lsn;
    this.sendStatus();
  }

  /** Drops the connection at once; the server ends the slot's use when it notices. */
  close(): void {
    this.closing.abort();
    this.plugin.close();
    this.notify();
  }

  private async start(): Promise<void> {
    const { from, slot } = this.options;
    const started = new Promise<'started'>((resolve) => {
      this.service.once('start', () => resolve('started'));
    });
    const ended = this.service.subscribe(this.plugin, slot, formatLsn(from)).then(() => 'ended' as const);
    // Once started, the end of the subscription is the end of the stream.
    ended.then(
      () => this.fail(undefined),
      (error: unknown) => this.fail(error),
    );
    const { signal } = this.options;
    const outcome = await Promise.race([started, ended, aborted(signal, this.closing.signal)]);
    if (outcome === 'aborted') throw givenUp();
    if (outcome === 'ended') throw new Error('the server ended the stream before it began');
  }

  private receive(message: Buffer): void {
    if (this.failure !== undefined) return;
    this.queue.push(DATA_ENTRY, message);
    // Invariant 'bounded': what is not taken stays in the socket, and at the server.
    if (this.queue.bytes > MOST_QUEUED && !this.paused) {
      this.paused = true;
      this.plugin.socket?.pause();
    }
    this.notify();
  }

  private heard(lsn: string, answer: boolean): void {
    if (this.failure !== undefined) return;
    this.keepalive.writeBigUInt64BE(parseLsn(lsn));
    this.queue.push(KEEPALIVE_ENTRY, this.keepalive);
    if (answer) this.sendStatus();
    if (answer && this.shutdown.asked(this.options.clock.monotonicMs())) this.fail(shuttingDown(this.connect));
    this.notify();
  }

  /** A paused socket hears no request for status: it goes out well within the server's timeout, whatever happens. */
  private async repeatStatus(serverTimeoutMs: number): Promise<void> {
    const { clock } = this.options;
    const interval = serverTimeoutMs === 0 ? MOST_STATUS_MS : Math.min(MOST_STATUS_MS, serverTimeoutMs / 4);
    while (!this.closing.signal.aborted) {
      this.sendStatus();
      await clock.sleep(interval, this.closing.signal);
    }
  }

  private sendStatus(): void {
    if (this.closing.signal.aborted || this.failure !== undefined || this.confirmedLsn === undefined) return;
    this.service.acknowledge(driverLsn(this.confirmedLsn)).catch((error: unknown) => this.fail(error));
  }

  private fail(error: unknown): void {
    if (this.closing.signal.aborted || this.failure !== undefined) return;
    const cause = error ?? new PipelineError('unavailable', `PostgreSQL at ${this.connect.place} ended the change stream.`);
    this.failure = explainStreamError(cause, this.connect, this.options);
    this.closing.abort();
    this.plugin.close();
    this.notify();
  }
}

/** Where the slot, which is ours now, stands: what the server was told last, or `from` where that is below. */
async function confirmedNow(connect: Connect, { slot, from }: StreamOptions): Promise<Lsn> {
  const facts = await withConnection(connect, 'changes check', (client) => slotFacts(client, slot));
  const confirmed = parseLsn(facts?.confirmedFlushLsn ?? '');
  return confirmed < from ? confirmed : from;
}

/**
 * The driver listens for errors of its client once that is connected. A server that shuts down just then says so right behind its
 * welcome, in one piece, and an error that nobody listens for ends the process. The end of the connection follows, and is met.
 */
function hearErrorsFromTheFirst(service: LogicalReplicationService): void {
  let client: Client | null = null;
  Object.defineProperty(service, '_client', {
    get: () => client,
    set: (next: Client | null) => {
      next?.on('error', () => {});
      client = next;
    },
  });
}

function givenUp(): PipelineError {
  return new PipelineError('unavailable', 'The change stream was given up before it began.');
}

/** Resolves when the signal aborts; forgotten by it once `until` does. */
function aborted(signal: AbortSignal, until: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve('aborted');
    signal.addEventListener('abort', () => resolve('aborted'), { once: true, signal: until });
  });
}
