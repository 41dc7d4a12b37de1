import type { ChangeEvent, ControlEvent, Message, ServiceContext, TableSchema } from '@nanosync/core';
import { CONTROL_EVENT, MessageSchemas, PipelineError } from '@nanosync/core';

/** A message of a change topic, decoded. */
export type DecodedMessage =
  /** `schema`: the columns of its rows. */
  | { readonly kind: 'change'; readonly offset: number; readonly key: Buffer; readonly event: ChangeEvent; readonly schema: TableSchema }
  | { readonly kind: 'control'; readonly offset: number; readonly event: ControlEvent };

/** Decodes change topics, whichever version wrote them. */
export class ChangeDecoder {
  private readonly schemas: MessageSchemas;

  private constructor(schemas: MessageSchemas) {
    this.schemas = schemas;
  }

  static async open(ctx: ServiceContext): Promise<ChangeDecoder> {
    return new ChangeDecoder(await MessageSchemas.open(ctx.registry, { 'nanosync.control-value': CONTROL_EVENT }));
  }

  async all(messages: readonly Message[]): Promise<readonly DecodedMessage[]> {
    const decoded: DecodedMessage[] = [];
    for (const { offset, key, value } of messages) {
      const changes = this.schemas.changes(value);
      const codec = changes instanceof Promise ? await changes : changes; // Without a turn of the loop for what is known.
      if (codec !== undefined) {
        decoded.push({ kind: 'change', offset, key: Buffer.from(key), event: codec.decode(value), schema: codec.schema });
        continue;
      }
      const event = await this.schemas.read(CONTROL_EVENT, value);
      if (event === undefined)
        throw new PipelineError('defect', 'A change topic holds a message that is neither change nor control event.');
      decoded.push({ kind: 'control', offset, event: event as ControlEvent });
    }
    return decoded;
  }
}
