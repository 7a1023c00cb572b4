import type { SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { FakeConversation } from "./fake-conversation.ts";
import type { FakeSettings } from "./fake-settings.ts";
import type { FakeProcess } from "./fake-turn.ts";
import type { WireObject } from "./fake-wire.ts";

/** An ended turn. */
export interface EndedTurn {
  /** The uuids of its prompts. */
  readonly callerUuids: readonly string[];
  /** The work to do before the next turn begins. */
  readonly late: readonly (() => void | Promise<void>)[];
}

/** What a simulated turn needs from the Claude that runs it. */
export interface TurnContext {
  readonly process: FakeProcess;
  readonly settings: FakeSettings;
  readonly conversation: FakeConversation;
  readonly costPerTurnUsd: number;
  /** Whether the host is behind with reading. */
  readonly full: boolean;
  /** Sends a request to the host and resolves with its answer. */
  ask(request: WireObject, signal: AbortSignal): Promise<WireObject>;
  /** Sends a message. @returns its uuid */
  send(message: WireObject): string;
  /** Resolves once the host has read the sent messages. */
  written(): Promise<void>;
  /** Writes to stderr. */
  writeStderr(text: string): void;
  /** The uuids of the queued prompts. */
  readonly queuedUuids: readonly (string | undefined)[];
  /** Returns the index of the next result, from 0. */
  nextResultIndex(): number;
  turnEnded(turn: EndedTurn, how: { readonly isError: boolean; readonly cancelled: boolean }): void;
  /** Removes from the queue the prompts that join the turn, as selected by `joins`. */
  takeQueued(joins?: (message: SDKUserMessage) => boolean): SDKUserMessage[];
}
