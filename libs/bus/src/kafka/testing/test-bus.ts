import type { Bus, Clock, Log } from '@nanosync/core';
import { clusterStack, type FakeClock } from '@nanosync/testkit';
import { openKafkaBus } from '../kafka-bus.ts';
import type { KafkaBusOptions } from '../options.ts';

/** A log that says nothing. */
export const QUIET: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, with: () => QUIET };

/** The shared Kafka, or the one whose addresses are given, on real time. */
export async function openTestBus(options: Partial<KafkaBusOptions> = {}): Promise<Bus> {
  const brokers = options.brokers ?? (await clusterStack('kafka')).kafka.brokers;
  return openKafkaBus({ clientId: 'test', log: QUIET, clock: realClock(), ...options, brokers });
}

/**
 * Real time, for waiting on real brokers. With a fake clock: its time of day, and its sleepers wake early when it is advanced; so a
 * contract that advances time holds for an adapter whose brokers take real time.
 */
export function realClock(fake?: FakeClock): Clock {
  return {
    nowMs: () => fake?.nowMs() ?? Date.now(),
    monotonicMs: () => performance.now() + (fake?.monotonicMs() ?? 0),
    sleep: async (ms, signal) => {
      const over = new AbortController();
      const ends = AbortSignal.any([over.signal, ...(signal === undefined ? [] : [signal])]);
      await Promise.race([realSleep(ms, ends), ...(fake === undefined ? [] : [fake.sleep(ms, ends)])]);
      over.abort();
    },
  };
}

function realSleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(wake, Math.min(ms, 0x7fff_ffff));
    function wake() {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    }
    signal.addEventListener('abort', wake);
  });
}
