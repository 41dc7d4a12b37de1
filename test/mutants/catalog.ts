import { API_MUTANTS } from './catalog/api.ts';
import { CAPTURE_MUTANTS } from './catalog/capture.ts';
import { QUERY_MUTANTS } from './catalog/query.ts';
import { simulated } from './catalog/simulated.ts';
import { SINK_MUTANTS } from './catalog/sink.ts';
import { WRITER_MUTANTS } from './catalog/sink-writer.ts';
import { SNAPSHOT_MUTANTS } from './catalog/snapshot.ts';
import { SOURCE_MUTANTS } from './catalog/source.ts';
import { STORE_MUTANTS } from './catalog/stores.ts';
import { VERIFY_MUTANTS } from './catalog/verify.ts';
import type { Mutant } from './mutant.ts';

const TESTED: readonly Mutant[] = [
  ...SOURCE_MUTANTS,
  ...CAPTURE_MUTANTS,
  ...SNAPSHOT_MUTANTS,
  ...WRITER_MUTANTS,
  ...SINK_MUTANTS,
  ...STORE_MUTANTS,
  ...VERIFY_MUTANTS,
  ...QUERY_MUTANTS,
  ...API_MUTANTS,
];

/** Every mutant, in the order in which they are run. */
export const CATALOG: readonly Mutant[] = [...TESTED, ...simulated(TESTED)];
