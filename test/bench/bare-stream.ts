import pg from 'pg';

/** The parts of the driver's connection that a replication stream needs and its types leave out. */
interface StreamConnection {
  query(text: string): void;
  on(event: 'copyData', listener: (message: { readonly chunk: Buffer }) => void): void;
  on(event: 'errorMessage', listener: (error: Error) => void): void;
}

const [dsn = '', slot = '', publication = '', end = ''] = process.argv.slice(2);
const [high = '0', low = '0'] = end.split('/');
const target = (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
const client = new pg.Client({ connectionString: dsn, replication: 'database' } as pg.ClientConfig);
await client.connect();
const { connection } = client as unknown as { readonly connection: StreamConnection };
const drained = new Promise<void>((resolve, reject) => {
  connection.on('errorMessage', reject);
  connection.on('copyData', ({ chunk }) => {
    // 'w': start, end and time, then data. 'k': end and time.
    const at = chunk[0] === 0x77 || chunk[0] === 0x6b ? chunk.readBigUInt64BE(1) : 0n;
    if (at >= target) resolve();
  });
});
connection.query(`START_REPLICATION SLOT "${slot}" LOGICAL 0/0 (proto_version '1', publication_names '"${publication}"')`);
await drained;
process.exit(0); // A stream has no end of its own.
