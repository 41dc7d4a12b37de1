import type { Mutant, NamedTest } from '../mutant.ts';

const EMBEDDED = 'libs/bus/src/embedded';
const KAFKA = 'libs/bus/src/kafka';
const MEMORY = 'libs/testkit/src';
const contract = (file: string, title: string): NamedTest => ({ project: 'unit', file, title, suite: `${MEMORY}/bus-contract.ts` });
const embedded = (title: string) => contract(`${EMBEDDED}/embedded-bus.test.ts`, title);
const memory = (title: string) => contract(`${MEMORY}/memory-bus.test.ts`, title);
const kafka = (title: string): NamedTest => ({ project: 'unit', file: `${KAFKA}/producer.test.ts`, title });

const STATE = 'libs/state/src';
const state = (file: string): NamedTest => ({
  ...{ project: 'unit', file, title: 'a lease has one owner until it ends', suite: `${MEMORY}/state-contract.ts` },
});

const POISONED = 'a failed send poisons the producer, what waits behind it included';

/** What breaks the promises of buses and state stores. */
export const STORE_MUTANTS: readonly Mutant[] = [
  {
    name: 'kafka-two-requests-in-flight',
    invariant: 'gapless-sessions',
    does: 'A second request of a bus partition goes out while the first is not answered: it may arrive where the first did not.',
    file: `${KAFKA}/producer.ts`,
    find: '      await before;\n',
    replace: '',
    test: kafka('one request of a bus partition is under way at a time, those of others go beside it'),
  },
  {
    name: 'kafka-sends-after-a-failure',
    invariant: 'gapless-sessions',
    does: 'A producer of Kafka goes on after a send that failed or was not answered.',
    file: `${KAFKA}/producer.ts`,
    find: 'if (this.#failed !== undefined && this.#failed.send < send)',
    replace: 'if (this.#failed !== undefined && this.#failed.send > send)',
    test: kafka('nothing follows a request that was not answered'),
  },
  {
    name: 'embedded-sends-after-a-failure',
    invariant: 'gapless-sessions',
    does: 'A producer of the embedded bus goes on after a send that failed.',
    file: `${EMBEDDED}/producer.ts`,
    find: 'if (this.#failed === undefined || this.#failed.send >= send) return;',
    replace: 'if (this.#failed === undefined || send >= 0) return;',
    test: embedded(POISONED),
  },
  {
    name: 'memory-sends-after-a-failure',
    invariant: 'gapless-sessions',
    does: 'A producer of the bus in memory goes on after a send that failed.',
    file: `${MEMORY}/memory-client.ts`,
    find: '    if (this.#refusal !== undefined) throw this.#refusal;\n',
    replace: '',
    test: memory(POISONED),
  },
  {
    name: 'embedded-reader-resets',
    invariant: 'no-silent-gap',
    does: 'A reader of the embedded bus goes on where the topic begins when its own place is gone.',
    file: `${EMBEDDED}/partition-reader.ts`,
    find: '    if (this.#offset < start || this.#offset > end) {\n',
    replace: '    this.#offset = Math.max(start, this.#offset);\n    if (this.#offset > end) {\n',
    test: embedded('out of range is a gap, never a reset'),
  },
  {
    name: 'embedded-damage-unnoticed',
    invariant: 'no-silent-gap',
    does: 'Bytes that changed on disk are read as messages.',
    file: `${EMBEDDED}/chunk.ts`,
    find: '  if (crc32(bytes) !== chunk.crc) return undefined;\n',
    replace: '',
    test: {
      project: 'unit',
      file: `${EMBEDDED}/durability.test.ts`,
      title: 'bytes that changed on disk, or are gone, are a gap and never a message',
    },
  },
  {
    name: 'memory-reader-resets',
    invariant: 'no-silent-gap',
    does: 'A reader of the bus in memory goes on where the topic begins when its own place is gone.',
    file: `${MEMORY}/memory-client.ts`,
    find: '    if (this.#offset < log.start || this.#offset > endOf(log)) {\n',
    replace: '    this.#offset = Math.max(log.start, this.#offset);\n    if (this.#offset > endOf(log)) {\n',
    test: memory('out of range is a gap, never a reset'),
  },
  {
    name: 'embedded-lease-for-two',
    invariant: 'one-owner',
    does: 'The embedded state store gives a lease away that another token holds.',
    file: `${STATE}/embedded/embedded-state.ts`,
    find: '      WHERE token = excluded.token OR expires_ms <= ?`;',
    replace: '      WHERE token <> excluded.token OR expires_ms >= 0 OR expires_ms <= ?`;',
    test: state(`${STATE}/embedded/embedded-state.test.ts`),
  },
  {
    name: 'memory-lease-for-two',
    invariant: 'one-owner',
    does: 'The state store in memory gives a lease away that another token holds.',
    file: `${MEMORY}/memory-state.ts`,
    find: 'if (held !== undefined && held.token !== token && held.expiresMs > now) return false;',
    replace: 'if (held !== undefined && held.token !== token && held.expiresMs < 0) return false;',
    test: state(`${MEMORY}/memory-state.test.ts`),
  },
];
