import { CastellanApiError, CastellanClient, type WireName } from "castellan/client";

// #region ask
export async function ask(url: string, token: string | undefined, question: string): Promise<string> {
  const client = new CastellanClient({ url, token });
  const { text } = await client.session(["support", 42]).query(question, { metadata: { user: "ann" } });
  return text;
}
// #endregion

// #region later
/** Gives a prompt to a session, and returns the turn's id. A second call with the order returns the same turn. */
export async function order(client: CastellanClient, id: string): Promise<string> {
  return await client.session("invoices").enqueue(`Write the invoice for order ${id}.`, { idempotencyKey: id });
}

export async function invoice(client: CastellanClient, turnId: string): Promise<string> {
  const { state, reply, error } = await client.session("invoices").wait(turnId);
  return reply?.text ?? `${state}: ${error?.message}`;
}
// #endregion

// #region follow
/** Writes a session's text until it ends or the signal is aborted. Continues over restarts of the server. */
export async function follow(
  client: CastellanClient,
  name: WireName,
  write: (text: string) => void,
  signal: AbortSignal,
): Promise<void> {
  for await (const event of client.session(name).events({ deltas: true }, { signal })) {
    if (event.type === "text_delta") write(event.text);
    if (event.type === "turn_ended") write("\n");
  }
}
// #endregion

// #region approve
/** Approves reads, and denies all other tools. */
export async function decide(client: CastellanClient): Promise<void> {
  for (const { session, id, tool } of await client.approvals()) {
    if (tool === "Read") await client.session(session).approve(id);
    else await client.session(session).deny(id, "Only read.");
  }
}
// #endregion

// #region errors
export async function wake(client: CastellanClient, name: WireName): Promise<string> {
  try {
    return (await client.session(name).wake()).state;
  } catch (error) {
    if (error instanceof CastellanApiError && error.code === "SESSION_QUARANTINED") return "quarantined";
    throw error;
  }
}
// #endregion
