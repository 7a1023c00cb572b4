import type { SDKUserMessage } from "@anthropic-ai/claude-agent-sdk";
import type { FakeConversation } from "./fake-conversation.ts";
import type { FakeSettings } from "./fake-settings.ts";
import type { FakeProcess } from "./fake-turn.ts";
import type { WireObject } from "./fake-wire.ts";

/** A turn that is over. */
export interface EndedTurn {
  /** The uuids of its prompts. */
  readonly named: readonly string[];
  /** What is still to be done before the next one begins. */
  readonly late: readonly (() => void | Promise<void>)[];
}

/** What a simulated turn needs of the Claude that runs it. */
export interface TurnContext {
  readonly process: FakeProcess;
  readonly settings: FakeSettings;
  readonly conversation: FakeConversation;
  readonly costPerTurnUsd: number;
  /** Whether the host does not read what is sent. */
  readonly full: boolean;
  /** Asks the host, and resolves with its answer. */
  ask(request: WireObject, signal: AbortSignal): Promise<WireObject>;
  /** Sends a message. @returns its uuid */
  send(message: WireObject): string;
  /** Resolves when the host has read what was sent. */
  written(): Promise<void>;
  /** Writes to stderr. */
  complain(text: string): void;
  /** The uuids of the prompts that wait. */
  readonly queuedUuids: readonly (string | undefined)[];
  /** The number of the result that comes next, from 0. */
  nextResultIndex(): number;
  turnEnded(turn: EndedTurn, how: { readonly isError: boolean; readonly cancelled: boolean }): void;
  /** Takes prompts that wait, of which `joins` says that they become a part of the turn. */
  takeQueued(joins?: (message: SDKUserMessage) => boolean): SDKUserMessage[];
}
