import pg from 'pg';

/** Opens a connection that does not end the process when the server goes away under it; its queries fail instead. */
export async function connect(dsn: string, name = 'demo'): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: dsn, application_name: name });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
