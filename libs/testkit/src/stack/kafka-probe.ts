import { connect, type Socket } from 'node:net';

const METADATA = 3;
const FIND_COORDINATOR = 10;
const HEADER_BYTES = 4;

/**
 * Asks a broker for the cluster's metadata and for a group's coordinator. An open port is not readiness; a coordinator is there only
 * when the internal topic of offsets is, so that no first client has to meet its errors.
 */
export async function probeKafka(port: number, signal: AbortSignal): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  const abort = () => socket.destroy(new Error('the broker did not answer in time'));
  signal.addEventListener('abort', abort, { once: true });
  try {
    const metadata = await call(socket, METADATA, 1, int32(0));
    if (metadata.readInt32BE(HEADER_BYTES) < 1) throw new Error('the broker knows no broker yet');
    const coordinator = await call(socket, FIND_COORDINATOR, 0, text('nanosync-probe'));
    const error = coordinator.readInt16BE(HEADER_BYTES);
    if (error !== 0) throw new Error(`the broker has no group coordinator yet (error ${error})`);
  } finally {
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}

/** One request; resolves to the reply without its length, with the correlation id before the body. */
function call(socket: Socket, api: number, version: number, body: Buffer): Promise<Buffer> {
  const head = Buffer.concat([int16(api), int16(version), int32(7), text('nanosync-probe')]);
  return new Promise((resolve, reject) => {
    let got: Buffer = Buffer.alloc(0);
    const settle = (action: () => void) => {
      socket.off('data', data).off('error', reject).off('close', closed);
      action();
    };
    const data = (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      if (got.length >= HEADER_BYTES && got.length >= HEADER_BYTES + got.readInt32BE(0)) settle(() => resolve(got.subarray(HEADER_BYTES)));
    };
    const closed = () => settle(() => reject(new Error('the broker closed the connection')));
    socket.on('data', data).on('error', reject).on('close', closed);
    socket.write(Buffer.concat([int32(head.length + body.length), head, body]));
  });
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}
