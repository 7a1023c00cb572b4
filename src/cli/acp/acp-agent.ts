import {
  type AgentApp,
  type AgentContext,
  agent,
  methods,
  PROTOCOL_VERSION,
  type PromptRequest,
  RequestError,
  type StopReason,
} from "@agentclientprotocol/sdk";
import { CastellanApiError, type EventText, type SessionClient, type SessionEvent } from "../../client/index.ts";
import { AcpPermissions } from "./acp-permissions.ts";
import { givenPrompt } from "./acp-prompt.ts";
import { AcpUpdates, chunk, withoutVoid } from "./acp-updates.ts";

/** How many of the last events an editor gets that loads the session. */
const PAST = 1_000;

type TurnEnd = Extract<SessionEvent, { readonly type: "turn_ended" }>;

/** What an agent serves. */
export interface AcpAgentOptions {
  readonly session: SessionClient;
  /** The id of the session in ACP: its name. */
  readonly sessionId: string;
  readonly version: string;
  /** Gets what an editor shows nowhere. */
  readonly warn: (line: string) => void;
}

/** Makes an agent of ACP over a session. Its only session of ACP is that one. */
export function acpAgent(options: AcpAgentOptions): AgentApp {
  const served = new ServedSession(options);
  const { sessionId, version } = options;
  return agent({ name: "castellan" })
    .onRequest(methods.agent.initialize, () => ({
      protocolVersion: PROTOCOL_VERSION,
      agentInfo: { name: "castellan", title: `Castellan: ${sessionId}`, version },
      agentCapabilities: { loadSession: true, promptCapabilities: { image: true, embeddedContext: true } },
      authMethods: [],
    }))
    .onRequest(methods.agent.session.new, ({ params }) => {
      served.refuseServers(params.mcpServers);
      return { sessionId };
    })
    .onRequest(methods.agent.session.load, async ({ params, client }) => {
      served.check(params.sessionId);
      served.refuseServers(params.mcpServers);
      await requested(served.load(client));
      return {};
    })
    .onRequest(methods.agent.session.prompt, async ({ params, client, signal }) => {
      served.check(params.sessionId);
      return { stopReason: await requested(served.prompt(params, client, signal)) };
    })
    .onNotification(methods.agent.session.cancel, async ({ params }) => {
      if (params.sessionId === sessionId) await served.cancel();
    });
}

class ServedSession {
  readonly #options: AcpAgentOptions;
  /** The prompts of this editor whose turns have not ended. */
  readonly #prompts = new Set<AbortController>();

  constructor(options: AcpAgentOptions) {
    this.#options = options;
  }

  /** @throws RequestError for another session than the one that is served */
  check(id: string): void {
    if (id !== this.#options.sessionId) throw RequestError.sessionNotFound(id);
  }

  refuseServers(servers: readonly object[]): void {
    if (servers.length === 0) return;
    this.#options.warn("The editor's MCP servers are not used. The session has those of its own options.");
  }

  /** Sends the editor what the session saw and did. */
  async load(editor: AgentContext): Promise<void> {
    const { session, sessionId } = this.#options;
    const updates = new AcpUpdates((text) => this.#read(text));
    const { events } = await session.pastEvents({ limit: PAST }).catch(noneIfUnused);
    for (const event of withoutVoid(events.toReversed())) {
      const update =
        event.type === "turn_accepted" && event.prompt !== undefined
          ? chunk("user_message_chunk", await this.#read(event.prompt))
          : await updates.of(event);
      if (update !== undefined) await editor.notify(methods.client.session.update, { sessionId, update });
    }
  }

  /** Gives the session a prompt, shows the editor what it does, and returns why it stopped. */
  async prompt({ prompt }: PromptRequest, editor: AgentContext, signal: AbortSignal): Promise<StopReason> {
    const { session } = this.#options;
    const given = givenPrompt(prompt);
    const cancelled = new AbortController();
    this.#prompts.add(cancelled);
    try {
      const { events } = await session.pastEvents({ limit: 1 }).catch(noneIfUnused);
      const turn = await session.enqueue(given);
      const stop = (): void => {
        session.interruptTurn(turn).catch((error: unknown) => {
          this.#options.warn(`The turn was not interrupted: ${error instanceof Error ? error.message : error}`);
        });
      };
      const ends = AbortSignal.any([cancelled.signal, signal]);
      if (ends.aborted) stop();
      else ends.addEventListener("abort", stop, { once: true });
      const end = await this.#follow(turn, events[0]?.number ?? 0, editor);
      return stopReasonOf(end, ends.aborted);
    } finally {
      this.#prompts.delete(cancelled);
    }
  }

  /** Interrupts the turns of this editor's prompts. */
  async cancel(): Promise<void> {
    for (const prompt of this.#prompts) prompt.abort();
  }

  async #follow(turn: string, after: number, editor: AgentContext): Promise<TurnEnd | undefined> {
    const { session, sessionId, warn } = this.#options;
    const updates = new AcpUpdates((text) => this.#read(text));
    const permissions = new AcpPermissions(session, sessionId, editor, warn);
    try {
      for await (const event of session.events({ after, turn, deltas: true })) {
        if (event.type === "turn_ended") return event;
        if (event.type === "approval_requested") permissions.ask(event.id);
        if (event.type === "approval_settled") permissions.settled(event.id);
        const update = await updates.of(event);
        if (update !== undefined) await editor.notify(methods.client.session.update, { sessionId, update });
      }
      return undefined;
    } finally {
      permissions.end();
    }
  }

  async #read(text: EventText): Promise<string> {
    if (typeof text === "string") return text;
    return new TextDecoder().decode((await this.#options.session.content(text)).data);
  }
}

/** A session of a template has no events before its first prompt, which creates it. */
function noneIfUnused(error: unknown): { readonly events: readonly SessionEvent[] } {
  if (error instanceof CastellanApiError && error.code === "SESSION_NOT_FOUND") return { events: [] };
  throw error;
}

/** @throws CastellanApiError why the turn did not complete */
function stopReasonOf(end: TurnEnd | undefined, cancelled: boolean): StopReason {
  if (cancelled && end?.state !== "completed") return "cancelled";
  if (end?.state !== "completed") {
    const { code = "TURN_FAILED", message = "The turn did not complete." } = end?.error ?? {};
    throw new CastellanApiError(code, message, { status: 0 });
  }
  return end.stopReason === "max_tokens" || end.stopReason === "refusal" ? end.stopReason : "end_turn";
}

/** Turns the errors of the server into errors of ACP, which an editor shows. */
async function requested<Result>(request: Promise<Result>): Promise<Result> {
  try {
    return await request;
  } catch (error) {
    if (!(error instanceof CastellanApiError)) throw error;
    throw RequestError.internalError({ code: error.code }, error.message);
  }
}
