export { avroOracle } from './avro-oracle.ts';
export type { BusStoreUnderTest } from './bus-contract.ts';
export { describeBus } from './bus-contract.ts';
export { FakeClock } from './fake-clock.ts';
export { memoryBusStore, openMemoryBus } from './memory-bus.ts';
export type { MemoryBusStore } from './memory-log.ts';
export type { MemoryWarehouse } from './memory-sink.ts';
export { memoryWarehouse } from './memory-sink.ts';
export type { MemoryStateStore } from './memory-state.ts';
export { memoryStateStore, openMemoryState } from './memory-state.ts';
export type { PostgresOptions, PostgresServer, PostgresVersion } from './postgres-server.ts';
export { freePort, startPostgres } from './postgres-server.ts';
export { describeSink } from './sink-contract.ts';
export { at, cellText, changeOf, endOf, ORDERS, order, orderText, rowBatchOf, without } from './sink-fixtures.ts';
export type { SinkHarness } from './sink-scenario.ts';
export type { ContractRow, SourceUnderTest, SourceWrite } from './source-contract.ts';
export { describeSource, largeBody } from './source-contract.ts';
export type {
  Scenario,
  ScenarioChange,
  ScenarioDatabase,
  ScenarioSession,
  StatementOutcome,
  WaitingPart,
} from './source-scenario.ts';
export { describeSameness, describeScenarios } from './source-scenarios.ts';
export type { AuthProxy, AuthProxyOptions } from './stack/auth-proxy.ts';
export { startAuthProxy } from './stack/auth-proxy.ts';
export type { BigQueryAddress, BigQueryService } from './stack/bigquery.ts';
export { startBigQuery } from './stack/bigquery.ts';
export type { BigQueryProxy, SeenRequest } from './stack/bigquery-proxy/bigquery-proxy.ts';
export { startBigQueryProxy } from './stack/bigquery-proxy/bigquery-proxy.ts';
export type { ProxyControl } from './stack/bigquery-proxy/control.ts';
export { controlProxy } from './stack/bigquery-proxy/control.ts';
export type { ServiceErrorName } from './stack/bigquery-proxy/errors.ts';
export type { Fault, FaultAction, FaultMatch } from './stack/bigquery-proxy/faults.ts';
export { FaultPlan } from './stack/bigquery-proxy/faults.ts';
export { installOnce } from './stack/cache.ts';
export type { Certificates } from './stack/certificates.ts';
export { makeCertificates } from './stack/certificates.ts';
export { checkService } from './stack/check-service.ts';
export { clusterStack } from './stack/cluster-stack.ts';
export { installStack } from './stack/install.ts';
export { findJava } from './stack/java.ts';
export type { KafkaAddress, KafkaOptions, SecuredKafka } from './stack/kafka.ts';
export { installKafka, startKafka } from './stack/kafka.ts';
export { isFree, servicePort } from './stack/port.ts';
export type { PythonMessage } from './stack/python-consumer.ts';
export { consumeWithPython } from './stack/python-consumer.ts';
export type { RedisAddress, RedisOptions, SecuredRedis } from './stack/redis.ts';
export { startRedis } from './stack/redis.ts';
export type { RegistryAddress } from './stack/registry.ts';
export { startRegistry } from './stack/registry.ts';
export type { Service, ServiceOptions } from './stack/service.ts';
export type { ServiceName, Stack, StackAddresses, StackOptions, StackServices } from './stack/stack.ts';
export { removeStack, SERVICE_NAMES, startNamed, startStack } from './stack/stack.ts';
export type { ToolRun } from './stack/tool.ts';
export { runTool } from './stack/tool.ts';
export type { StateStoreUnderTest } from './state-contract.ts';
export { describeState } from './state-contract.ts';
