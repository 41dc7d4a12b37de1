import pg from 'pg';

/** The parts of the driver's connection that a COPY needs and its types leave out. */
interface CopyConnection {
  query(text: string): void;
}

const [dsn = '', query = ''] = process.argv.slice(2);
const client = new pg.Client({ connectionString: dsn });
await client.connect();
await new Promise<void>((resolve, reject) => {
  // Takes the rows' bytes and forgets them, as `psql` into /dev/null does.
  const copy = {
    submit: (connection: CopyConnection) => connection.query(query),
    handleCopyOutResponse: () => undefined,
    handleCopyData: () => undefined,
    handleCommandComplete: () => undefined,
    handleReadyForQuery: () => resolve(),
    handleError: reject,
  };
  client.query(copy as never);
});
await client.end();
