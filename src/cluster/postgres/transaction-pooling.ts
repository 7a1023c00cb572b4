import type { Client } from "pg";

/** How often to look before another kind of pooler, or none, is assumed. A busy pooler may give two clients other sessions. */
const LOOKS = 3;

/**
 * Whether a transaction pooler is between a client and PostgreSQL: while another client is in a transaction, it gives that
 * one, or this one, a session that the other had before.
 *
 * @param another returns another connected client of the same server, which this function ends
 */
export async function isPooledByTransaction(
  client: Pick<Client, "query">,
  another: () => Promise<Pick<Client, "query" | "end">>,
): Promise<boolean> {
  // The server itself has told the id of its process at the login. The types of `pg` leave it out.
  if ("processID" in client && client.processID === (await sessionOf(client))) return false;
  const other = await another();
  try {
    for (let look = 0; look < LOOKS; look++) {
      const before = await sessionOf(client);
      await other.query("begin");
      if ((await sessionOf(other)) === before) return true;
      if ((await sessionOf(client)) !== before) return true;
      await other.query("rollback");
    }
    return false;
  } finally {
    await other.end();
  }
}

async function sessionOf(client: Pick<Client, "query">): Promise<number | undefined> {
  const { rows } = await client.query<{ readonly pid: number }>("select pg_backend_pid() as pid");
  return rows[0]?.pid;
}
