import { type Delivery, type GroupMember, isKind, type Message, type PipelineError } from '@nanosync/core';
import type { Share } from './assign.ts';
import { type KafkaCluster, lost } from './cluster.ts';
import { answerOf, isLost } from './errors.ts';
import { GroupFeed, metadataOf } from './group-feed.ts';
import { GroupSession, isExpelled, movedOn, type SessionHost } from './group-session.ts';
import type { KafkaReader } from './reader.ts';
import type { KafkaTopics } from './topics.ts';

/** What a member works with. */
export interface MemberTools {
  readonly cluster: KafkaCluster;
  readonly topics: KafkaTopics;
  readonly topic: string;
  readonly group: string;
  readonly read: (partition: number, offset: number) => KafkaReader;
  readonly ended: (member: KafkaMember) => void;
}

/**
 * One member of a Kafka group. It has some bus partitions of the topic to itself and hands their messages out, several at a time; what is
 * done is committed in any order, the first that is not done being the group's offset. A bus partition moves to another member only when
 * nothing of it is under way, except when this member was silent for too long; then its deliveries end in `conflict`.
 */
export class KafkaMember implements GroupMember, SessionHost {
  readonly #tools: MemberTools;
  readonly #session: GroupSession;
  readonly #feeds = new Map<number, GroupFeed>();
  readonly #ended = new AbortController();
  readonly #commits = new Map<GroupFeed, { running: Promise<void>; next: Promise<void> | undefined }>();
  #release: ReadonlySet<number> = new Set();
  #owned: readonly number[] = [];
  #paused = true;
  #share = 0;
  #turn = 0;
  #failure: PipelineError | undefined;
  #over: PipelineError | undefined;
  #wakers: (() => void)[] = [];

  constructor(tools: MemberTools) {
    this.#tools = tools;
    this.#session = new GroupSession(tools.cluster, tools.topic, tools.group, this);
    this.#session.start();
  }

  async next(signal: AbortSignal): Promise<Delivery | undefined> {
    for (;;) {
      if (signal.aborted || this.#ended.signal.aborted) return undefined;
      const delivery = this.#take();
      if (delivery !== undefined) return delivery;
      await this.#waken(AbortSignal.any([signal, this.#ended.signal]));
    }
  }

  /** Leaves the group; what was not done goes to the others. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    await Promise.allSettled([...this.#commits.values()].map(({ next, running }) => next ?? running));
    this.expelled();
    await this.#session.end();
    this.#tools.ended(this);
  }

  claim(): { readonly owned: readonly number[]; readonly busy: readonly number[] } {
    this.#paused = true;
    const busy = [...this.#feeds.values()].filter(({ handedOut }) => handedOut.size > 0).map(({ partition }) => partition);
    return { owned: this.#owned, busy };
  }

  assigned({ assigned, release }: Share): void {
    for (const [partition, feed] of this.#feeds) if (!assigned.includes(partition)) this.#drop(feed);
    this.#owned = assigned;
    this.#release = new Set(release);
    this.#paused = false;
    const share = ++this.#share;
    const fresh = assigned.filter((partition) => !this.#feeds.has(partition));
    Promise.all(fresh.map((partition) => this.#open(partition, share))).catch((error: unknown) => {
      this.failed(error as PipelineError);
      if (isKind(error, 'unavailable')) this.#session.rejoin(); // What could not be opened is opened with the next share.
    });
    this.#handOn();
    this.#wake();
  }

  expelled(): void {
    this.#owned = [];
    this.#release = new Set();
    this.#share++;
    for (const feed of this.#feeds.values()) this.#drop(feed);
    this.#wake();
  }

  failed(error: PipelineError): void {
    this.#failure = error;
    if (!this.#wake() && error.kind === 'unavailable') this.#failure = undefined; // It may be over when somebody asks.
  }

  over(error: PipelineError): void {
    this.#over = error;
    this.#wake();
  }

  async #open(partition: number, share: number): Promise<void> {
    const { cluster, topics, topic, group } = this.#tools;
    const committed = await cluster.patiently(`read what group ${group} has done`, () => this.#committed(partition));
    const range = await topics.range(topic, partition);
    if (share !== this.#share) return;
    const open = (offset: number) => this.#tools.read(partition, offset);
    const feed = new GroupFeed({
      partition,
      topic,
      range,
      committed: committed.offset < 0 ? undefined : committed,
      open,
      wake: () => this.#wake(),
      log: cluster.settings.log,
    });
    this.#feeds.set(partition, feed);
    this.#wake();
  }

  async #committed(partition: number): Promise<{ readonly offset: number; readonly metadata: string }> {
    const { topic, group } = this.#tools;
    const request = { groupId: group, topics: [{ topic, partitions: [{ partition }] }] };
    const answer = await this.#session.ask((broker) => broker.offsetFetch(request));
    const found = answer.responses[0]?.partitions[0];
    return { offset: Number(found?.offset ?? -1), metadata: found?.metadata ?? '' };
  }

  /** The next message of the bus partitions in turn; none of those that are to be handed on. */
  #take(): Delivery | undefined {
    if (this.#over !== undefined) throw this.#over;
    if (this.#failure !== undefined) {
      const failure = this.#failure;
      if (failure.kind === 'unavailable') this.#failure = undefined; // Nothing else is over by itself.
      throw failure;
    }
    const feeds = this.#paused ? [] : [...this.#feeds.values()].filter(({ partition }) => !this.#release.has(partition));
    for (let tried = 0; tried < feeds.length; tried++) {
      const feed = feeds[this.#turn++ % feeds.length] as GroupFeed;
      const message = feed.take();
      if (message !== undefined) return this.#delivery(feed, message);
    }
    return undefined;
  }

  #delivery(feed: GroupFeed, message: Message): Delivery {
    return {
      message,
      heartbeat: async () => this.#assertHeld(feed),
      done: async () => {
        this.#assertHeld(feed);
        feed.done(message.offset);
        await this.#commit(feed);
        feed.handedOut.delete(message.offset);
        this.#handOn();
      },
    };
  }

  #assertHeld(feed: GroupFeed): void {
    if (feed.lost) throw movedOn();
  }

