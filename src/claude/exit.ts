import type { ExitClass, ExitRecord } from "../errors.ts";

/** What is known of a process that ended, or that never came up. */
export interface ExitEvidence {
  /** Whether Castellan ended it. */
  readonly expected: boolean;
  readonly code?: number | undefined;
  readonly signal?: string | undefined;
  readonly stderr?: string | undefined;
  /** What the SDK, or Castellan's own watch over the protocol, said of it. */
  readonly error?: string | undefined;
  /** A fault that was found before or instead of an exit; it decides. */
  readonly found?: { readonly class: ExitClass; readonly message: string } | undefined;
}

/**
 * What the end of a process means. Pure; supervision, back-off, quarantine and health read the class and nothing else.
 *
 * A process that was not asked to end has crashed, also when its exit code is 0: a session's process ends only when its
 * input does. The text of a message decides only where the binary offers nothing better: what it says of conversations.
 */
export function classifyExit(evidence: ExitEvidence): Pick<ExitRecord, "class" | "message"> {
  if (evidence.found !== undefined) return evidence.found;
  if (evidence.expected) return { class: "done", message: "ended as asked" };
  const words = `${evidence.error ?? ""}\n${evidence.stderr ?? ""}`;
  if (words.includes("No conversation found with session ID")) {
    return { class: "conversation_missing", message: "Claude Code has no transcript of this conversation" };
  }
  if (words.includes("No message found with message.uuid")) {
    return {
      class: "conversation_missing",
      message: "the transcript lacks the message up to which it was to be resumed",
    };
  }
  if (/Session ID \S+ is already in use/.test(words)) {
    return { class: "conversation_exists", message: "Claude Code already has a transcript of this conversation" };
  }
  return { class: "crash", message: describe(evidence) };
}

function describe({ code, signal, error, stderr }: ExitEvidence): string {
  const how =
    signal !== undefined
      ? `the process was ended by ${signal}`
      : code === 0
        ? "the process exited with code 0 although nobody asked it to"
        : code !== undefined
          ? `the process exited with code ${code}`
          : "the process broke off";
  const lastWords = stderr?.split("\n").at(-1);
  const why = lastWords ?? (signal === undefined && code === undefined ? error : undefined);
  return why === undefined ? how : `${how}: ${why}`;
}
