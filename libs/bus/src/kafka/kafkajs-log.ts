import type { Log } from '@nanosync/core';
import loggers from 'kafkajs/src/loggers/index.js';

/** Only these of kafkajs' fields are passed on: none of them holds what was sent, or a secret. */
const FIELDS = ['broker', 'error', 'groupId'] as const;

/** kafkajs' own warnings and errors, at our debug level: each of them also reaches a caller, who knows what it means. */
export function kafkajsLogger(log: Log): KafkajsLogger {
  return loggers.createLogger({
    level: loggers.LEVELS.WARN,
    logCreator: () => (entry) => {
      const fields = FIELDS.flatMap((name) => (typeof entry.log[name] === 'string' ? [[name, entry.log[name] as string]] : []));
      log.debug('kafka client', { ...Object.fromEntries(fields), err: entry.log.message });
    },
  });
}
