/** Kafka's limit is 249 characters; a longer name is cut and carries a hash of all of it. */
const MAX_TOPIC = 249;
const KEPT = 200;

/** Bus partitions of a pipeline's rows topic; pinned. */
export const ROWS_BUS_PARTITIONS = 2;

/** The topics of a deployment. `prefix` is `nanosync` unless configured. */
export interface Topics {
  readonly tasks: string;
  /** The newest log lines of all services, for people: best effort, and read by `logs` alone. */
  readonly logs: string;
  rows(pipeline: string): string;
  changes(pipeline: string, table: string): string;
  quarantine(pipeline: string): string;
}

/** Names of all topics under one prefix. Distinct inputs give distinct names, also to Kafka, which takes `a.b` and `a_b` for the same. */
export function topicsOf(prefix = 'nanosync'): Topics {
  return {
    tasks: `${prefix}.tasks`,
    logs: `${prefix}.logs`,
    rows: (pipeline) => fitted(`${prefix}.${escapeTopicPart(pipeline)}`, '.rows'),
    changes: (pipeline, table) =>
      fitted(`${prefix}.${escapeTopicPart(pipeline)}.${table.split('.').map(escapeTopicPart).join('.')}`, '.changes'),
    quarantine: (pipeline) => fitted(`${prefix}.${escapeTopicPart(pipeline)}`, '.quarantine'),
  };
}

/** A name that Kafka takes. `--h` stands in no escaped name, so a cut one is never taken for a whole one. */
function fitted(name: string, suffix: string): string {
  if (name.length + suffix.length <= MAX_TOPIC) return name + suffix;
  return `${name.slice(0, KEPT)}--h${hash64(name)}${suffix}`;
}

/** FNV-1a, 64 bits: short, and stable for ever, since topics are found again by it. */
function hash64(name: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(name)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}

/**
 * One part of a topic name: letters, digits and `-` stay, everything else (also `_`, which Kafka's metrics confuse with `.`)
 * becomes `--` and its code point in hexadecimal and `-`; a `-` that stands before another is escaped too. Reversible.
 */
export function escapeTopicPart(part: string): string {
  let escaped = '';
  const chars = [...part];
  for (const [index, char] of chars.entries()) {
    const plain = /[A-Za-z0-9]/.test(char) || (char === '-' && index > 0 && chars[index + 1] !== '-' && chars[index - 1] !== '-');
    escaped += plain ? char : `--${char.codePointAt(0)?.toString(16)}-`;
  }
  return escaped;
}
