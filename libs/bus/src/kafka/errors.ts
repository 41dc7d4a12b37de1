import { PipelineError } from '@nanosync/core';
import protocol from 'kafkajs/src/protocol/error.js';
import type { KafkaSettings } from './options.ts';

/** Answers that mean: ask again, perhaps another broker. */
const MOVED: readonly string[] = [
  'UNKNOWN_TOPIC_OR_PARTITION',
  'UNKNOWN_TOPIC_ID',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'REPLICA_NOT_AVAILABLE',
  'KAFKA_STORAGE_ERROR',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'NETWORK_EXCEPTION',
  'REQUEST_TIMED_OUT',
  'NOT_CONTROLLER',
  'INCONSISTENT_TOPIC_ID',
];
const TOO_LARGE: readonly string[] = ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'];
const REFUSED: readonly string[] = [
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'INVALID_CONFIG',
  'POLICY_VIOLATION',
  'UNSUPPORTED_VERSION',
];
/** Codes of TLS failures that no waiting cures. */
const CERTIFICATE = /CERT|SIGNATURE|ERR_SSL|ERR_TLS|^UNABLE_TO/;

/** Error codes that kafkajs has no name for. */
const NEWER: Readonly<Record<number, string>> = {
  75: 'UNKNOWN_LEADER_EPOCH',
  78: 'OFFSET_NOT_AVAILABLE',
  100: 'UNKNOWN_TOPIC_ID',
  103: 'INCONSISTENT_TOPIC_ID',
};

/** The error for a code in a broker's answer. */
export function answerError(code: number, what: string): BrokerError {
  return new BrokerError(NEWER[code] ?? protocol.createErrorFromCode(code).type, what);
}

/** An error answer of a broker, by its name in the protocol. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly type: string;

  constructor(type: string, what: string) {
    super(`${what}: ${type}`);
    this.type = type;
  }
}

/** The protocol's name of an error answer; undefined for anything else. */
export function answerOf(error: unknown): string | undefined {
  if (error instanceof BrokerError) return error.type;
  if (!(error instanceof Error)) return undefined;
  const { type } = error as { readonly type?: unknown };
  return typeof type === 'string' && error.name.startsWith('KafkaJS') ? type : undefined;
}

/** True for an answer after which metadata is looked up again. */
export function hasMoved(error: unknown): boolean {
  return MOVED.includes(answerOf(error) ?? '');
}

/** True when the broker did not answer, or the connection broke: something that may be over the next time. */
export function isLost(error: unknown): boolean {
  if (!(error instanceof Error) || isCertificate(error)) return false;
  return /^KafkaJS(Connection|ConnectionClosed|RequestTimeout|Lock|)(Error|Timeout)$/.test(error.name) && answerOf(error) === undefined;
}

/** What a caller outside this folder gets to see of a failure. `what` says in a few words what was tried. */
export function pipelineError(error: unknown, what: string, settings: KafkaSettings): PipelineError {
  if (error instanceof PipelineError) return error;
  const answer = answerOf(error);
  if (answer === undefined && !/^KafkaJS/.test((error as Partial<Error>).name ?? ''))
    return new PipelineError('defect', `${what}: ${messageOf(error)}.`, { cause: error });
  const brokers = settings.brokers.join(', ');
  const refused = loginRefused(error, brokers, settings) ?? (answer === undefined ? undefined : refusal(answer, what, brokers, settings));
  if (refused !== undefined) return new PipelineError('prerequisite', refused.message, { hint: refused.hint, cause: error });
  const tls = /TLS/.test(messageOf(error)) ? ', see that this listener speaks TLS' : '';
  return new PipelineError(
    'unavailable',
    `${what}: Kafka at ${brokers} ${answer === undefined ? 'does not answer' : `answers ${answer}`}.`,
    {
      hint: `Start the brokers${tls}, or correct their addresses in the server file. (${messageOf(error)})`,
      cause: error,
    },
  );
}

interface Explanation {
  readonly message: string;
  readonly hint: string;
}

function loginRefused(error: unknown, brokers: string, settings: KafkaSettings): Explanation | undefined {
  if (isAuthentication(error))
    return {
      message: `Kafka at ${brokers} refuses the login of ${settings.sasl?.username ?? 'a client without one'}.`,
      hint: 'Check mechanism, user and password of the bus in the server file, and that the listener asks for them.',
    };
  if (isCertificate(error))
    return {
      message: `No secure connection to Kafka at ${brokers}: ${messageOf(error)}.`,
      hint: 'Check the authority (ca), the name in the certificate and that the listener speaks TLS.',
    };
  return undefined;
}

/** Answers that stay the same until a person changes a setting. */
function refusal(answer: string, what: string, brokers: string, settings: KafkaSettings): Explanation | undefined {
  if (TOO_LARGE.includes(answer))
    return {
      message: `${what}: Kafka takes smaller messages on this topic than nanosync sends.`,
      hint: `Set max.message.bytes of the topic to ${settings.maxMessageBytes}, or lower the limit in the server file.`,
    };
  if (answer === 'INVALID_REPLICATION_FACTOR')
    return {
      message: `${what}: there are fewer brokers than the ${settings.replicationFactor} copies that are asked for.`,
      hint: 'Set the replication factor of the bus in the server file to the number of brokers, or to 3 where there are more.',
    };
  if (REFUSED.includes(answer))
    return {
      message: `${what}: Kafka at ${brokers} refuses it (${answer}).`,
      hint: 'Give the user of the bus what it lacks, or correct the settings of the bus in the server file.',
    };
  return undefined;
}

function isAuthentication(error: unknown): boolean {
  const answer = answerOf(error) ?? '';
  return (error instanceof Error && /SASL/.test(error.name)) || /SASL/.test(answer);
}

/** True for a failure of TLS itself, which no waiting cures. */
export function isCertificate(error: unknown): boolean {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return error instanceof Error && typeof code === 'string' && CERTIFICATE.test(code);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
