import { PipelineError } from '@nanosync/core';
import { assign, type Claim, type Share } from './assign.ts';
import { type KafkaCluster, lost } from './cluster.ts';
import { answerOf, isLost, pipelineError } from './errors.ts';
import { decodeShare, encodeShare, joinRequest } from './group-requests.ts';
import type { Address, Link } from './link.ts';

const BEAT_MS = 1000;
const RETRY_MS = 100;
/** Answers after which the membership is over. */
const EXPELLED = ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID'];
/** Answers after which another broker is asked, or the same one again. */
const COORDINATOR_MOVED = [
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_LOAD_IN_PROGRESS',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
];

/** Who a member is in the group now; named in every commit, so that one that was given up cannot commit. */
export interface Membership {
  readonly member: string;
  readonly generation: number;
}

/** What a session asks of, and tells, the member it keeps in the group. */
export interface SessionHost {
  /** What the member has; it hands out nothing more until `assigned`. */
  claim(): Omit<Claim, 'member' | 'generation'>;
  assigned(share: Share): void;
  /** The membership is over: everything may be with others. */
  expelled(): void;
  /** Something does not go now, and is tried again. */
  failed(error: PipelineError): void;
  /** The session has ended and is not tried again. */
  over(error: PipelineError): void;
}

/** Keeps one member in its group: joins, beats, joins again when the group changes, and says when it is over. */
export class GroupSession {
  readonly #cluster: KafkaCluster;
  readonly #topic: string;
  readonly #group: string;
  readonly #host: SessionHost;
  readonly #ended = new AbortController();
  #member = '';
  #generation = -1;
  #coordinator: Address | undefined;
  #link: Link | undefined;
  #rejoin = new AbortController();
  #heardMs: number;

  constructor(cluster: KafkaCluster, topic: string, group: string, host: SessionHost) {
    this.#cluster = cluster;
    this.#topic = topic;
    this.#group = group;
    this.#host = host;
    this.#heardMs = cluster.settings.clock.monotonicMs();
  }

