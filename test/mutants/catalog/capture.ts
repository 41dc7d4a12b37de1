import type { Mutant, NamedTest } from '../mutant.ts';

const FOLDER = 'services/cdc-capture/src';
const test = (file: string, title: string): NamedTest => ({ project: 'unit', file: `${FOLDER}/${file}.test.ts`, title });
const session = (title: string) => test('capture-session', title);

const GOES_ON = 'a session goes on from what the one before it stored: tables, ends and topics';

/** What breaks the promises of capture: the order of its steps, and its sessions. */
export const CAPTURE_MUTANTS: readonly Mutant[] = [
  {
    name: 'capture-asks-for-no-completion',
    invariant: 'complete-images',
    does: 'Events between L0 and L1 are published as the log has them.',
    file: `${FOLDER}/capture-session.ts`,
    find: 'complete: (table) => progress?.isBelowL1(table) ?? true,',
    replace: 'complete: () => false,',
    test: session('has events of a table completed until its consistency position was met in the stream'),
  },
  {
    name: 'consistency-of-another-epoch',
    invariant: 'complete-images',
    does: 'The L1 marker of an epoch that was given up ends the completion of the present one.',
    file: `${FOLDER}/event-publisher.ts`,
    find: 'if (table.epoch !== marker.epoch || table.l1 !== null) return;',
    replace: 'if (table.l1 !== null) return;',
    test: session('has events of a table completed until its consistency position was met in the stream'),
  },
  {
    name: 'asked-ahead-of-a-marker',
    invariant: 'complete-images',
    does: 'What follows a marker is asked for, and completed or not, before the marker is taken in.',
    file: `${FOLDER}/capture-session.ts`,
    find: "const early = events.at(-1)?.kind === 'marker' ? undefined : ahead(reader);",
    replace: 'const early = ahead(reader);',
    test: session('asks for nothing behind a marker before it has taken it in'),
  },
  {
    name: 'session-continued-after-a-failed-send',
    invariant: 'gapless-sessions',
    does: 'A send that fails is taken for done, and the session goes on behind the gap.',
    file: `${FOLDER}/outbox.ts`,
    find: 'const { end } = await this.producer.send(topic, partition, messages);',
    replace: 'const { end } = await this.producer.send(topic, partition, messages).catch(() => ({ end: Number.MAX_SAFE_INTEGER }));',
    test: session('ends with a send that %s; the next one, under a higher number, leaves no gap'),
  },
  {
    name: 'session-number-used-twice',
    invariant: 'gapless-sessions',
    does: 'After the store forgot sessions a number is used again that messages on the bus have.',
    file: `${FOLDER}/capture-record.ts`,
    find: 'session: Math.max(start.record.session, tailSession) + 1',
    replace: 'session: start.record.session + 1',
    test: session('has a number above that of every message that is on the bus, whatever the store remembers'),
  },
  {
    name: 'watermark-behind-its-events',
    invariant: 'gapless-sessions',
    does: 'A watermark is published at a place that lies before changes that are published already.',
    file: `${FOLDER}/session-progress.ts`,
    find: '    this.dirty.add(table);\n    this.idleAt = undefined;\n',
    replace: '    this.dirty.add(table);\n',
    test: test('session-progress', 'a watermark is never told at a place that lies before what came since'),
  },
  {
    name: 'acknowledged-before-stored',
    invariant: 'publish-then-acknowledge',
    does: 'The source is told to forget what the state store does not know yet.',
    file: `${FOLDER}/session-progress.ts`,
    find: `    this.safe = acknowledge;
    this.toAcknowledge = 'taken in';`,
    replace: `    this.safe = acknowledge;
    this.toAcknowledge = 'stored';`,
    test: test('session-progress', 'nothing is acknowledged before it is stored, and each value once'),
  },
  {
    name: 'told-although-the-store-forgot',
    invariant: 'publish-then-acknowledge',
    does: 'The source is told to forget what a state store has lost that may lose its newest writes.',
    file: `${FOLDER}/capture-session.ts`,
    find: 'const isKnown = record?.anchor === session.anchor.id && comparePositions(record.acknowledged, position) >= 0;',
    replace: 'const isKnown = record?.anchor === session.anchor.id;',
    test: session('lets the source forget nothing that a store which loses its newest writes does not know any more, and ends'),
  },
  {
    name: 'stored-before-published',
    invariant: 'publish-then-acknowledge',
    does: 'The state store is told that changes are published while they are on their way.',
    file: `${FOLDER}/capture-session.ts`,
    find: `  if (publisher.bytes > 0) {
    progress.published(await publisher.flush());`,
    replace: `  if (publisher.bytes > 0) {
    await store.store(progress.record);
    progress.published(await publisher.flush());`,
    test: session('publishes, then stores, then acknowledges exactly the commit'),
  },
  {
    name: 'overtaken-session-goes-on',
    invariant: 'one-owner',
    does: 'A capture session acknowledges although another one has stored behind it.',
    file: `${FOLDER}/capture-record.ts`,
    find: "    if (version === undefined) throw new PipelineError('conflict', 'Another capture session has taken over.');\n    this.stored = { ...this.stored, value, version };",
    replace: '    this.stored = { ...this.stored, value, version: version ?? this.stored.version };',
    test: session('ends when another session has stored behind it, and acknowledges nothing more'),
  },
  {
    name: 'log-not-verified',
    invariant: 'no-silent-gap',
    does: 'A session begins without asking whether the log is whole from what is published on.',
    file: `${FOLDER}/capture-session.ts`,
    find: '  await source.verify(name, anchor, start.record.published);\n',
    replace: '',
    test: session('asks the source before anything else whether its log is whole from what is published on'),
  },
  {
    name: 'tables-forgotten-between-sessions',
    invariant: 'no-silent-gap',
    does: 'A session forgets which tables have met their generation event, and passes over their changes.',
    file: `${FOLDER}/session-progress.ts`,
    find: '      this.tables.set(table as TableId, { ...value, overlap: { ...value.overlap } });\n',
    replace: '',
    test: test('session-progress', GOES_ON),
  },
  {
    name: 'ends-forgotten-between-sessions',
    invariant: 'no-silent-gap',
    does: 'A session forgets how far the topics were, so that the loss of their newest messages is not noticed.',
    file: `${FOLDER}/session-progress.ts`,
    find: '    this.ends = record.ends;\n',
    replace: '    this.ends = {};\n',
    test: test('session-progress', GOES_ON),
  },
  {
    name: 'topic-identity-not-compared',
    invariant: 'no-silent-gap',
    does: 'Capture goes on in a topic that was deleted and made again.',
    file: `${FOLDER}/topic-tail.ts`,
    find: 'if (id !== undefined && id !== topic.id)',
    replace: 'if (id === topic.name)',
    test: session('does not go on in a topic that %s'),
  },
  {
    name: 'lost-tail-unnoticed',
    invariant: 'no-silent-gap',
    does: 'Capture goes on in a topic that has lost its newest messages.',
    file: `${FOLDER}/topic-tail.ts`,
    find: 'if ((topic.partitions[partition]?.end ?? 0) < stored)',
    replace: 'if (stored < 0)',
    test: session('does not go on in a topic that %s'),
  },
  {
    name: 'large-change-dropped',
    invariant: 'nothing-skipped',
    does: 'A change that the bus does not take is passed over.',
    file: `${FOLDER}/event-publisher.ts`,
    find: '    this.quarantine.add({ table, epoch, position, reason, payload });\n    progress.quarantined(table, position);\n',
    replace: '    if (epoch !== reason + payload.length) progress.passedOver(position);\n',
    test: test(
      'event-publisher',
      'a change that the bus does not take is quarantined with the reason and counted; those around it keep their order',
    ),
  },
  {
    name: 'transaction-in-one-piece',
    invariant: 'bounded',
    does: 'A transaction is gathered in memory until its end before any of it is published.',
    file: `${FOLDER}/capture-session.ts`,
    find: 'if (session.publisher.bytes < FLUSH_BYTES) continue;',
    replace: "if (event.kind !== 'commit' || session.publisher.bytes < FLUSH_BYTES) continue;",
    test: session('publishes a transaction of any size in pieces'),
  },
];
