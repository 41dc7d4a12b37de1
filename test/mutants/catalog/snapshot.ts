import type { Mutant, NamedTest } from '../mutant.ts';

const PLANNER = 'services/planner/src';
const WORKER = 'services/snapshot-worker/src';
const planner = (file: string, title: string): NamedTest => ({ project: 'unit', file: `${PLANNER}/${file}.test.ts`, title });
const worker = (title: string): NamedTest => ({ project: 'unit', file: `${WORKER}/worker.test.ts`, title });

/** What breaks the promises of planner and snapshot workers. */
export const SNAPSHOT_MUTANTS: readonly Mutant[] = [
  {
    name: 'l0-taken-late',
    invariant: 'anchor-first',
    does: 'A later epoch gets its L0 when its ranges are handed out, so that changes since the fence are in neither copy nor stream.',
    file: `${PLANNER}/ranges.ts`,
    find: `  for (const { value } of tables)
    if (value.l0 === null) await source.mark({ kind: 'generation', pipeline: name, table: value.table, epoch: value.epoch });
`,
    replace: '',
    also: {
      find: '    parts.fresh.delete(stored.value.epoch);\n    await storeRanges(parts, stored);\n',
      replace: `    parts.fresh.delete(stored.value.epoch);
    await storeRanges(parts, stored);
    const { value } = stored;
    if (value.l0 === null) await source.mark({ kind: 'generation', pipeline: name, table: value.table, epoch: value.epoch });
`,
    },
    test: planner('ranges', 'a later epoch is marked in the log before its fence'),
  },
  {
    name: 'added-table-not-streamed',
    invariant: 'anchor-first',
    does: 'A table that comes to a pipeline is marked and read before the source streams it.',
    file: `${PLANNER}/adding.ts`,
    find: '  await source.extend(name, tables, { signal: ctx.signal, onWait });\n',
    replace: '  onWait([]);\n',
    test: planner(
      'adding',
      'a table that comes is streamed first, then recorded without L0, then marked, fenced and read; the phase says so',
    ),
  },
  {
    name: 'anchor-without-tables',
    invariant: 'anchor-first',
    does: 'The tables are not stored with their anchor, so what was planned under it is forgotten with the process.',
    file: `${PLANNER}/anchoring.ts`,
    find: '    entries.push({ key, value: table, expected: before?.version ?? 0 });\n',
    replace: '    if (before !== undefined) entries.push({ key, value: table, expected: before.version });\n',
    test: planner('anchoring', 'anchor and tables are stored in one write, once the slot is there'),
  },
  {
    name: 'no-fence',
    invariant: 'visibility-fence',
    does: 'Ranges are handed out without the fence.',
    file: `${PLANNER}/ranges.ts`,
    find: '  await source.fence({\n',
    replace: "  await (async (_: Parameters<Source['fence']>[0]) => {})({\n",
    test: planner(
      'ranges',
      'no range is stored before the fence has been passed; status names who holds it and the statement that ends it',
    ),
  },
  {
    name: 'two-plans-of-one-epoch',
    invariant: 'cover',
    does: 'A planner that takes over plans anew under an epoch of which ranges may be handed out already.',
    file: `${PLANNER}/ranges.ts`,
    find: 'if (fresh.has(stored.value.epoch)) return stored;',
    replace: 'if (fresh.has(stored.value.epoch) || stored.value.l0 !== null) return stored;',
    test: planner(
      'table-planner',
      'ranges that another planner may have handed out get an epoch of their own, marked in the log before its fence',
    ),
  },
  {
    name: 'range-not-of-the-ledger-read',
    invariant: 'cover',
    does: 'A worker reads the range of a task although the ledger has another one for the partition.',
    file: `${WORKER}/read-partition.ts`,
    find: 'record.voided === null && record.range === task.range',
    replace: 'record.voided === null',
    test: worker('does not read a range that is not the one of the ledger'),
  },
  {
    name: 'rewritten-for-ever',
    invariant: 'cover',
    does: 'A table that is rewritten again and again is planned in ranges for ever.',
    file: `${PLANNER}/ranges.ts`,
    find: 'whole: voids >= VOIDS_BEFORE_WHOLE',
    replace: 'whole: voids < 0',
    test: planner('ranges', 'a void plan gets a new epoch with an L0 of its own, and after two the table is read as one range'),
  },
  {
    name: 'void-epoch-used-again',
    invariant: 'cover',
    does: 'A table that was rewritten is planned anew under the epoch of the old file.',
    file: `${PLANNER}/ranges.ts`,
    find: '    epoch: ctx.ids.next(),\n    storage: found.storage,',
    replace: '    storage: found.storage,',
    test: planner('ranges', 'a void plan gets a new epoch with an L0 of its own, and after two the table is read as one range'),
  },
  {
    name: 'stale-epoch-read',
    invariant: 'gate',
    does: 'A worker reads ranges of an epoch that was given up.',
    file: `${WORKER}/read-partition.ts`,
    find: ' || table.epoch !== task.epoch',
    replace: '',
    test: worker('does not read for an epoch that was given up'),
  },
  {
    name: 'stale-epoch-reported',
    invariant: 'gate',
    does: 'The planner takes what the sink says of an earlier epoch for this one.',
    file: `${PLANNER}/table-planner.ts`,
    find: 'if (report === undefined || report.epoch !== epoch || !report.built) return false;',
    replace: 'if (report === undefined || !report.built) return false;',
    test: planner('table-planner', 'what the sink says of an earlier epoch moves nothing'),
  },
  {
    name: 'end-marker-before-its-batches',
    invariant: 'one-build',
    does: 'A partition is ended while batches of it are not on the bus yet.',
    file: `${WORKER}/read-partition.ts`,
    find: '  await Promise.all(sends);\n',
    replace: '',
    test: worker('ends a partition only when all of its batches are on the bus'),
  },
  {
    name: 'consistency-asked-for-too-early',
    invariant: 'complete-images',
    does: 'L1 is asked for while ranges are still to be read, whose rows changes above it then meet incomplete.',
    file: `${PLANNER}/table-planner.ts`,
    find: 'if (ledger.allRead && !stored.value.l1Requested)',
    replace: 'if (!stored.value.l1Requested)',
    test: planner('table-planner', 'the consistency position is asked for once every range has been read, and not before'),
  },
  {
    name: 'forgotten-pipeline-begun-anew',
    invariant: 'no-silent-gap',
    does: 'A pipeline that the state store lost is begun anew over topics and tables that it has.',
    file: `${PLANNER}/anchoring.ts`,
    find: '  if (request === null) await refuseLeftovers(ctx, definition.name, tables, sink);\n  else await discardUnseen',
    replace: '  if (request !== null) await discardUnseen',
    test: planner('anchoring', 'a pipeline that the store forgot is not begun over what its %s has'),
  },
  {
    name: 'drift-unnoticed',
    invariant: 'no-silent-gap',
    does: 'A table that is no longer what was planned is followed on.',
    file: `${PLANNER}/table-planner.ts`,
    find: '    if (drifts.length > 0)\n',
    replace: '    if (drifts.length > tables.length)\n',
    test: planner('table-planner', 'a table that is no longer what was planned ends the pipeline with the command that repairs it'),
  },
  {
    name: 'large-row-dropped',
    invariant: 'nothing-skipped',
    does: 'A row that the bus does not take is left out and not counted.',
    file: `${WORKER}/read-partition.ts`,
    find: '      reject(await publisher.quarantineLarge(name, output.block));\n',
    replace: '',
    test: worker('quarantines a row that the bus does not take, with the reason and its beginning, and reads the rest'),
  },
  {
    name: 'worker-reads-ahead-of-the-bus',
    invariant: 'bounded',
    does: 'A worker holds all of a range in memory while the bus does not take it.',
    file: `${WORKER}/read-partition.ts`,
    find: '    if (sends.length >= BATCHES_IN_FLIGHT) await sends.shift();\n',
    replace: '',
    test: worker('reads no further than a few batches ahead of the bus'),
  },
  {
    name: 'tasks-without-bound',
    invariant: 'bounded',
    does: 'Tasks go out however much the sink has not taken in.',
    file: `${PLANNER}/tasks.ts`,
    find: '  if (sum(open, (ledger) => ledger.undurableBytes) > MAX_UNDURABLE_BYTES)\n',
    replace: '  if (sum(open, (ledger) => ledger.undurableBytes) < 0)\n',
    test: planner('ranges', 'no more tasks go out than the pipeline’s concurrency, and none while too much waits for the sink'),
  },
];
