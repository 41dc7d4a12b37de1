import protocol from 'kafkajs/src/consumer/assignerProtocol.js';
import type { Claim, Share } from './assign.ts';
import { answerError } from './errors.ts';
import { WireReader, WireWriter } from './wire.ts';

const JOIN_GROUP = 11;
const MEMBER_ID_REQUIRED = 79;
/** The name under which members find that they share out in the same way. */
const STRATEGY = 'nanosync-sticky-1';

/** What a member sends to join. */
export interface JoinRequest {
  readonly group: string;
  readonly topic: string;
  readonly member: string;
  readonly sessionTimeoutMs: number;
  readonly claim: Omit<Claim, 'member'>;
}

/** What it is answered; `claims` only for the one that is to share out. An empty generation means: join again under this member id. */
export interface Joined {
  readonly generation: number | undefined;
  readonly member: string;
  readonly claims: readonly Claim[] | undefined;
}

/** JoinGroup version 5. Written here because kafkajs' own hides the member id until the group is complete, and one must be able to leave before. */
export function joinRequest(join: JoinRequest): KafkajsRequest<Joined> {
  return {
    request: { apiKey: JOIN_GROUP, apiVersion: 5, apiName: 'JoinGroup', encode: async () => encode(join) },
    response: { decode: async (data) => decode(data), parse: async (joined) => joined },
    requestTimeout: join.sessionTimeoutMs + 5000,
  };
}

function encode({ group, topic, member, sessionTimeoutMs, claim }: JoinRequest): WireWriter {
  const metadata = protocol.MemberMetadata.encode({ version: 0, topics: [topic], userData: Buffer.from(JSON.stringify(claim)) });
  const writer = new WireWriter().string(group).int32(sessionTimeoutMs).int32(sessionTimeoutMs).string(member);
  return writer.string(null).string('consumer').int32(1).string(STRATEGY).int32(metadata.length).raw(metadata);
}

function decode(data: Buffer): Joined {
  const reader = new WireReader(data);
  reader.int32();
  const error = reader.int16();
  const generation = reader.int32();
  reader.string();
  const leader = reader.string();
  const member = reader.string();
  if (error === MEMBER_ID_REQUIRED) return { generation: undefined, member, claims: undefined };
  if (error !== 0) throw answerError(error, 'Could not join the group');
  const claims = reader.array(() => {
    const name = reader.string();
    reader.string();
    return claimOf(name, reader.raw(reader.int32()));
  });
  return { generation, member, claims: leader === member ? claims : undefined };
}

/** A member without a readable claim has nothing yet. */
function claimOf(member: string, metadata: Buffer): Claim {
  try {
    const { userData } = protocol.MemberMetadata.decode(metadata);
    return { ...(JSON.parse(userData.toString()) as Omit<Claim, 'member'>), member };
  } catch {
    return { member, generation: -1, owned: [], busy: [] };
  }
}

/** A member's share as the group's protocol carries it; Kafka's own tools read the partitions out of it. */
export function encodeShare(topic: string, { assigned, release }: Share): Buffer {
  const userData = Buffer.from(JSON.stringify({ release }));
  return protocol.MemberAssignment.encode({ version: 0, assignment: { [topic]: assigned }, userData });
}

/** Reads {@link encodeShare}; nothing assigned reads as an empty share. */
export function decodeShare(topic: string, data: Buffer): Share {
  const decoded = data.length === 0 ? null : protocol.MemberAssignment.decode(data);
  const assigned = decoded?.assignment[topic] ?? [];
  const { release = [] } = JSON.parse(decoded?.userData.toString() || '{}') as { readonly release?: readonly number[] };
  return { assigned, release };
}
