import { createHash } from 'node:crypto';

/** Slot names allow only these characters; publications take the same names so that the protocol needs no quoting. */
const PLAIN = /^[a-z0-9_]+$/;
/** Looks like one of our own hashes, which would make two pipelines' names meet. */
const ENDS_IN_HASH = /_[0-9a-f]{8}$/;
const MAX_NAME = 63;

const SLOT = 'nanosync_slot_';
/** What makes the name of a slot its anchor's. */
const ANCHOR_DIGITS = 16;

/** The replication slot of one anchor of a pipeline; no two anchors share one. */
export function slotName(pipeline: string, anchorId: string): string {
  const plain = /^[0-9a-f]{16}$/.test(anchorId);
  return `${slotStem(pipeline)}_${plain ? anchorId : sha256(anchorId).slice(0, ANCHOR_DIGITS)}`;
}

/** A regular expression that the slots of a pipeline match, of whatever anchor: also the one name that all its anchors had once. */
export function slotPattern(pipeline: string): string {
  return `^(${slotStem(pipeline)}_[0-9a-f]{${ANCHOR_DIGITS}}|${prefixed(SLOT, pipeline, MAX_NAME)})$`;
}

/** The publication of a pipeline. */
export function publicationName(pipeline: string): string {
  return prefixed('nanosync_pub_', pipeline, MAX_NAME);
}

function slotStem(pipeline: string): string {
  return prefixed(SLOT, pipeline, MAX_NAME - ANCHOR_DIGITS - 1);
}

/** The pipeline's name as it is where it fits, else its readable remains and a short hash of all of it. */
function prefixed(prefix: string, pipeline: string, longest: number): string {
  const whole = prefix + pipeline;
  if (PLAIN.test(pipeline) && !ENDS_IN_HASH.test(pipeline) && whole.length <= longest) return whole;
  const readable = pipeline.toLowerCase().replace(/[^a-z0-9]/g, '_');
  return `${prefix}${readable.slice(0, longest - prefix.length - 9)}_${sha256(pipeline).slice(0, 8)}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
