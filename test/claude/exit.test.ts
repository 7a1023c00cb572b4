import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classifyExit, type ExitEvidence } from "../../src/claude/exit.ts";
import type { ExitClass } from "../../src/errors.ts";

const NO_CONVERSATION = "No conversation found with session ID: 8c0a4d0e-0000-4000-8000-000000000000";
const NO_MESSAGE = "No message found with message.uuid of: 8c0a4d0e-0000-4000-8000-000000000000";
const IN_USE = "Error: Session ID 8c0a4d0e-0000-4000-8000-000000000000 is already in use.";

const table: [string, ExitEvidence, ExitClass, RegExp][] = [
  ["a requested end with code 0", { expected: true, code: 0 }, "done", /asked/],
  ["a requested end by SIGKILL", { expected: true, signal: "SIGKILL" }, "done", /asked/],
  ["a requested end with code 143", { expected: true, code: 143, stderr: "Terminated" }, "done", /asked/],
  ["a requested end with any error output", { expected: true, code: 1, stderr: NO_CONVERSATION }, "done", /asked/],
  ["an end by SIGKILL", { expected: false, signal: "SIGKILL" }, "crash", /ended by SIGKILL/],
  ["a segmentation fault", { expected: false, signal: "SIGSEGV" }, "crash", /ended by SIGSEGV/],
  ["code 1", { expected: false, code: 1 }, "crash", /code 1$/],
  ["code 0 without a request", { expected: false, code: 0 }, "crash", /code 0 although nobody asked/],
  [
    "code 1 and error output",
    { expected: false, code: 1, stderr: "at foo\nTypeError: x" },
    "crash",
    /code 1: TypeError: x$/,
  ],
  ["a signal and error output", { expected: false, signal: "SIGABRT", stderr: "heap" }, "crash", /SIGABRT: heap$/],
  ["an error alone", { expected: false, error: "read ECONNRESET" }, "crash", /broke off: read ECONNRESET$/],
  ["a code beside the SDK's error", { expected: false, code: 3, error: "exited with code 3" }, "crash", /code 3$/],
  ["no evidence", { expected: false }, "crash", /broke off$/],
  [
    "a missing transcript (stderr)",
    { expected: false, code: 1, stderr: NO_CONVERSATION },
    "conversation_missing",
    /transcript/,
  ],
  ["a missing transcript (SDK)", { expected: false, error: NO_CONVERSATION }, "conversation_missing", /transcript/],
  [
    "a missing message",
    { expected: false, code: 1, stderr: NO_MESSAGE },
    "conversation_missing",
    /message to resume from/,
  ],
  ["an id in use", { expected: false, code: 1, stderr: IN_USE }, "conversation_exists", /already has/],
  [
    "a startup failure that needs a repair",
    { expected: false, code: 1, startupFailure: "cwd_unavailable" },
    "bad_config",
    /cwd_unavailable/,
  ],
  [
    "a startup failure for want of a login",
    { expected: false, code: 1, startupFailure: "gateway_signin_required" },
    "auth",
    /signin/,
  ],
  [
    "a temporary startup failure",
    { expected: false, code: 1, startupFailure: "org_verify_failed" },
    "overload",
    /org_verify/,
  ],
  [
    "a startup failure for a full volume",
    {
      expected: false,
      code: 1,
      startupFailure: "temp_dir_unusable",
      error: "Claude Code's temporary directory /t could not be created: the volume holding /t is full (ENOSPC).",
    },
    "overload",
    /ENOSPC/,
  ],
  [
    "a startup failure for a missing permission",
    { expected: false, code: 1, startupFailure: "temp_dir_unusable", error: "EACCES: permission denied, mkdir '/t'" },
    "bad_config",
    /EACCES/,
  ],
  [
    "a startup failure beside other words",
    { expected: false, code: 1, startupFailure: "proxy_invalid", error: "bad proxy", stderr: NO_CONVERSATION },
    "bad_config",
    /^bad proxy/,
  ],
  ["an unknown option", { expected: false, code: 1, stderr: "error: unknown option '--nope'" }, "bad_config", /--nope/],
  ["SIGKILL with memory evidence", { expected: false, signal: "SIGKILL", memoryKill: true }, "out_of_memory", /memory/],
  ["SIGTERM with memory evidence", { expected: false, signal: "SIGTERM", memoryKill: true }, "crash", /SIGTERM/],
  [
    "a requested SIGKILL with memory evidence",
    { expected: true, signal: "SIGKILL", memoryKill: true },
    "done",
    /asked/,
  ],
  [
    "a fault in the output",
    { expected: false, signal: "SIGKILL", found: { class: "crash", message: "the output broke" } },
    "crash",
    /^the output broke$/,
  ],
  [
    "a stall, after which it was killed",
    { expected: false, signal: "SIGKILL", found: { class: "stalled", message: "silent" } },
    "stalled",
    /^silent$/,
  ],
  [
    "a fault before a requested end",
    { expected: true, code: 0, found: { class: "auth", message: "no key" } },
    "auth",
    /^no key$/,
  ],
];

describe("classifyExit", () => {
  it.each(table)("classifies %s", (_, evidence, expected, message) => {
    const verdict = classifyExit(evidence);
    expect(verdict.class).toBe(expected);
    expect(verdict.message).toMatch(message);
  });

  const text = fc.option(fc.string(), { nil: undefined });
  const anything: fc.Arbitrary<ExitEvidence> = fc.record({
    expected: fc.boolean(),
    code: fc.option(fc.nat({ max: 255 }), { nil: undefined }),
    signal: fc.constantFrom(undefined, "SIGTERM", "SIGKILL"),
    stderr: text,
    error: text,
  });

  it("treats an unrequested end without words about conversations as a crash", () => {
    fc.assert(
      fc.property(anything, (evidence) => {
        const verdict = classifyExit(evidence);
        expect(verdict.class).toBe(evidence.expected ? "done" : "crash");
        expect(verdict.message).not.toBe("");
      }),
    );
  });
});
