import { createHash } from 'node:crypto';

/** Slot names allow only these characters; publications take the same names so that the protocol needs no quoting. */
const PLAIN = /^[a-z0-9_]+$/;
/** Looks like one of our own hashes, which would make two pipelines' names meet. */
const ENDS_IN_HASH = /_[0-9a-f]{8}$/;
/** Looks like the name of a slot of the pipeline that is named like its beginning. */
const ENDS_IN_ANCHOR = /_[0-9a-f]{16}$/;
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
  return `^(${slotStem(pipeline)}_[0-9a-f]{${ANCHOR_DIGITS}}|${slotPrefixed(pipeline, MAX_NAME)})$`;
}

/** The publication of a pipeline. */
export function publicationName(pipeline: string): string {
  return prefixed('nanosync_pub_', pipeline, MAX_NAME);
}

function slotStem(pipeline: string): string {
  return slotPrefixed(pipeline, MAX_NAME - ANCHOR_DIGITS - 1);
}

/** Publications have no anchor's digits, so only slots can be taken for one another's. */
function slotPrefixed(pipeline: string, longest: number): string {
  return ENDS_IN_ANCHOR.test(pipeline) ? hashed(SLOT, pipeline, longest) : prefixed(SLOT, pipeline, longest);
}

/** The pipeline's name as it is where it fits, else its readable remains and a short hash of all of it. */
function prefixed(prefix: string, pipeline: string, longest: number): string {
  const whole = prefix + pipeline;
  return PLAIN.test(pipeline) && !ENDS_IN_HASH.test(pipeline) && whole.length <= longest ? whole : hashed(prefix, pipeline, longest);
}

function hashed(prefix: string, pipeline: string, longest: number): string {
  const readable = pipeline.toLowerCase().replace(/[^a-z0-9]/g, '_');
  return `${prefix}${readable.slice(0, longest - prefix.length - 9)}_${sha256(pipeline).slice(0, 8)}`;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
