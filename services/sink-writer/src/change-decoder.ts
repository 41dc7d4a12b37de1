import type { ChangeEvent, ControlEvent, Message, ServiceContext } from '@nanosync/core';
import { ChangeCodec, CONTROL_EVENT, decodeMessage, schemaIdOf } from '@nanosync/core';

/** A message of a change topic, decoded. */
export type DecodedMessage =
  | { readonly kind: 'change'; readonly offset: number; readonly key: Buffer; readonly event: ChangeEvent }
  | { readonly kind: 'control'; readonly offset: number; readonly event: ControlEvent };

/** Decodes change topics; keeps a codec per schema id that it has met. */
export class ChangeDecoder {
  private readonly ctx: ServiceContext;
  private readonly controlSchema: number;
  private readonly codecs = new Map<number, ChangeCodec>();

  private constructor(ctx: ServiceContext, controlSchema: number) {
    this.ctx = ctx;
    this.controlSchema = controlSchema;
  }

  static async open(ctx: ServiceContext): Promise<ChangeDecoder> {
    return new ChangeDecoder(ctx, await ctx.registry.register('nanosync.control-value', CONTROL_EVENT.schema));
  }

  async all(messages: readonly Message[]): Promise<readonly DecodedMessage[]> {
    const decoded: DecodedMessage[] = [];
    for (const { offset, key, value } of messages) {
      const id = schemaIdOf(value);
      if (id === this.controlSchema) {
        decoded.push({ kind: 'control', offset, event: decodeMessage(CONTROL_EVENT, value) as ControlEvent });
      } else {
        const codec = this.codecs.get(id) ?? (await this.learn(id));
        decoded.push({ kind: 'change', offset, key: Buffer.from(key), event: codec.decode(value) });
      }
    }
    return decoded;
  }

  private async learn(id: number): Promise<ChangeCodec> {
    const codec = ChangeCodec.fromAvro(await this.ctx.registry.schema(id));
    this.codecs.set(id, codec);
    return codec;
  }
}
