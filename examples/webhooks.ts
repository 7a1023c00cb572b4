import { createServer, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { Supervisor, type SupervisorOptions } from "castellan";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

// #region send
export async function start(url: string, secret: string, options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([{ name: "assistant", approvals: true }], {
    ...options,
    webhooks: [{ id: "crm", url, secret, types: ["turn.completed", "turn.failed", "approval.requested"] }],
  });
}
// #endregion

// #region receive
interface WebhookEvent {
  readonly type: string;
  readonly timestamp: string;
  readonly data: { readonly session: unknown; readonly event: number; readonly turnId?: string };
}

/** @param done the ids of the requests that were handled; keep them as long as requests may be repeated, in a database */
export function receiver(secret: string, done: Set<string>, handle: (event: WebhookEvent) => Promise<void>): Server {
  const webhook = new Webhook(secret);
  return createServer(async (request, response) => {
    try {
      const headers = request.headers as Record<string, string>;
      // Also refuses a request that is older than five minutes.
      const event = webhook.verify(await text(request), headers) as WebhookEvent;
      const id = headers["webhook-id"] ?? "";
      if (!done.has(id)) await handle(event);
      done.add(id);
      response.writeHead(204).end();
    } catch (error) {
      // Castellan repeats the request later.
      response.writeHead(error instanceof WebhookVerificationError ? 401 : 500).end();
    }
  });
}
// #endregion

// #region operate
export async function repair(supervisor: Supervisor): Promise<string[]> {
  const failing = supervisor.webhooks.list().filter(({ state }) => state !== "ready");
  for (const { id, state, pendingSessions, lastFailure } of failing) {
    console.warn(`${id} is ${state}, ${pendingSessions} sessions wait: ${lastFailure?.problem}`);
    const { delivered } = await supervisor.webhooks.test(id);
    if (delivered) supervisor.webhooks.retry(id);
  }
  return failing.map(({ id }) => id);
}
// #endregion
