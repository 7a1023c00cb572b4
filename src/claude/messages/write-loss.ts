import type { SDKMessage } from "@anthropic-ai/claude-agent-sdk";
import { own } from "../../fields.ts";

/** A part of the transcript or the settings that was not written. */
export interface WriteLoss {
  /** `mirror_error`: the session store rejected it; `session_writes_lost`: Claude Code could not write its files. */
  readonly kind: "mirror_error" | "session_writes_lost";
  readonly message: string;
}

/** Returns the loss that `message` reports, if it reports one. */
export function writeLossOf(message: SDKMessage): WriteLoss | undefined {
  if (message.type !== "system") return undefined;
  if (message.subtype === "mirror_error") {
    const { key, error } = message;
    const which = key.subpath === undefined ? "" : ` (${key.subpath})`;
    const text = `the session store rejected a part of the transcript ${key.sessionId}${which}: ${error}`;
    return { kind: "mirror_error", message: text };
  }
  if (message.subtype === "session_writes_lost") {
    const { lost, error_code: code } = message;
    const parts = lost.map((part) => own(PARTS, part) ?? part).join(" and ");
    return { kind: "session_writes_lost", message: `Claude Code could not write ${parts} (${code})` };
  }
  return undefined;
}

/**
 * Returns the loss of messages that a process sent but its transcript lacks. @param why the system's error, if known
 */
export function transcriptLoss(why: string | undefined): WriteLoss {
  const reason = why === undefined ? "" : ` (${why})`;
  return { kind: "session_writes_lost", message: `Claude Code has not written ${PARTS.transcript}${reason}` };
}

const PARTS = {
  transcript: "its whole transcript, so a resume may miss a part of the conversation",
  global_config: "its settings",
} as const;
