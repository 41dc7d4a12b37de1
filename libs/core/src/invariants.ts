/** A rule that holds the system together, in the words of docs/invariants.md. */
export interface Invariant {
  readonly number: number;
  readonly name: string;
  readonly rule: string;
}

/**
 * The invariants. Where the code upholds one stands a comment that begins with `Invariant` and the name in single quotes;
 * `npm run mutants` shows for each that some test fails without it.
 */
export const INVARIANTS = [
  { number: 1, name: 'anchor-first', rule: 'Publication, slot and a durable anchor exist before the first row is read.' },
  {
    number: 2,
    name: 'visibility-fence',
    rule: 'No read starts before every transaction that could have committed below L0 is visible.',
  },
  {
    number: 3,
    name: 'cover',
    rule: 'Ranges cover the table, and each is read under a lock taken first, after identity, columns and filenode were compared.',
  },
  {
    number: 4,
    name: 'gate',
    rule: 'Changes of an epoch are applied only after its generation is built; until then they wait on the bus.',
  },
  {
    number: 5,
    name: 'one-build',
    rule: "A partition is complete when one attempt's end marker and everything it names are durable, and one statement builds the table, once.",
  },
  {
    number: 6,
    name: 'complete-images',
    rule: 'Up to L1, and for key changes always, an event that lacks columns is completed from the source before it is published.',
  },
  { number: 7, name: 'logged-key', rule: 'A row is told from others by what the log identifies it by.' },
  {
    number: 8,
    name: 'gapless-sessions',
    rule: 'A session publishes to each bus partition in position order without a gap, and ends with the first send that fails.',
  },
  {
    number: 9,
    name: 'publish-then-acknowledge',
    rule: 'A commit is on the bus, then stored, then acknowledged, and exactly its value reaches the server.',
  },
  {
    number: 10,
    name: 'progress-in-the-sink',
    rule: 'A batch is one transaction whose first statement moves the progress from exactly the offsets it was read at, under its own token.',
  },
  {
    number: 11,
    name: 'one-owner',
    rule: "One token owns a table at the sink; the slot is capture's lease; one server owns a data directory.",
  },
  {
    number: 12,
    name: 'no-silent-gap',
    rule: 'Slot, system, timeline, topics and tables are those of the anchor, or the pipeline is failed with the reason and the command.',
  },
  { number: 13, name: 'nothing-skipped', rule: 'What cannot be decoded, encoded, sent or held is quarantined and counted.' },
  { number: 14, name: 'bounded', rule: 'Memory does not grow with rows, transaction size, lag or an absent sink.' },
] as const satisfies readonly Invariant[];

/** The name by which code, tests and docs call an invariant. */
export type InvariantName = (typeof INVARIANTS)[number]['name'];
