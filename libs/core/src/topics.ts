/** Kafka's limit is 249 characters; ours leaves room for the hash. */
const MAX_TOPIC = 200;

/** Bus partitions of a pipeline's rows topic; pinned. */
export const ROWS_BUS_PARTITIONS = 2;

/** The topics of a deployment. `prefix` is `nanosync` unless configured. */
export interface Topics {
  readonly tasks: string;
  rows(pipeline: string): string;
  changes(pipeline: string, table: string): string;
  quarantine(pipeline: string): string;
}

/** Names of all topics under one prefix. Distinct inputs give distinct names, also to Kafka, which takes `a.b` and `a_b` for the same. */
export function topicsOf(prefix = 'nanosync'): Topics {
  return {
    tasks: `${prefix}.tasks`,
    rows: (pipeline) => `${prefix}.${escapeTopicPart(pipeline)}.rows`,
    changes: (pipeline, table) => `${prefix}.${escapeTopicPart(pipeline)}.${table.split('.').map(escapeTopicPart).join('.')}.changes`,
    quarantine: (pipeline) => `${prefix}.${escapeTopicPart(pipeline)}.quarantine`,
  };
}

/**
 * One part of a topic name: letters, digits and `-` stay, everything else (also `_`, which Kafka's metrics confuse with `.`)
 * becomes `--` and its code point in hexadecimal and `-`; a `-` that stands before another is escaped too. Reversible.
 */
export function escapeTopicPart(part: string): string {
  let escaped = '';
  for (const [index, char] of [...part].entries()) {
    const plain = /[A-Za-z0-9]/.test(char) || (char === '-' && index > 0 && [...part][index + 1] !== '-' && [...part][index - 1] !== '-');
    escaped += plain ? char : `--${char.codePointAt(0)?.toString(16)}-`;
  }
  if (escaped.length > MAX_TOPIC) throw new RangeError(`the name ${part.slice(0, 40)}… is too long for a topic`);
  return escaped;
}
