import { webhookListSchema, webhookParams, webhookTestSchema } from "../../wire/webhook.ts";
import { jsonOperation, type Operation } from "./operation.ts";

const listWebhooks = jsonOperation(
  {
    id: "listWebhooks",
    tag: "Webhooks",
    method: "get",
    path: "/webhooks",
    scope: "read",
    wholeReach: true,
    summary: "Lists the endpoints of webhooks, with what is pending and the last failure.",
    description: "On a node of a cluster, as this node sees them.",
    answer: webhookListSchema,
  },
  ({ supervisor }) => ({ webhooks: supervisor.webhooks.list() }),
);

const testWebhook = jsonOperation(
  {
    id: "testWebhook",
    tag: "Webhooks",
    method: "post",
    path: "/webhooks/{id}/test",
    scope: "operate",
    wholeReach: true,
    summary: "Sends an event of the type `webhook.test` to an endpoint, once, and returns the result.",
    params: webhookParams,
    answer: webhookTestSchema,
  },
  async ({ supervisor, params }) => await supervisor.webhooks.test(params.id),
);

const retryWebhook = jsonOperation(
  {
    id: "retryWebhook",
    tag: "Webhooks",
    method: "post",
    path: "/webhooks/{id}/retry",
    scope: "operate",
    wholeReach: true,
    idempotent: true,
    summary: "Enables a disabled endpoint, and tries all its undelivered events now.",
    params: webhookParams,
    answer: webhookListSchema,
  },
  ({ supervisor, params }) => {
    supervisor.webhooks.retry(params.id);
    return { webhooks: supervisor.webhooks.list() };
  },
);

/** The operations on webhooks. */
export const webhookOperations: readonly Operation[] = [listWebhooks, testWebhook, retryWebhook];