  /** Commits what is done by now. While a commit is under way, all that wait share the next one. */
  #commit(feed: GroupFeed): Promise<void> {
    const known = this.#commits.get(feed);
    if (known?.next !== undefined) return known.next;
    const start = () => {
      const running = this.#commitNow(feed).finally(() => {
        if (this.#commits.get(feed)?.running === running && this.#commits.get(feed)?.next === undefined) this.#commits.delete(feed);
      });
      this.#commits.set(feed, { running, next: undefined });
      return running;
    };
    if (known === undefined) return start();
    known.next = known.running.then(start, start);
    return known.next;
  }

  /** A commit is refused under a membership that is over; when the member has joined again and kept the bus partition, it is repeated. */
  async #commitNow(feed: GroupFeed): Promise<void> {
    const { cluster, topic, group } = this.#tools;
    await cluster.patiently(`commit to group ${group}`, async () => {
      this.#assertHeld(feed);
      const { member, generation } = this.#session.membership;
      const { progress, partition } = feed;
      const topics = [{ topic, partitions: [{ partition, offset: String(progress.next), metadata: metadataOf(progress) }] }];
      try {
        await this.#session.ask((broker) =>
          broker.offsetCommit({ groupId: group, groupGenerationId: generation, memberId: member, topics }),
        );
        return true;
      } catch (error) {
        this.#assertHeld(feed);
        if (!isLost(error) && !isExpelled(error) && answerOf(error) !== 'REBALANCE_IN_PROGRESS') throw error;
        throw isLost(error) ? error : lost('The member is joining its group again.');
      }
    });
    this.#assertHeld(feed);
  }

  /** A bus partition that others wait for is free once nothing of it is under way. */
  #handOn(): void {
    const free = [...this.#release].some((partition) => (this.#feeds.get(partition)?.handedOut.size ?? 0) === 0);
    if (free && !this.#paused && !this.#ended.signal.aborted) this.#session.rejoin();
  }

  #drop(feed: GroupFeed): void {
    this.#feeds.delete(feed.partition);
    feed.end();
  }

  /** Wakes whoever waits; false when nobody does. */
  #wake(): boolean {
    const wakers = this.#wakers.splice(0);
    for (const waker of wakers) waker();
    return wakers.length > 0;
  }

  async #waken(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wakers.push(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    await promise;
  }
}
