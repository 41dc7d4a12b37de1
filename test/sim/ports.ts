import type { Bus, GroupMember, PartitionReader, Producer, QuerySource, Registry, Sink, Source, State } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import { bytesOfChanges, bytesOfMessages } from './held.ts';
import type { Process } from './process.ts';

type Method = (...args: never[]) => Promise<unknown>;

/** Methods of `target` as this process calls them; `made` wraps what some of them return. */
function gated<T extends object>(
  process: Process,
  port: string,
  target: T,
  methods: readonly (keyof T & string)[],
  made: Partial<Record<keyof T & string, (value: never) => unknown>> = {},
): T {
  const wrapped: Record<string | symbol, unknown> = {};
  for (const method of methods) {
    const call = `${port}.${method}`;
    const wrap = made[method];
    wrapped[method] = async (...args: never[]) => {
      const value = await process.through(call, async () => (target[method] as unknown as Method).apply(target, args));
      return wrap === undefined || value === undefined ? value : wrap(value as never);
    };
  }
  // Its end is said by the world when a process dies; a living one says it itself.
  wrapped[Symbol.asyncDispose] = async () => {
    await process.running();
    await (target as Partial<AsyncDisposable>)[Symbol.asyncDispose]?.();
  };
  return wrapped as T;
}

/** The state store as this process has it. */
export function stateOf(process: Process, state: State): State {
  const wrapped = gated(process, 'state', state, ['get', 'list', 'put', 'putAll', 'remove', 'lease', 'isLeased', 'release']);
  return Object.assign(wrapped, { mayLoseMs: state.mayLoseMs });
}

/** The registry as this process has it. */
export function registryOf(process: Process, registry: Registry): Registry {
  return gated(process, 'registry', registry, ['register', 'schema']);
}

/** The bus as this process has it; it hands out at most so many bytes at once. */
export function busOf(process: Process, bus: Bus, readBytes: number): Bus {
  const reader = (made: PartitionReader) => {
    const { read, ...rest } = gated(process, 'bus.reader', made, ['read']);
    return {
      ...rest,
      read: (options: Parameters<typeof read>[0]) => read({ ...options, maxBytes: Math.min(options.maxBytes, readBytes) }),
    };
  };
  const producer = (made: Producer) => {
    const { send, ...rest } = ordered(gated(process, 'bus.producer', made, ['send']));
    const counted: Producer['send'] = async (topic, partition, messages) => {
      const bytes = bytesOfMessages(messages);
      process.held.taken(bytes);
      try {
        return await send(topic, partition, messages);
      } finally {
        process.held.given(bytes);
      }
    };
    return { ...rest, send: counted };
  };
  const group = (made: GroupMember) => {
    process.onCutGroup(() => void made[Symbol.asyncDispose]());
    return gated(process, 'bus.group', made, ['next'], {
      next: (delivery: NonNullable<Awaited<ReturnType<GroupMember['next']>>>) => ({
        ...gated(process, 'bus.group', delivery, ['heartbeat', 'done']),
        message: delivery.message,
      }),
    });
  };
  const wrapped = gated(process, 'bus', bus, ['ensureTopic', 'topic', 'deleteTopic', 'producer', 'reader', 'group', 'trim'], {
    producer,
    reader,
    group,
  });
  return Object.assign(wrapped, { maxMessageBytes: bus.maxMessageBytes });
}

/** As the contract says: one send a bus partition is on its way, and after one that failed a producer sends no more. */
function ordered(producer: Producer): Producer {
  const last = new Map<string, Promise<unknown>>();
  let failed = false;
  const send: Producer['send'] = async (topic, partition, messages) => {
    if (failed) throw new PipelineError('conflict', 'An earlier send of this producer failed.');
    try {
      return await producer.send(topic, partition, messages);
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  return {
    send: (topic, partition, messages) => {
      const place = `${topic} ${partition}`;
      const sent = (last.get(place) ?? Promise.resolve()).then(() => send(topic, partition, messages));
      last.set(
        place,
        sent.catch(() => undefined),
      );
      return sent;
    },
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}

/** The source as this process has it. */
export function sourceOf(process: Process, source: Source): Source {
  const wrapped = gated(
    process,
    'source',
    source,
    [
      'check',
      'discover',
      'drift',
      'anchor',
      'drop',
      'tidy',
      'extend',
      'withdraw',
      'verify',
      'release',
      'fence',
      'partition',
      'readRows',
      'changes',
      'mark',
      'end',
      'retention',
      'openView',
    ],
    {
      openView: ({ id, position, ...view }: Awaited<ReturnType<Source['openView']>>) => ({
        ...gated(process, 'source.view', view, ['check']),
        ...{ id, position },
      }),
      changes: (reader: Awaited<ReturnType<Source['changes']>>) => ({
        ...gated(process, 'source.changes', reader, ['next']),
        acknowledge: (position: Parameters<typeof reader.acknowledge>[0]) => {
          if (!process.dead) reader.acknowledge(position);
        },
      }),
    },
  );
  return Object.assign(wrapped, {
    readRange: (...args: Parameters<Source['readRange']>) => rangeOf(process, source.readRange(...args)),
    distance: () => 0,
    queries: source.queries && queriesOf(process, source.queries),
  });
}

function queriesOf(process: Process, queries: QuerySource): QuerySource {
  return {
    ...gated(process, 'source.queries', queries, ['describe']),
    read: (...args) => rangeOf(process, queries.read(...args)),
  };
}

async function* rangeOf<T>(process: Process, range: AsyncIterable<T>): AsyncIterable<T> {
  const iterator = range[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await process.through('source.readRange', () => iterator.next());
      if (done === true) return;
      yield value;
    }
  } finally {
    await process.running();
    await iterator.return?.();
  }
}

/** The sink as this process has it. */
export function sinkOf(process: Process, sink: Sink): Sink {
  const wrapped = gated(process, 'sink', sink, [
    'check',
    'claimRows',
    'stage',
    'staged',
    'discard',
    'build',
    'adopt',
    'generation',
    'generations',
    'shows',
    'claim',
    'apply',
    'switchTo',
    'release',
    'keyFaults',
    'left',
    'merge',
  ]);
  const apply: Sink['apply'] = (request) => {
    process.held.require(bytesOfChanges(request.changes));
    return wrapped.apply(request);
  };
  return { ...wrapped, apply, scan: (request) => sink.scan(request), pace: sink.pace };
}
