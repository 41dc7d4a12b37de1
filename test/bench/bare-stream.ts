import pg from 'pg';

const [dsn = '', slot = '', publication = '', end = ''] = process.argv.slice(2);
const [high = '0', low = '0'] = end.split('/');
const target = (BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`);
const query = `START_REPLICATION SLOT "${slot}" LOGICAL 0/0 (proto_version '1', publication_names '"${publication}"')`;
const client = new pg.Client({ connectionString: dsn, replication: 'database' } as pg.ClientConfig);
await client.connect();
await new Promise<void>((resolve, reject) => {
  // Looks at nothing but how far the stream is, as `pg_recvlogical` into /dev/null does.
  const stream = {
    submit: (connection: { query(text: string): void }) => connection.query(query),
    handleCopyData: ({ chunk }: { readonly chunk: Buffer }) => {
      // 'w': start, end and time, then data. 'k': end and time.
      if (chunk.readBigUInt64BE(1) >= target) resolve();
    },
    handleError: reject,
  };
  client.query(stream as never);
});
process.exit(0); // A stream has no end of its own.
