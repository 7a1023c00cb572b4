import { CastellanError, query, type SessionName, Supervisor, type SupervisorOptions, session } from "castellan";

// #region errors
export async function ask(prompt: string): Promise<string> {
  try {
    const { text } = await query("assistant", prompt, { timeout: "2m" });
    return text;
  } catch (error) {
    if (CastellanError.is(error, "TURN_INTERRUPTED")) {
      const tools = error.details.toolUses.map(({ name }) => name).join(", ");
      return `Cut off after "${error.details.partialText}", tools: ${tools || "none"}`;
    }
    if (CastellanError.is(error, "SESSION_QUARANTINED")) {
      const [last] = error.details.lastExits.toReversed();
      return `Quarantined: ${last?.class}`;
    }
    throw error;
  }
}
// #endregion

// #region quarantine
export function quarantined(supervisor: Supervisor): { name: unknown; why: string | undefined }[] {
  const sessions = supervisor.listSessions().filter(({ state }) => state === "quarantined");
  return sessions.map(({ name, lastExit }) => ({ name, why: lastExit?.message }));
}

export async function bringBack(supervisor: Supervisor): Promise<void> {
  for (const { name } of supervisor.listSessions().filter(({ state }) => state === "quarantined")) {
    await supervisor.restartSession(name);
  }
}
// #endregion

// #region rotate
/** @returns the sessions that may not have the new key yet; do not revoke the old key while there are any */
export async function rotate(supervisor: Supervisor, key: string): Promise<SessionName[]> {
  process.env["ANTHROPIC_API_KEY"] = key;
  const { waiting, failed } = await supervisor.refreshCredentials({ deadline: "5m" });
  return [...waiting, ...failed.map(({ name }) => name)];
}
// #endregion

// #region interrupted
export async function startCareful(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start(
    [
      { name: "assistant" }, // runs again if Claude had not begun to answer or to act
      { name: "payments", onInterruptedTurn: "fail" }, // never runs again
      { name: "summaries", onInterruptedTurn: "retry" }, // always runs again: doing its work twice is harmless
    ],
    options,
  );
}
// #endregion

// #region journal
export async function startInvoices(file: string, options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([{ name: "invoices" }], { ...options, journal: { sqlite: file } });
}

export async function bill(order: { id: string; text: string }): Promise<string> {
  return await session("invoices").enqueue(`Write the invoice for: ${order.text}`, { idempotencyKey: order.id });
}

export async function invoice(turnId: string): Promise<string | undefined> {
  const turn = await session("invoices").turn(turnId);
  return (await turn?.result())?.text;
}
// #endregion
