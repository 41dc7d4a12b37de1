import { PipelineError } from '@nanosync/core';
import { answerError, hasMoved, isLost, pipelineError } from './errors.ts';
import { type Address, Link } from './link.ts';
import { type ClusterMetadata, metadataRequest, type TopicMetadata } from './metadata.ts';
import type { KafkaSettings } from './options.ts';

const UNKNOWN_TOPIC = 3;
const NO_LEADER = 5;
const RETRY_MS = 100;

/** Where a bus partition is led. */
export interface Leader {
  readonly topicId: string;
  readonly node: number;
}

/** The brokers: finds them from the given addresses, knows who leads what, and holds the connections for everything but long reads and sends. */
export class KafkaCluster {
  readonly settings: KafkaSettings;
  readonly #links = new Map<string, Link>();
  readonly #ended = new AbortController();
  #brokers: ReadonlyMap<number, Address> = new Map();
  #controller = -1;
  #answered: Address | undefined;
  readonly #topics = new Map<string, TopicMetadata>();

  constructor(settings: KafkaSettings) {
    this.settings = settings;
  }

  /** Aborts when the bus is closed. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  assertOpen(): void {
    if (this.#ended.signal.aborted) throw new PipelineError('unavailable', 'The bus is closed.');
  }

  close(): void {
    this.#ended.abort();
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }

  /** The topic as the brokers know it now. Only when no broker that answers knows it is it absent: they learn of new ones one by one. */
  async topic(name: string): Promise<TopicMetadata | undefined> {
    this.#topics.delete(name);
    const first = await this.#metadata([name]);
    const others = first.topics[0]?.error === UNKNOWN_TOPIC ? [...this.#brokers.keys()] : [];
    for (const node of others.length > 1 ? others : []) {
      const found = await this.#topicAt(node, name).catch(() => undefined);
      if (found !== undefined) return found;
    }
    return this.#topics.get(name);
  }

  /** The leader of a bus partition, from memory where it is known; waits a while for one to be elected. */
  async leader(topic: string, partition: number): Promise<Leader> {
    return this.patiently(`look for topic ${topic}`, async () => {
      const known = this.#topics.get(topic) ?? (await this.topic(topic));
      if (known === undefined) throw noTopic(topic);
      const node = known.leaders[partition];
      if (node === undefined) throw noTopic(`${topic} partition ${partition}`);
      if (node >= 0) return { topicId: known.id, node };
      this.forget(topic);
      return undefined;
    });
  }

  /** What is remembered of a topic is out of date. */
  forget(topic: string): void {
    this.#topics.delete(topic);
  }

  /** A new connection to a broker, for the caller to close. */
  connect(node: number, requestTimeoutMs = this.settings.requestTimeoutMs): Link {
    this.assertOpen();
    return new Link({ ...this.settings, requestTimeoutMs }, this.#address(node));
  }

  /** The same for a broker whose address is known. */
  connectTo(address: Address): Link {
    this.assertOpen();
    return new Link(this.settings, address);
  }

  /** The shared connection to a broker. */
  link(node: number): Link {
    return this.#linkTo(this.#address(node));
  }

  /** The shared connection to an address. */
  at(address: Address): Link {
    return this.#linkTo(address);
  }

  /** The broker that creates and deletes topics; any may pass it on. */
  async controller(): Promise<Link> {
    if (!this.#brokers.has(this.#controller)) await this.#metadata([]);
    return this.link(this.#controller);
  }

  /** How many brokers there are now. */
  async brokers(): Promise<number> {
    return (await this.#metadata([])).brokers.size;
  }

  /** Some broker that answers; first the one that did the last time, since one that is paused costs a time-out. */
  async any<T>(request: (link: Link) => Promise<T>): Promise<T> {
    this.assertOpen();
    const known = [...this.#brokers.values(), ...this.settings.brokers.map(parseAddress)];
    let failure: unknown;
    for (const address of this.#answered === undefined ? known : [this.#answered, ...known]) {
      try {
        const answer = await request(this.#linkTo(address));
        this.#answered = address;
        return answer;
      } catch (error) {
        if (this.#answered === address) this.#answered = undefined;
        if (!isLost(error)) throw error;
        failure ??= error;
      }
    }
    throw failure;
  }

  /**
   * Tries again while brokers move or are lost, or while the answer is undefined, for as long as the settings' patience; what is thrown
   * then says what was tried.
   */
  async patiently<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
    const { clock, patienceMs } = this.settings;
    const deadline = clock.monotonicMs() + patienceMs;
    for (;;) {
      this.assertOpen();
      let failure: unknown = lost('There is no leader.');
      try {
        const result = await attempt();
        if (result !== undefined) return result;
      } catch (error) {
        this.assertOpen();
        if (!isLost(error) && !hasMoved(error)) throw pipelineError(error, `Could not ${what}`, this.settings);
        failure = error;
      }
      if (clock.monotonicMs() >= deadline) throw pipelineError(failure, `Could not ${what}`, this.settings);
      await clock.sleep(RETRY_MS, this.signal);
    }
  }

  async #metadata(topics: readonly string[]): Promise<ClusterMetadata> {
    const metadata = await this.any((link) => link.send(metadataRequest(topics)));
    this.#learn(metadata);
    return metadata;
  }

  async #topicAt(node: number, name: string): Promise<TopicMetadata | undefined> {
    this.#learn(await this.link(node).send(metadataRequest([name])));
    return this.#topics.get(name);
  }

  #learn({ brokers, controller, topics }: ClusterMetadata): void {
    this.#brokers = brokers;
    this.#controller = controller;
    for (const topic of topics) {
      if (topic.error === UNKNOWN_TOPIC) continue;
      if (topic.error !== 0 && topic.error !== NO_LEADER) throw answerError(topic.error, `Topic ${topic.name}`);
      this.#topics.set(topic.name, topic);
    }
  }

  #linkTo(address: Address): Link {
    this.assertOpen();
    const key = `${address.host}:${address.port}`;
    const open = this.#links.get(key);
    if (open !== undefined && !open.closed) return open;
    const link = new Link(this.settings, address);
    this.#links.set(key, link);
    return link;
  }

  #address(node: number): Address {
    const address = this.#brokers.get(node);
    if (address === undefined) throw lost(`Broker ${node} is not known.`);
    return address;
  }
}

/** The error for a topic that is not there. */
export function noTopic(name: string): PipelineError {
  return new PipelineError('gap', `There is no topic ${name}.`, { hint: 'Resnapshot the pipeline if the topic was deleted.' });
}

/** A failure that counts as a lost connection. */
export function lost(message: string): Error {
  return Object.assign(new Error(message), { name: 'KafkaJSConnectionError' });
}

/** An address as the configuration has it: host:port, a host of colons in brackets. */
export function parseAddress(text: string): Address {
  const [, host, port] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535)
    throw new PipelineError('config', `${text} is not the address of a broker.`, { hint: 'Write it as host:port.' });
  return { host, port: Number(port) };
}
