import { createHash } from 'node:crypto';

/** Slot names allow only these characters; publications take the same names so that the protocol needs no quoting. */
const PLAIN = /^[a-z0-9_]+$/;
/** Looks like one of our own hashes, which would make two pipelines' names meet. */
const ENDS_IN_HASH = /_[0-9a-f]{8}$/;
const MAX_NAME = 63;

/** The replication slot of a pipeline. */
export function slotName(pipeline: string): string {
  return prefixed('nanosync_slot_', pipeline);
}

/** The publication of a pipeline. */
export function publicationName(pipeline: string): string {
  return prefixed('nanosync_pub_', pipeline);
}

/** The pipeline's name as it is where it fits, else its readable remains and a short hash of all of it. */
function prefixed(prefix: string, pipeline: string): string {
  const whole = prefix + pipeline;
  if (PLAIN.test(pipeline) && !ENDS_IN_HASH.test(pipeline) && whole.length <= MAX_NAME) return whole;
  const hash = createHash('sha256').update(pipeline).digest('hex').slice(0, 8);
  const readable = pipeline.toLowerCase().replace(/[^a-z0-9]/g, '_');
  return `${prefix}${readable.slice(0, MAX_NAME - prefix.length - 9)}_${hash}`;
}
