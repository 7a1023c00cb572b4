import { unknownWebhook } from "../webhooks/unknown-webhook.ts";
import type { EndpointStatus, WebhookTest } from "../webhooks/webhook-status.ts";
import type { Webhooks } from "../webhooks/webhooks.ts";
import { logWarning, type SupervisorSettings } from "./options/supervisor-options.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

/** The endpoints of a supervisor's option `webhooks`. On a node, as this node sees them. */
export class SupervisorWebhooks {
  readonly #webhooks: Webhooks | undefined;

  /** @internal */
  constructor(webhooks: Webhooks | undefined) {
    this.#webhooks = webhooks;
  }

  /** Lists the endpoints, in the order of the option. */
  list(): readonly EndpointStatus[] {
    return this.#webhooks?.list() ?? [];
  }

  /**
   * Sends an event of the type `webhook.test` to an endpoint, once, whatever its state. Resolves with the result.
   *
   * @throws CastellanError `INVALID_OPTIONS` if there is no endpoint with this id
   */
  async test(id: string): Promise<WebhookTest> {
    return await this.#known(id).test(id);
  }

  /**
   * Enables an endpoint that is disabled, and tries all undelivered events now.
   *
   * @throws CastellanError `INVALID_OPTIONS` if there is no endpoint with this id
   */
  retry(id: string): void {
    this.#known(id).retry(id);
  }

  #known(id: string): Webhooks {
    if (this.#webhooks === undefined) throw unknownWebhook(id, []);
    return this.#webhooks;
  }
}

/** Loads the webhooks of a supervisor. Returns undefined if it has none. */
export function openWebhooks(
  { webhooks, logger }: SupervisorSettings,
  { clock, random, newId }: SupervisorDeps,
): Promise<Webhooks> | undefined {
  if (webhooks.length === 0) return undefined;
  const warn = (message: string): void => logWarning(logger, "WEBHOOK", message);
  // Loaded on demand, because few applications have one.
  return import("../webhooks/webhooks.ts").then(
    ({ Webhooks }) => new Webhooks(webhooks, { clock, random, newId, warn }),
  );
}
