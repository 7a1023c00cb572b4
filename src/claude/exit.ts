import type { SDKStartupFailureReason } from "@anthropic-ai/claude-agent-sdk";
import type { ExitClass, ExitRecord } from "../errors.ts";
import { own } from "../fields.ts";
import { passesInWords } from "./passing-fault.ts";

/** What is known of a process that ended, or that never came up. */
export interface ExitEvidence {
  /** Whether Castellan ended it. */
  readonly expected: boolean;
  readonly code?: number | undefined;
  readonly signal?: string | undefined;
  readonly stderr?: string | undefined;
  /** What the SDK, or Castellan's own watch over the protocol, said of it. */
  readonly error?: string | undefined;
  /** Why Claude Code refused to start, if it said so. */
  readonly startupFailure?: SDKStartupFailureReason | undefined;
  /** Whether the kernel has killed for lack of memory while the process lived. */
  readonly memoryKill?: boolean | undefined;
  /** The system's code for why no process could be started, such as `EMFILE`. */
  readonly spawnError?: string | undefined;
  /** A fault that was found before or instead of an exit; it decides. */
  readonly found?: { readonly class: ExitClass; readonly message: string } | undefined;
}

/**
 * Reasons of Claude Code not to start. Those that may pass by themselves, such as a network that is down, are an
 * overload; those that a person has to mend are one of the other two.
 */
const STARTUP_FAILURES: { readonly [Reason in SDKStartupFailureReason]: ExitClass } = {
  org_pin_api_key_conflict: "bad_config",
  provider_not_allowed: "bad_config",
  managed_settings_invalid: "bad_config",
  proxy_invalid: "bad_config",
  temp_dir_unusable: "bad_config",
  cwd_unavailable: "bad_config",
  shell_tool_missing: "bad_config",
  session_held_by_background: "bad_config",
  worktree_resume_refused: "bad_config",
  cli_version_too_old: "bad_config",
  bypass_root: "bad_config",
  sandbox_required_unavailable: "bad_config",
  initialize_not_first: "bad_config",
  config_file_invalid: "bad_config",
  managed_settings_not_delivered: "bad_config",
  initialize_fields_not_delivered: "bad_config",
  sideload_flags_disabled: "bad_config",
  org_pin_mismatch: "auth",
  gateway_signin_required: "auth",
  gateway_access_denied: "auth",
  org_config_refused: "auth",
  org_verify_failed: "overload",
  remote_settings_required_unavailable: "overload",
  worktree_unverified: "overload",
  org_config_required_unavailable: "overload",
};

/** What Claude Code says of a start that failed and has no field for, and what that means. */
const LAST_WORDS: readonly { readonly words: RegExp; readonly class: ExitClass; readonly message: string }[] = [
  {
    words: /No conversation found with session ID/,
    class: "conversation_missing",
    message:
      'Claude Code has no transcript of this conversation; `clear()` begins an empty one, as `onMissingConversation: "fresh"` always does',
  },
  {
    words: /No message found with message\.uuid/,
    class: "conversation_missing",
    message: "the transcript lacks the message up to which it was to be resumed",
  },
  {
    words: /Session ID \S+ is already in use/,
    class: "conversation_exists",
    message: "Claude Code already has a transcript of this conversation",
  },
  // What commander, the parser of its command line, prints for an option that this release does not know, and Claude Code
  // itself for a value that it cannot use.
  {
    words: /^error: (unknown option|option .* is invalid|option .* argument missing)|^Error: --[a-z-]+ /m,
    class: "bad_config",
    message: "Claude Code does not accept an option that it was given",
  },
];

/** What the system answers when it has too little of something to start a process. */
const SCARCE: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EAGAIN", "ENOMEM"]);

/**
 * What the end of a process means. Pure; supervision, back-off, quarantine and health read the class and nothing else.
 *
 * A process that was not asked to end has crashed, also when its exit code is 0: a session's process ends only when its
 * input does. Structured fields decide; words decide only where the binary offers nothing better.
 */
export function classifyExit(evidence: ExitEvidence): Pick<ExitRecord, "class" | "message"> {
  const { found, expected, startupFailure, spawnError, error, stderr } = evidence;
  if (found !== undefined) return found;
  if (expected) return { class: "done", message: "ended as asked" };
  if (startupFailure !== undefined) {
    const kind = own(STARTUP_FAILURES, startupFailure) ?? "bad_config";
    return {
      class: kind === "bad_config" && passesInWords(error ?? "") ? "overload" : kind,
      message: `${error ?? "it refused to start"} (${startupFailure})`,
    };
  }
  if (spawnError !== undefined && SCARCE.has(spawnError)) {
    return { class: "overload", message: `this machine has no room for another process (${spawnError})` };
  }
  const words = `${error ?? ""}\n${stderr ?? ""}`;
  const known = LAST_WORDS.find((entry) => entry.words.test(words));
  if (known !== undefined) {
    const { class: kind, message } = known;
    return { class: kind, message: kind === "bad_config" ? `${message}: ${lastLine(stderr) ?? error}` : message };
  }
  if (evidence.signal === "SIGKILL" && evidence.memoryKill === true) {
    return { class: "out_of_memory", message: "the kernel killed the process for lack of memory" };
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
  const why = lastLine(stderr) ?? (signal === undefined && (code ?? 0) === 0 ? error : undefined);
  return why === undefined ? how : `${how}: ${why}`;
}

function lastLine(text: string | undefined): string | undefined {
  return text?.trimEnd().split("\n").at(-1);
}
