/** The parts of kafkajs 2.2.4 that this folder uses below its public surface. The version is pinned; nothing of it leaves the package. */

interface KafkajsLogger {
  namespace(name: string): KafkajsLogger;
}

interface KafkajsRequest<T> {
  readonly request: {
    readonly apiKey: number;
    readonly apiVersion: number;
    readonly apiName: string;
    encode(): Promise<{ readonly buffer: Buffer; size(): number }>;
  };
  readonly response: { decode(data: Buffer): Promise<T>; parse(data: T): Promise<T> };
  readonly requestTimeout?: number;
  readonly logResponseError?: boolean;
}

declare module 'kafkajs/src/network/connectionPool.js' {
  interface Connection {
    readonly socket?: import('node:net').Socket;
    isConnected(): boolean;
    send<T>(request: KafkajsRequest<T>): Promise<T>;
    rejectRequests(error: Error): void;
    disconnect(): Promise<unknown>;
  }
  export default class ConnectionPool {
    constructor(options: {
      host: string;
      port: number;
      clientId: string;
      ssl: object | null;
      sasl: object | null;
      logger: KafkajsLogger;
      socketFactory: unknown;
      connectionTimeout: number;
      requestTimeout: number;
      enforceRequestTimeout: boolean;
    });
    readonly pool: readonly Connection[];
    getConnection(index: number): Promise<Connection>;
  }
}

declare module 'kafkajs/src/broker/index.js' {
  import type ConnectionPool from 'kafkajs/src/network/connectionPool.js';

  interface PartitionOffset {
    readonly partition: number;
    readonly offset: string;
  }
  interface GroupTopics<P> {
    readonly groupId: string;
    readonly topics: readonly { readonly topic: string; readonly partitions: readonly P[] }[];
  }
  export default class Broker {
    constructor(options: {
      connectionPool: ConnectionPool;
      logger: KafkajsLogger;
      authenticationTimeout: number;
      allowAutoTopicCreation: boolean;
    });
    readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>> | null;
    readonly connectionPool: ConnectionPool;
    isConnected(): boolean;
    connect(): Promise<void>;
    createTopics(request: {
      topics: readonly {
        topic: string;
        numPartitions: number;
        replicationFactor: number;
        configEntries: readonly { name: string; value: string }[];
      }[];
      timeout: number;
    }): Promise<unknown>;
    deleteTopics(request: { topics: readonly string[]; timeout: number }): Promise<unknown>;
    deleteRecords(request: {
      topics: readonly { topic: string; partitions: readonly { partition: number; offset: string }[] }[];
    }): Promise<unknown>;
    describeConfigs(request: { resources: readonly { type: number; name: string; configNames: readonly string[] }[] }): Promise<{
      readonly resources: readonly { readonly configEntries: readonly { readonly configName: string; readonly configValue: string }[] }[];
    }>;
    listOffsets(request: {
      isolationLevel: number;
      topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[];
    }): Promise<{ readonly responses: readonly { readonly topic: string; readonly partitions: readonly PartitionOffset[] }[] }>;
    findGroupCoordinator(request: {
      groupId: string;
      coordinatorType: number;
    }): Promise<{ readonly coordinator: { readonly nodeId: number; readonly host: string; readonly port: number } }>;
    joinGroup(request: {
      groupId: string;
      sessionTimeout: number;
      rebalanceTimeout: number;
      memberId: string;
      protocolType: string;
      groupProtocols: readonly { name: string; metadata: Buffer }[];
    }): Promise<{
      readonly generationId: number;
      readonly leaderId: string;
      readonly memberId: string;
      readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[];
    }>;
    syncGroup(request: {
      groupId: string;
      generationId: number;
      memberId: string;
      groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[];
    }): Promise<{ readonly memberAssignment: Buffer }>;
    heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>;
    leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>;
    offsetFetch(request: GroupTopics<{ readonly partition: number }>): Promise<{
      readonly responses: readonly {
        readonly topic: string;
        readonly partitions: readonly (PartitionOffset & { readonly metadata: string | null })[];
      }[];
    }>;
    offsetCommit(
      request: GroupTopics<PartitionOffset & { readonly metadata: string }> & {
        readonly groupGenerationId: number;
        readonly memberId: string;
      },
    ): Promise<unknown>;
  }
}

declare module 'kafkajs/src/network/requestQueue/index.js' {
  export default class RequestQueue {
    pending: readonly unknown[];
    scheduleCheckPendingRequests(): void;
  }
}

declare module 'kafkajs/src/loggers/index.js' {
  const loggers: {
    readonly LEVELS: { readonly WARN: number };
    createLogger(options: {
      level: number;
      logCreator: () => (entry: { readonly log: Readonly<Record<string, unknown>> & { readonly message: string } }) => void;
    }): KafkajsLogger;
  };
  export default loggers;
}

declare module 'kafkajs/src/protocol/error.js' {
  const protocol: { createErrorFromCode(code: number): Error & { readonly type: string } };
  export default protocol;
}

declare module 'kafkajs/src/consumer/assignerProtocol.js' {
  const protocol: {
    readonly MemberMetadata: {
      encode(metadata: { version: number; topics: readonly string[]; userData: Buffer }): Buffer;
      decode(data: Buffer): { readonly topics: readonly string[]; readonly userData: Buffer };
    };
    readonly MemberAssignment: {
      encode(assignment: { version: number; assignment: Readonly<Record<string, readonly number[]>>; userData: Buffer }): Buffer;
      decode(data: Buffer): { readonly assignment: Readonly<Record<string, readonly number[]>>; readonly userData: Buffer } | null;
    };
  };
  export default protocol;
}
