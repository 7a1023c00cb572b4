import { answerTo, type FakeControlFacts, handshake } from "./fake-control.ts";
import type { FakeClaudeOptions } from "./fake-options.ts";
import type { FakeSettings } from "./fake-settings.ts";
import { objectOf, stringOf, type WireObject } from "./fake-wire.ts";

/** The target of a host's control requests. */
export interface ControlTarget {
  readonly pid: number;
  readonly settings: FakeSettings;
  /** The number of characters in the conversation. */
  readonly characters: number;
  /** The names of the commands that are not built in. */
  readonly commands: readonly string[];
  readonly version: string;
  /** The status of the MCP servers that are not in-process. */
  readonly mcpServer: FakeClaudeOptions["mcpServer"];
  /** The uuids of the queued prompts. */
  readonly queuedUuids: readonly (string | undefined)[];
  send(message: WireObject): void;
  respond(response: WireObject): void;
  handshakeDone(): void;
  cancelQueued(): void;
  /** Removes a prompt from the queue. Returns whether it was queued. */
  cancel(uuid: string): boolean;
  /** Forgets a prompt and everything after it, unless a turn runs or the host has not seen a later prompt. Returns the answer. */
  rewind(promptId: string, lastSeen: string): WireObject | undefined;
  readonly rewinds: FakeClaudeOptions["rewind"];
  /** Interrupts the running turn, and calls `acknowledge` when the real process answers. */
  interrupt(acknowledge: () => void): void;
}

/** Handles the control requests of a host: handshake, interrupts, changes of settings, queries. Each gets one answer. */
export class FakeControlRequests {
  readonly #host: ControlTarget;
  readonly #defaultModel: string;

  constructor(host: ControlTarget) {
    this.#host = host;
    this.#defaultModel = host.settings.model;
  }

  take(id: string, request: WireObject): void {
    const { settings } = this.#host;
    switch (request["subtype"]) {
      case "initialize":
        settings.initialize = request;
        this.#answer(id, handshake(this.#facts));
        this.#host.handshakeDone();
        break;
      case "interrupt":
        if (request["cancel_queued"] === true) this.#host.cancelQueued();
        this.#host.interrupt(() => this.#answer(id, { still_queued: this.#host.queuedUuids }));
        break;
      case "cancel_async_message":
        this.#answer(id, { cancelled: this.#host.cancel(stringOf(request, "message_uuid") ?? "") });
        break;
      case "rewind_conversation": {
        const target = stringOf(request, "target_message_uuid") ?? "";
        const lastSeen = stringOf(request, "last_seen_user_message_uuid") ?? target;
        if (this.#host.rewinds !== "hangs") this.#answer(id, this.#host.rewind(target, lastSeen));
        break;
      }
      case "set_model":
        settings.model = stringOf(request, "model") ?? this.#defaultModel;
        this.#host.send(modelMessage(settings.model));
        this.#answer(id, { model: settings.model });
        break;
      case "set_permission_mode":
        this.#answer(id, { mode: stringOf(request, "mode") });
        settings.permissions.enter(stringOf(request, "mode") ?? settings.permissionMode);
        break;
      case "apply_flag_settings":
        settings.permissions.applySettings(objectOf(request, "settings"));
        this.#answer(id, {});
        break;
      default:
        this.#answer(id, answerTo(request, this.#facts));
    }
  }

  get #facts(): FakeControlFacts {
    const { pid, settings, characters, commands, version, mcpServer } = this.#host;
    const { model, permissionMode, initialize = {} } = settings;
    return { pid, model, permissionMode, initialize, characters, commands, version, mcpServer };
  }

  /** Sends a response; `undefined` rejects an unknown request. */
  #answer(id: string, response: WireObject | undefined): void {
    const refused = {
      subtype: "error",
      error: "Unsupported control request subtype",
      error_code: "unsupported_request",
    };
    const answer = response === undefined ? refused : { subtype: "success", response };
    this.#host.respond({ ...answer, request_id: id });
  }
}

function modelMessage(model: string): WireObject {
  return {
    type: "user",
    message: { role: "user", content: `<local-command-stdout>Set model to \`${model}\`</local-command-stdout>` },
    parent_tool_use_id: null,
    timestamp: new Date().toISOString(),
    isReplay: true,
  };
}
