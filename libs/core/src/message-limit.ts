import { PipelineError } from './errors.ts';
import type { OutMessage } from './ports/bus.ts';

/** Room for names and reason beside the payload of a quarantined row, and how much of one is kept that is too large. */
const QUARANTINE_BYTES = 8192;
const KEPT_BYTES = 65_536;

/** The payload as a quarantine message can carry it: whole, or its beginning when it is too large for the bus. */
export function fittingPayload(payload: Uint8Array, maxMessageBytes: number): Uint8Array {
  const room = maxMessageBytes - QUARANTINE_BYTES;
  return payload.length <= room ? payload : payload.subarray(0, Math.max(0, Math.min(room, KEPT_BYTES)));
}

/** Why a row or a change is quarantined instead of sent. */
export function tooLargeReason(what: string, maxMessageBytes: number): string {
  return `The ${what} is larger than the ${maxMessageBytes} bytes that the bus takes; the payload is its beginning.`;
}

/** Throws `prerequisite` when a message is above the limit of the bus; for adapters. Whoever has large messages looks before it sends. */
export function refuseTooLarge(topic: string, messages: readonly OutMessage[], maxMessageBytes: number): void {
  for (const { key, value } of messages) {
    const bytes = key.length + value.length;
    if (bytes <= maxMessageBytes) continue;
    throw new PipelineError('prerequisite', `A message for topic ${topic} has ${bytes} bytes; the bus takes ${maxMessageBytes} at most.`, {
      hint: 'Raise the limit of the bus in the server file, and max.message.bytes of the topic with it.',
    });
  }
}