  get membership(): Membership {
    return { member: this.#member, generation: this.#generation };
  }

  start(): void {
    queueMicrotask(() => this.#run());
  }

  /** Joins again, because a bus partition that is to be handed on is free now. */
  rejoin(): void {
    this.#rejoin.abort();
  }

  /** A request to the group's broker on the shared connection: that of the session may be held until all have joined. */
  async ask<T>(request: Parameters<typeof Link.prototype.call<T>>[0]): Promise<T> {
    this.#coordinator ??= await this.#find();
    const coordinator = this.#coordinator;
    try {
      return await this.#cluster.at(coordinator).call(request);
    } catch (error) {
      if ((isLost(error) || hasMoved(error)) && this.#coordinator === coordinator) this.#coordinator = undefined;
      throw hasMoved(error) ? lost('The group has moved to another broker.') : error;
    }
  }

  /** Leaves the group, so that the others need not wait until the session times out. */
  async end(): Promise<void> {
    this.#ended.abort();
    this.#rejoin.abort();
    const { clock } = this.#cluster.settings;
    const member = this.#member;
    if (member !== '') {
      const leaving = this.ask((broker) => broker.leaveGroup({ groupId: this.#group, memberId: member }));
      await Promise.race([leaving.catch(() => undefined), clock.sleep(BEAT_MS, this.#cluster.signal)]);
    }
    this.#link?.close();
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#join();
        while (!this.#rejoin.signal.aborted) await this.#beat();
      } catch (error) {
        if (this.#ended.signal.aborted) return;
        await this.#recover(error);
      }
    }
  }

  async #join(): Promise<void> {
    const { sessionTimeoutMs } = this.#cluster.settings;
    this.#rejoin = new AbortController();
    if (this.#ended.signal.aborted) return this.#rejoin.abort();
    const link = await this.#connect();
    const claim = { ...this.#host.claim(), generation: this.#generation };
    const join = { group: this.#group, topic: this.#topic, sessionTimeoutMs, claim };
    let joined = await link.send(joinRequest({ ...join, member: this.#member }));
    if (joined.generation === undefined) {
      this.#member = joined.member;
      joined = await link.send(joinRequest({ ...join, member: this.#member }));
    }
    const { generation = -1, member, claims } = joined;
    this.#member = member;
    const groupAssignment = claims === undefined ? [] : await this.#shareOut(claims);
    const { memberAssignment } = await link.call((broker) =>
      broker.syncGroup({ groupId: this.#group, generationId: generation, memberId: member, groupAssignment }),
    );
    this.#generation = generation;
    this.#heard();
    if (!this.#ended.signal.aborted) this.#host.assigned(decodeShare(this.#topic, memberAssignment));
  }

  async #shareOut(claims: readonly Claim[]) {
    const topic = await this.#cluster.topic(this.#topic);
    const shares = assign(claims, topic?.leaders.length ?? 0);
    return [...shares].map(([memberId, share]) => ({ memberId, memberAssignment: encodeShare(this.#topic, share) }));
  }

  async #beat(): Promise<void> {
    const { clock, sessionTimeoutMs } = this.#cluster.settings;
    await clock.sleep(Math.min(BEAT_MS, sessionTimeoutMs / 4), this.#rejoin.signal);
    if (this.#rejoin.signal.aborted) return;
    const request = { groupId: this.#group, groupGenerationId: this.#generation, memberId: this.#member };
    await (await this.#connect()).call((broker) => broker.heartbeat(request));
    this.#heard();
  }

  /** Goes on after a failure: joins again, looks for the broker, or gives up. Without contact for a session's time all is lost. */
  async #recover(error: unknown): Promise<void> {
    const { clock, sessionTimeoutMs, sendTimeoutMs } = this.#cluster.settings;
    const answer = answerOf(error) ?? '';
    if (answer === 'REBALANCE_IN_PROGRESS') return;
    const silentMs = clock.monotonicMs() - this.#heardMs;
    if (EXPELLED.includes(answer) || silentMs > sessionTimeoutMs) {
      this.#host.expelled();
      this.#generation = -1;
      if (answer !== 'ILLEGAL_GENERATION') this.#member = '';
      if (answer !== '') return;
    }
    if (this.#cluster.signal.aborted) return this.#ended.abort();
    if (!isLost(error) && !hasMoved(error))
      return this.#fail(pipelineError(error, `Could not stay in group ${this.#group}`, this.#cluster.settings));
    if (silentMs > sendTimeoutMs) {
      this.#heard();
      this.#host.failed(pipelineError(error, `Could not stay in group ${this.#group}`, this.#cluster.settings));
    }
    this.#coordinator = undefined;
    await clock.sleep(RETRY_MS, this.#ended.signal);
  }

  #fail(error: PipelineError): void {
    this.#ended.abort();
    this.#host.expelled();
    this.#host.over(error);
  }

  #heard(): void {
    this.#heardMs = this.#cluster.settings.clock.monotonicMs();
  }

  async #connect(): Promise<Link> {
    this.#coordinator ??= await this.#find();
    const { host, port } = this.#coordinator;
    const link = this.#link;
    if (link !== undefined && !link.closed && link.address.host === host && link.address.port === port) return link;
    link?.close();
    this.#link = this.#cluster.connectTo(this.#coordinator);
    return this.#link;
  }

  async #find(): Promise<Address> {
    const request = { groupId: this.#group, coordinatorType: 0 };
    const { coordinator } = await this.#cluster.any((link) => link.call((broker) => broker.findGroupCoordinator(request)));
    return { host: coordinator.host, port: coordinator.port };
  }
}

function hasMoved(error: unknown): boolean {
  return COORDINATOR_MOVED.includes(answerOf(error) ?? '');
}

/** True for the answer to a commit of a member that the group has given up, or that has joined again meanwhile. */
export function isExpelled(error: unknown): boolean {
  return EXPELLED.includes(answerOf(error) ?? '');
}

/** The error of a member that acts on what is with another by now. */
export function movedOn(): PipelineError {
  return new PipelineError('conflict', 'The message is with another member of the group now.');
}
